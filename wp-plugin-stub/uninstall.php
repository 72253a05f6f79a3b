<?php
/**
 * Leaves nothing behind: tables, options, cron and capability, on every site of a network.
 *
 * @package Counterfoil
 */

defined( 'WP_UNINSTALL_PLUGIN' ) || exit;

/**
 * Remove everything of the site that is current now.
 */
function counterfoil_remove() {
	global $wpdb;
	foreach ( array( 'changes', 'moves', 'stock', 'nonces' ) as $table ) {
		$wpdb->query( "DROP TABLE IF EXISTS {$wpdb->prefix}counterfoil_$table" ); // phpcs:ignore WordPress.DB
	}
	foreach ( array( 'counterfoil', 'counterfoil_keys', 'counterfoil_stock_ms', 'counterfoil_upkeep_ms' ) as $option ) {
		delete_option( $option );
	}
	wp_clear_scheduled_hook( 'counterfoil_upkeep' );
	foreach ( array_keys( wp_roles()->roles ) as $role ) {
		get_role( $role )->remove_cap( 'manage_counterfoil' );
	}
}

if ( is_multisite() ) {
	foreach ( get_sites(
		array(
			'fields' => 'ids',
			'number' => 0,
		)
	) as $counterfoil_site ) {
		switch_to_blog( $counterfoil_site );
		counterfoil_remove();
		restore_current_blog();
	}
} else {
	counterfoil_remove();
}
