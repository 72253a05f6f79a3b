<?php
/** A shop with the plugin in it: what each test and each process of a shopper starts from. */

error_reporting( E_ALL );
set_error_handler(
	function ( $level, $text, $file, $line ) {
		if ( error_reporting() & $level ) {
			throw new ErrorException( $text, 0, $level, $file, $line );
		}
		return true;
	}
);
require __DIR__ . '/wordpress.php';
require __DIR__ . '/woocommerce.php';
require __DIR__ . '/../../../wp-plugin-stub/counterfoil.php';
do_action( 'woocommerce_loaded' );

use Counterfoil\Database;

function must( bool $holds, string $what ): void {
	if ( ! $holds ) {
		throw new RuntimeException( $what );
	}
}
function same( $expected, $actual, string $what ): void {
	must( $expected === $actual, $what . ': expected ' . json_encode( $expected ) . ', is ' . json_encode( $actual ) );
}

/** End the request, as PHP does when a script ends; the next touch is another request's. */
function end_request(): void {
	Counterfoil\Log::end();
}
function changes( string $columns = '*' ): array {
	return Database::rows( "SELECT $columns FROM {changes} ORDER BY id" );
}
function moves( string $columns = '*' ): array {
	return Database::rows( "SELECT $columns FROM {moves} ORDER BY id" );
}

/** What an agent does: give every waiting row and its moves the next numbers; gives the last one. */
function acknowledge( int $n, int $epoch = 1 ): int {
	foreach ( Database::column( 'SELECT event_id FROM {changes} WHERE acked_ms IS NULL AND open = 0 ORDER BY id' ) as $event ) {
		++$n;
		Database::run( 'UPDATE {changes} SET epoch = %d, n = %d, acked_ms = %d WHERE event_id = %s', array( $epoch, $n, Database::now_ms(), $event ) );
		Database::run( 'UPDATE {moves} SET epoch = %d, n = %d, acked_ms = %d WHERE event_id = %s AND applied = 1', array( $epoch, $n, Database::now_ms(), $event ) );
	}
	return $n;
}
function write_stock( int $id, int $number, int $version, int $n, int $epoch = 1, array $more = array() ): array {
	return Counterfoil\Stock::write( array( array( 'stock_id' => $id, 'version' => $version, 'number' => $number, 'basis' => array( 'epoch' => $epoch, 'n' => $n ) ) + $more ) )[0];
}

/** Another PHP process in the same shop. */
function process( string $does, ...$args ) {
	$command = array_merge( array( PHP_BINARY, __DIR__ . '/worker.php', $does ), array_map( 'strval', $args ) );
	$handle  = proc_open( $command, array( 1 => array( 'pipe', 'w' ), 2 => array( 'pipe', 'w' ) ), $pipes );
	return array( $handle, $pipes );
}
function wait_for( array $process ): string {
	list( $handle, $pipes ) = $process;
	$said   = stream_get_contents( $pipes[1] );
	$errors = stream_get_contents( $pipes[2] );
	proc_close( $handle );
	must( '' === $errors, "a process failed: $errors" );
	return $said;
}

/** A signed request by the agent; gives the answer, or the refusal's code and status. */
function call_route( string $method, string $path, $body = null, array $forged = array() ) {
	if ( empty( $GLOBALS['routes'] ) ) {
		do_action( 'rest_api_init' );
	}
	if ( empty( $GLOBALS['key'] ) || ! empty( $forged['rotate'] ) || get_option( 'counterfoil_keys' )['key'] !== $GLOBALS['key'] && ! isset( $forged['key'] ) ) {
		$GLOBALS['key'] = get_option( 'counterfoil_keys' )['key'];
	}
	$route   = "/counterfoil/v1$path";
	$request = new WP_REST_Request( $method, $route );
	$query   = $forged['query'] ?? array();
	ksort( $query );
	$signed = $forged['signed'] ?? $route . ( $query ? '?' . http_build_query( $query, '', '&', PHP_QUERY_RFC3986 ) : '' );
	$raw    = null === $body ? '' : ( is_string( $body ) ? $body : json_encode( $body ) );
	$time   = (string) ( $forged['time'] ?? time() );
	$nonce  = $forged['nonce'] ?? bin2hex( random_bytes( 16 ) );
	$text   = implode( "\n", array( $method, $signed, $time, $nonce, hash( 'sha256', $forged['signed_body'] ?? $raw ) ) );
	$request->set_header( 'X-Counterfoil-Timestamp', $time );
	$request->set_header( 'X-Counterfoil-Nonce', $nonce );
	$request->set_header( 'X-Counterfoil-Signature', $forged['signature'] ?? hash_hmac( 'sha256', $text, $forged['key'] ?? $GLOBALS['key'] ) );
	$request->set_query_params( ( $forged['sent_query'] ?? $query ) + array( 'rest_route' => $route ) );
	$request->set_body( $raw );
	$definition = $GLOBALS['routes'][ $route ];
	$allowed    = $definition['permission_callback']( $request );
	$answer     = true === $allowed ? $definition['callback']( $request ) : $allowed;
	return $answer instanceof WP_Error ? array( $answer->get_error_code(), $answer->get_error_data()['status'], $answer->get_error_message() ) : $answer;
}
