<?php
/**
 * Block checkouts in one process, over WooCommerce's Store API from within: what one costs with the plugin, and without.
 *
 *     php bench/store_checkout.php WORDPRESS with|without
 *
 * One JSON object a line on standard input, one answer each on standard output: {"skus": [...]} makes an order of one of
 * each and answers {"statements", "ms", "cpu_ms"}; {"delete": true} deletes what was made. Without: the plugin isn't loaded
 * in this process. What the plugin does when a request ends is part of what is measured.
 */

if ( 'cli' !== PHP_SAPI || $argc < 3 ) {
	exit( 1 );
}
$_SERVER += array(
	'HTTP_HOST'       => 'localhost',
	'REQUEST_URI'     => '/',
	'REMOTE_ADDR'     => '127.0.0.1',
	'SERVER_PROTOCOL' => 'HTTP/1.1',
);
if ( 'without' === $argv[2] ) {
	$others    = static function ( $plugins ) {
		return array_values( preg_grep( '#^counterfoil/#', (array) $plugins, PREG_GREP_INVERT ) );
	};
	$wp_filter = array(
		'option_active_plugins' => array(
			10 => array(
				array(
					'function'      => $others,
					'accepted_args' => 1,
				),
			),
		),
	);
}
require $argv[1] . '/wp-load.php';
if ( class_exists( 'Counterfoil\Log', false ) !== ( 'with' === $argv[2] ) ) {
	fwrite( STDERR, "The plugin is loaded, or not, other than was asked for.\n" );
	exit( 1 );
}
add_filter( 'pre_wp_mail', '__return_true' );
add_filter( 'woocommerce_store_api_disable_nonce_check', '__return_true' );
add_filter( 'woocommerce_store_api_rate_limit_options', static fn( $options ) => array( 'enabled' => false ) + $options );
wc_load_cart();

/**
 * One order, from the cart to the answer.
 *
 * @param string[] $skus One of each is bought.
 */
function checkout( array $skus ): array {
	global $wpdb;
	wp_cache_flush();
	wp_load_alloptions();
	WC()->cart->empty_cart();
	WC()->session->set( 'store_api_draft_order', 0 );
	// The routes remember the order that they made: each request has routes of its own.
	$GLOBALS['wp_rest_server'] = null;
	rest_get_server();
	foreach ( $skus as $sku ) {
		if ( ! WC()->cart->add_to_cart( wc_get_product_id_by_sku( $sku ), 1 ) ) {
			throw new RuntimeException( "Nobody can buy $sku: " . wp_json_encode( wc_get_notices() ) );
		}
	}
	$address = array(
		'first_name' => 'A',
		'last_name'  => 'Shopper',
		'address_1'  => 'Street 1',
		'city'       => 'Berlin',
		'postcode'   => '10115',
		'country'    => 'DE',
	);
	$request = new WP_REST_Request( 'POST', '/wc/store/v1/checkout' );
	$request->set_body_params(
		array(
			'billing_address'  => $address + array( 'email' => 'shopper@example.com' ),
			'shipping_address' => $address,
			'payment_method'   => 'cod',
		)
	);
	$statements = $wpdb->num_queries;
	$cpu        = cpu_ms();
	$began      = hrtime( true );
	$response   = rest_do_request( $request );
	if ( class_exists( 'Counterfoil\Log', false ) ) {
		\Counterfoil\Log::end();
	}
	$ms   = ( hrtime( true ) - $began ) / 1e6;
	$told = $response->get_data();
	if ( 200 !== $response->get_status() || empty( $told['order_id'] ) ) {
		throw new RuntimeException( 'The checkout failed: ' . wp_json_encode( $told ) );
	}
	return array(
		'order'      => $told['order_id'],
		'statements' => $wpdb->num_queries - $statements,
		'ms'         => $ms,
		'cpu_ms'     => cpu_ms() - $cpu,
	);
}

/**
 * Processor time of this process.
 */
function cpu_ms(): float {
	$used = getrusage();
	return ( $used['ru_utime.tv_sec'] + $used['ru_stime.tv_sec'] ) * 1000 + ( $used['ru_utime.tv_usec'] + $used['ru_stime.tv_usec'] ) / 1000;
}

$made = array();
while ( false !== ( $line = fgets( STDIN ) ) ) { // phpcs:ignore Generic.CodeAnalysis.AssignmentInCondition
	$asked = json_decode( $line, true );
	if ( ! empty( $asked['delete'] ) ) {
		foreach ( $made as $order_id ) {
			wc_get_order( $order_id )->delete( true );
		}
		$answer = array( 'deleted' => count( $made ) );
		$made   = array();
	} else {
		$answer = checkout( $asked['skus'] );
		$made[] = $answer['order'];
	}
	fwrite( STDOUT, wp_json_encode( $answer ) . "\n" );
}
