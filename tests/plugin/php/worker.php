<?php
/** What happens in another process: shoppers who buy, an agent that falls behind, a request that dies. */

require __DIR__ . '/shop.php';

use Counterfoil\Database;

switch ( $argv[1] ) {
	case 'shopper': // Buys so often, one or two products at a time, of so many products.
		mt_srand( (int) $argv[4] );
		for ( $sale = 0; $sale < (int) $argv[2]; $sale++ ) {
			$first = mt_rand( 1, (int) $argv[3] );
			sell( 0 === $sale % 3 ? array( $first => 1, 1 + $first % (int) $argv[3] => 1 ) : array( $first => 1 ) );
			end_request();
		}
		break;
	case 'dies_before_save':
		$order          = new WC_Order( 1, 'pending' );
		$order->changes = array( 'status' => 'processing' );
		$order->save(
			function () {
				posix_kill( getmypid(), SIGKILL );
			}
		);
		break;
	case 'dies_before_statement': // Between the move and the statement that applies it.
		add_filter(
			'query',
			function ( $sql ) {
				if ( false !== strpos( $sql, 'm.applied = 1' ) ) {
					posix_kill( getmypid(), SIGKILL );
				}
				return $sql;
			}
		);
		sell( array( 1 => 2 ) );
		break;
	case 'holds': // Holds the stock row of a product for so many milliseconds.
		$link = connect();
		$link->query( 'START TRANSACTION' );
		$link->query( 'SELECT * FROM wp_postmeta WHERE post_id = ' . (int) $argv[2] . " AND meta_key = '_stock' FOR UPDATE" );
		echo 'held';
		fflush( STDOUT );
		usleep( (int) $argv[3] * 1000 );
		$link->query( 'ROLLBACK' );
		break;
}
