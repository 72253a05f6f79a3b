<?php
/**
 * Who this store is paired with: the key, the pinned identity, where the agent listens. A copy of the store fits none of it.
 *
 * @package Counterfoil
 */

namespace Counterfoil;

defined( 'ABSPATH' ) || exit;

/**
 * Two options: counterfoil (small, read in every request that writes) and counterfoil_keys (read by signed requests alone).
 */
final class Pairing {
	const OLD_KEY_S = 86400;

	/**
	 * The option, with defaults.
	 */
	public static function settings(): array {
		$kept = get_option( 'counterfoil' );
		return array_merge(
			array(
				'paired_ms'     => 0,
				'identity'      => array(),
				'listener'      => '',
				'transactional' => false,
			),
			is_array( $kept ) ? $kept : array()
		);
	}

	/**
	 * Change some of the settings.
	 *
	 * @param array $changed Name => value.
	 */
	public static function keep( array $changed ): void {
		update_option( 'counterfoil', array_merge( self::settings(), $changed ), true );
	}

	/**
	 * Whether a log is kept at all: before pairing nobody would read it.
	 */
	public static function is_paired(): bool {
		return self::settings()['paired_ms'] > 0;
	}

	/**
	 * Pin this store's identity, make tables and key. The key is given back once and shown nowhere else.
	 */
	public static function pair(): string {
		Database::create();
		self::keep(
			array(
				'paired_ms'     => Database::now_ms(),
				'identity'      => self::identity(),
				'transactional' => Database::is_transactional(),
			)
		);
		Upkeep::start();
		return self::new_key( false );
	}

	/**
	 * Make another key. The one before stays good for a day, or until the new one is used first.
	 *
	 * @param bool $keep_old False where whoever holds the old key shall be shut out at once.
	 */
	public static function new_key( bool $keep_old = true ): string {
		$keys = self::keys();
		$key  = bin2hex( random_bytes( 32 ) );
		update_option(
			'counterfoil_keys',
			array(
				'key'       => $key,
				'old'       => $keep_old ? $keys['key'] : '',
				'old_until' => time() + self::OLD_KEY_S,
			),
			false
		);
		return $key;
	}

	/**
	 * End it: no key fits any more and nothing is written. The log stays until the plugin is deleted.
	 */
	public static function unpair(): void {
		self::keep(
			array(
				'paired_ms' => 0,
				'identity'  => array(),
			)
		);
		delete_option( 'counterfoil_keys' );
		Upkeep::stop();
	}

	/**
	 * Whether the text was signed with the key. Compares in constant time.
	 *
	 * @param string $text      What was signed.
	 * @param string $signature Hexadecimal HMAC-SHA256.
	 */
	public static function has_signed( string $text, string $signature ): bool {
		$keys = self::keys();
		if ( '' !== $keys['key'] && hash_equals( hash_hmac( 'sha256', $text, $keys['key'] ), $signature ) ) {
			if ( '' !== $keys['old'] ) {
				update_option( 'counterfoil_keys', array_merge( $keys, array( 'old' => '' ) ), false );
			}
			return true;
		}
		return '' !== $keys['old'] && time() < $keys['old_until'] && hash_equals( hash_hmac( 'sha256', $text, $keys['old'] ), $signature );
	}

	/**
	 * The parts of what this store is, by name.
	 */
	public static function identity(): array {
		global $wpdb;
		return array(
			'home'     => home_url(),
			'database' => DB_NAME,
			'host'     => DB_HOST,
			'prefix'   => $wpdb->prefix,
			'path'     => untrailingslashit( ABSPATH ),
		);
	}

	/**
	 * The pinned identity in one word, without telling its parts.
	 */
	public static function fingerprint(): string {
		return hash( 'sha256', (string) wp_json_encode( self::settings()['identity'] ) );
	}

	/**
	 * Names of the parts that differ from what was pinned; none: this is the store that was paired.
	 */
	public static function differing(): array {
		$pinned = self::settings()['identity'];
		$now    = self::identity();
		return array_keys( array_diff_assoc( $now, $pinned ) );
	}

	/**
	 * The option with the keys, with defaults.
	 */
	private static function keys(): array {
		$kept = get_option( 'counterfoil_keys' );
		return array_merge(
			array(
				'key'       => '',
				'old'       => '',
				'old_until' => 0,
			),
			is_array( $kept ) ? $kept : array()
		);
	}
}
