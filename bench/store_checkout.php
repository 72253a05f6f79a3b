<?php
/**
 * Router of PHP's own server for a shop whose checkouts are measured: with the plugin or without, as each request asks.
 *
 *     COUNTERFOIL_BENCH_FIGURES=FILE php -S 127.0.0.1:PORT -t WORDPRESS bench/store_checkout.php
 *
 * Header X-Bench-Side: with|without. Without: the plugin isn't loaded in that request. Both are served by one process, whose
 * opcache holds both. When all is done that a request does at its end, FILE holds {"plugin", "statements", "cpu_ms"} of it.
 * No mail is sent, on neither side.
 */

if ( 'cli-server' !== PHP_SAPI ) {
	exit( 1 );
}
$wp_filter = array(
	'pre_wp_mail' => array(
		10 => array(
			array(
				'function'      => static fn() => true,
				'accepted_args' => 1,
			),
		),
	),
);
if ( 'without' === ( $_SERVER['HTTP_X_BENCH_SIDE'] ?? '' ) ) {
	$others                             = static fn( $plugins ) => array_values( preg_grep( '#^counterfoil/#', (array) $plugins, PREG_GREP_INVERT ) );
	$wp_filter['option_active_plugins'] = array(
		10 => array(
			array(
				'function'      => $others,
				'accepted_args' => 1,
			),
		),
	);
}

/**
 * Processor time of this process.
 */
function bench_cpu_ms(): float {
	$used = getrusage();
	return ( $used['ru_utime.tv_sec'] + $used['ru_stime.tv_sec'] ) * 1000 + ( $used['ru_utime.tv_usec'] + $used['ru_stime.tv_usec'] ) / 1000;
}

$bench_began = bench_cpu_ms();
// Asked for at the end, so that it comes after all that others have asked for meanwhile.
register_shutdown_function(
	static fn() => register_shutdown_function(
		static function () use ( $bench_began ) {
			$told = array(
				'plugin'     => class_exists( 'Counterfoil\Log', false ),
				'statements' => $GLOBALS['wpdb']->num_queries,
				'cpu_ms'     => bench_cpu_ms() - $bench_began,
			);
			file_put_contents( getenv( 'COUNTERFOIL_BENCH_FIGURES' ), json_encode( $told ) );
		}
	)
);
$_SERVER['SCRIPT_NAME'] = '/index.php';
chdir( $_SERVER['DOCUMENT_ROOT'] );
require $_SERVER['DOCUMENT_ROOT'] . '/index.php';
