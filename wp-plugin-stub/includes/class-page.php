<?php
/**
 * The page under WooCommerce: paired or not, what waits, the last stock write, and what to do.
 *
 * @package Counterfoil
 */

namespace Counterfoil;

defined( 'ABSPATH' ) || exit;

/**
 * For people with the capability manage_counterfoil. The key is shown in the answer to the click that made it, and nowhere else.
 */
final class Page {
	const CAPABILITY = 'manage_counterfoil';
	const SLUG       = 'counterfoil';

	/**
	 * On activation: administrators may pair.
	 */
	public static function grant(): void {
		$role = get_role( 'administrator' );
		if ( $role ) {
			$role->add_cap( self::CAPABILITY );
		}
		if ( Pairing::is_paired() ) {
			Upkeep::start();
		}
	}

	/**
	 * Load the translations.
	 */
	public static function translate(): void {
		load_plugin_textdomain( 'counterfoil', false, dirname( plugin_basename( PLUGIN_FILE ) ) . '/languages' );
	}

	/**
	 * Put the page into the menu. A super admin of a network, and a site added later, need no activation for it.
	 */
	public static function register(): void {
		$capability = current_user_can( self::CAPABILITY ) ? self::CAPABILITY : ( is_multisite() && current_user_can( 'manage_options' ) ? 'manage_options' : self::CAPABILITY );
		add_submenu_page( 'woocommerce', 'Counterfoil', 'Counterfoil', $capability, self::SLUG, array( self::class, 'show' ) );
	}

	/**
	 * Show the page, after doing what was asked for.
	 */
	public static function show(): void {
		try {
			$key = self::act();
			self::render( $key );
		} catch ( \Throwable $e ) {
			Hooks::report( $e );
			echo '<div class="wrap"><h1>Counterfoil</h1><p>' . esc_html__( 'The page could not be shown. The cause is in WooCommerce, Status, Logs (source counterfoil).', 'counterfoil' ) . '</p></div>';
		}
	}

	/**
	 * Do what the form asks for; gives the key where one was made.
	 */
	private static function act(): string {
		if ( ! isset( $_POST['counterfoil_do'] ) ) { // phpcs:ignore WordPress.Security.NonceVerification -- it is looked at next.
			return '';
		}
		check_admin_referer( 'counterfoil' );
		switch ( sanitize_key( wp_unslash( $_POST['counterfoil_do'] ?? '' ) ) ) {
			case 'pair':
				return Pairing::pair();
			case 'key':
				return Pairing::is_paired() ? Pairing::new_key() : '';
			case 'unpair':
				Pairing::unpair();
				return '';
			case 'listener':
				$address = trim( sanitize_text_field( wp_unslash( $_POST['counterfoil_listener'] ?? '' ) ) );
				if ( '' === $address || preg_match( '#^(udp://[A-Za-z0-9.:\[\]-]+:\d+|https?://\S+)$#', $address ) ) {
					Pairing::keep( array( 'listener' => $address ) );
				} else {
					echo '<div class="notice notice-error"><p>' . esc_html__( 'The address has to look like udp://127.0.0.1:8790 or https://agent.example/nudge.', 'counterfoil' ) . '</p></div>';
				}
				return '';
			default:
				return '';
		}
	}

