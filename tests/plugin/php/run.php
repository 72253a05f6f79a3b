<?php
/** Runs the tests of one file, each in a database made anew, and says a JSON object a line: name, and the fault or null. */

require __DIR__ . '/shop.php';
require $argv[1];

function begin(): void {
	global $wpdb;
	restore_all();
	$wpdb->dbh->query( 'DROP DATABASE ' . DB_NAME );
	$wpdb->dbh->query( 'CREATE DATABASE ' . DB_NAME );
	$wpdb->dbh->select_db( DB_NAME );
	make_tables();
	Counterfoil\Pairing::pair();
}
function restore_all(): void {
	Counterfoil\Log::close( 0 );
	$GLOBALS['sites']              = null;
	$GLOBALS['orders_have_tables'] = true;
	$GLOBALS['home']               = null;
	$GLOBALS['logged']             = array();
	$GLOBALS['sent']               = array();
	$GLOBALS['wpdb']->shown        = array();
	$GLOBALS['wp_filter']['query'] = array();
}

foreach ( get_defined_functions()['user'] as $name ) {
	if ( 0 !== strpos( $name, 'test_' ) ) {
		continue;
	}
	$fault = null;
	try {
		begin();
		$name();
		must( array() === $GLOBALS['wpdb']->shown || ! empty( $GLOBALS['may_show'] ), 'an error was shown to the shopper: ' . json_encode( $GLOBALS['wpdb']->shown ) );
	} catch ( Throwable $e ) {
		$fault = get_class( $e ) . ': ' . $e->getMessage() . ' (' . basename( $e->getFile() ) . ':' . $e->getLine() . '); logged: ' . json_encode( $GLOBALS['logged'] );
	}
	echo json_encode( array( 'name' => $name, 'fault' => $fault ) ), "\n";
}
