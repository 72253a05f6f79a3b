<?php
/**
 * A word to the agent that something changed.
 *
 * @package Counterfoil
 */

namespace Counterfoil;

defined( 'ABSPATH' ) || exit;

/**
 * Wakes the agent, so that it need not ask often. Of no importance if lost.
 */
final class Nudge {
	const CONNECT_S = 0.2;

	/**
	 * Where the agent listens: udp://127.0.0.1:8790, or an http address that gets an empty POST nobody waits for.
	 */
	public static function send(): void {
		$listener = Pairing::settings()['listener'];
		if ( '' === $listener ) {
			return;
		}
		if ( 0 === strpos( $listener, 'udp://' ) ) {
			if ( function_exists( 'stream_socket_client' ) ) {
				$socket = @stream_socket_client( $listener, $number, $text, self::CONNECT_S ); // phpcs:ignore WordPress.PHP.NoSilencedErrors -- lost is as good as sent.
				if ( $socket ) {
					@fwrite( $socket, 'counterfoil ' . Pairing::fingerprint() ); // phpcs:ignore WordPress.PHP.NoSilencedErrors, WordPress.WP.AlternativeFunctions -- a datagram, no file.
					fclose( $socket ); // phpcs:ignore WordPress.WP.AlternativeFunctions -- a datagram, no file.
				}
			}
			return;
		}
		wp_remote_post(
			$listener,
			array(
				'blocking' => false,
				'timeout'  => self::CONNECT_S,
			)
		);
	}
}