	/**
	 * The page itself.
	 *
	 * @param string $key The key that was made just now, or nothing.
	 */
	private static function render( string $key ): void {
		echo '<div class="wrap"><h1>Counterfoil</h1>';
		if ( '' !== $key ) {
			echo '<div class="notice notice-success"><p>' . esc_html__( 'This is the key for the agent. It is shown this once: copy it now.', 'counterfoil' ) . '</p><p><code>' . esc_html( $key ) . '</code></p></div>';
		}
		$settings  = Pairing::settings();
		$differing = Pairing::is_paired() ? Pairing::differing() : array();
		if ( ! Pairing::is_paired() ) {
			echo '<p>' . esc_html__( 'Not paired: nothing is recorded and no stock is taken. Pair this store, then give the key to its agent.', 'counterfoil' ) . '</p>';
			self::button( 'pair', __( 'Pair this store', 'counterfoil' ), true );
			echo '</div>';
			return;
		}
		if ( $differing ) {
			/* translators: %s: names of what differs, such as home, database. */
			echo '<div class="notice notice-error"><p>' . esc_html( sprintf( __( 'This is not the store that was paired: %s differ. It gives nothing out and takes no stock. If it is a copy, leave it so. If the real store has moved, pair it again.', 'counterfoil' ), implode( ', ', $differing ) ) ) . '</p></div>';
		}
		if ( ! $settings['transactional'] ) {
			echo '<div class="notice notice-error"><p>' . esc_html__( 'The tables of posts are not in InnoDB, so stock can\'t be written safely. Let your host convert them, then pair again.', 'counterfoil' ) . '</p></div>';
		}
		self::facts();
		echo '<h2>' . esc_html__( 'Where the agent listens', 'counterfoil' ) . '</h2><p>' . esc_html__( 'The shop wakes the agent there when something changes. Without it the agent looks by itself, some seconds later.', 'counterfoil' ) . '</p><form method="post">';
		wp_nonce_field( 'counterfoil' );
		echo '<input type="hidden" name="counterfoil_do" value="listener"><input class="regular-text" name="counterfoil_listener" placeholder="udp://127.0.0.1:8790" value="' . esc_attr( $settings['listener'] ) . '"> ';
		submit_button( __( 'Save', 'counterfoil' ), 'secondary', 'submit', false );
		echo '</form><h2>' . esc_html__( 'Key', 'counterfoil' ) . '</h2><p>' . esc_html__( 'A new key replaces the one in use, which stays good for a day or until the new one is used.', 'counterfoil' ) . '</p>';
		self::button( 'key', __( 'Make a new key', 'counterfoil' ) );
		echo '<h2>' . esc_html__( 'Pairing', 'counterfoil' ) . '</h2><p>' . esc_html__( 'Pairing again pins this store as it is now and makes a new key; the old one ends at once.', 'counterfoil' ) . '</p>';
		self::button( 'pair', __( 'Pair again', 'counterfoil' ) );
		self::button( 'unpair', __( 'End the pairing', 'counterfoil' ) );
		echo '</div>';
	}

	/**
	 * What is, and what to do about it.
	 */
	private static function facts(): void {
		$health = Routes::health();
		$facts  = array(
			__( 'Paired', 'counterfoil' )           => Routes::time_of( Pairing::settings()['paired_ms'] ),
			__( 'Changes waiting for the agent', 'counterfoil' ) => number_format_i18n( $health['waiting_rows'] ),
			__( 'Oldest of them', 'counterfoil' )   => $health['oldest_waiting'] ?? __( 'none', 'counterfoil' ),
			__( 'Last stock write', 'counterfoil' ) => $health['last_stock_write'] ?? __( 'none yet', 'counterfoil' ),
			__( 'Products whose status has to follow', 'counterfoil' ) => number_format_i18n( $health['crossings_waiting'] ),
		);
		echo '<table class="widefat striped" style="max-width:50em"><tbody>';
		foreach ( $facts as $name => $value ) {
			echo '<tr><th scope="row">' . esc_html( $name ) . '</th><td>' . esc_html( $value ) . '</td></tr>';
		}
		echo '</tbody></table>';
		if ( null !== $health['oldest_waiting'] && strtotime( $health['oldest_waiting'] ) < time() - 15 * MINUTE_IN_SECONDS ) {
			echo '<div class="notice notice-warning"><p>' . esc_html__( 'The agent has taken nothing for more than 15 minutes. Look whether it runs (counterfoil-agent status) and whether it has the present key.', 'counterfoil' ) . '</p></div>';
		}
	}

	/**
	 * A form of one button.
	 *
	 * @param string $does What it asks for.
	 * @param string $text What it says.
	 * @param bool   $main Whether it is the page's main one.
	 */
	private static function button( string $does, string $text, bool $main = false ): void {
		echo '<form method="post" style="display:inline-block;margin-right:1em">';
		wp_nonce_field( 'counterfoil' );
		echo '<input type="hidden" name="counterfoil_do" value="' . esc_attr( $does ) . '">';
		submit_button( $text, $main ? 'primary' : 'secondary', 'submit', false );
		echo '</form>';
	}
}
