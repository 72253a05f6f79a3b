<?php
/** Stock: no number hides a sale, none is lost, and what kills either way is shown. */

use Counterfoil\Database;

const PRODUCTS = 4;
const AT_FIRST = 1000;

/** One consistent read: stock and applied moves of each product. They have to add up to what was there at first. */
function wrong_at_this_moment( mysqli $eye, array $warehouse ): array {
	$eye->query( 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ' );
	$eye->query( 'START TRANSACTION WITH CONSISTENT SNAPSHOT' );
	$stock = $eye->query( "SELECT post_id, meta_value + 0 FROM wp_postmeta WHERE meta_key = '_stock'" )->fetch_all();
	$sold  = $eye->query( 'SELECT stock_id, SUM(quantity) + 0 FROM wp_counterfoil_moves WHERE applied = 1 GROUP BY stock_id' )->fetch_all();
	$eye->query( 'COMMIT' );
	$sold  = array_column( $sold, 1, 0 );
	$wrong = array();
	foreach ( $stock as list( $id, $left ) ) {
		if ( (float) $left !== $warehouse[ $id ] + (float) ( $sold[ $id ] ?? 0 ) ) {
			$wrong[ $id ] = array( 'stock' => $left, 'sold' => $sold[ $id ] ?? 0, 'warehouse' => $warehouse[ $id ] );
		}
	}
	return $wrong;
}

function test_shoppers_and_writes_at_once_are_right_at_every_moment_and_no_sale_is_lost() {
	for ( $id = 1; $id <= PRODUCTS; $id++ ) {
		make_product( $id, AT_FIRST );
	}
	$warehouse = array_fill( 1, PRODUCTS, AT_FIRST );
	$shoppers  = array();
	foreach ( array( 1, 2, 3, 4 ) as $seed ) {
		$shoppers[] = process( 'shopper', 60, PRODUCTS, $seed );
	}
	$eye     = connect();
	$n       = 0;
	$writes  = 0;
	$applied = 0;
	$numbers = array( array( 0, array_fill( 1, PRODUCTS, AT_FIRST ) ) );
	do {
		$running = array_filter( $shoppers, function ( $shopper ) { return proc_get_status( $shopper[0] )['running']; } );
		$n       = acknowledge( $n );
		$counted = array_column( Database::rows( 'SELECT stock_id, SUM(quantity) AS sold FROM {moves} WHERE applied = 1 AND n <= %d GROUP BY stock_id', array( $n ) ), 'sold', 'stock_id' );
		$now     = array();
		foreach ( $warehouse as $id => $there ) {
			$now[ $id ] = (int) ( $there + ( $counted[ $id ] ?? 0 ) );
		}
		$numbers[] = array( $n, $now );
		// The engine's number is never the newest: what is written was right three rounds ago.
		list( $basis, $number ) = $numbers[ max( 0, count( $numbers ) - 4 ) ];
		$items = array();
		foreach ( $number as $id => $units ) {
			$items[] = array( 'stock_id' => $id, 'version' => ++$writes, 'number' => $units, 'basis' => array( 'epoch' => 1, 'n' => $basis ) );
		}
		$applied += count( array_keys( array_column( Counterfoil\Stock::write( $items ), 'verdict' ), 'applied', true ) );
		for ( $look = 0; $look < 5; $look++ ) {
			same( array(), wrong_at_this_moment( $eye, $warehouse ), 'at every moment stock and sales add up' );
		}
	} while ( $running );
	array_map( 'wait_for', $shoppers );
	same( array(), wrong_at_this_moment( $eye, $warehouse ), 'at the end' );
	same( array( '0', (string) ( 4 * ( 40 + 20 * 2 ) ) ), array( Database::value( 'SELECT COUNT(*) FROM {moves} WHERE applied = 0' ), Database::value( 'SELECT COUNT(*) FROM {moves} WHERE applied = 1' ) ), 'no sale is lost' );
	must( $applied >= 20, "writes took part: $applied" );
}

/** Four moves of product 1, of which another transaction holds the first; then one more that a shopper is about to apply. */
function a_product_whose_moves_are_locked( mysqli $other ): string {
	make_product( 1, 10 );
	foreach ( array( 1, 2, 3, 4 ) as $ignored ) {
		sell( array( 1 => 1 ) );
	}
	end_request();
	$other->query( 'START TRANSACTION' );
	$other->query( 'SELECT * FROM wp_counterfoil_moves WHERE id = 1 FOR UPDATE' );
	Database::run( "INSERT INTO {moves} (move_id, event_id, order_id, order_item_id, stock_id, sku, quantity, kind, at_ms, applied) VALUES ('m', 'e', 9, 9, 1, '', -1, 'order', 1, 0)" );
	return "UPDATE wp_postmeta s, wp_counterfoil_moves m SET s.meta_value = s.meta_value + m.quantity, m.applied = 1 WHERE s.post_id = 1 AND s.meta_key = '_stock' AND m.move_id = 'm' AND m.applied = 0";
}

function test_the_trap_a_sum_inside_the_update_ends_the_shoppers_statement() {
	$other   = connect();
	$shopper = connect();
	$writer  = connect();
	$sale    = a_product_whose_moves_are_locked( $other );
	foreach ( array( $shopper, $writer ) as $link ) {
		$link->query( 'SET SESSION innodb_lock_wait_timeout = 5' );
	}
	$writer->query( 'START TRANSACTION' );
	$writer->query( "SELECT * FROM wp_postmeta WHERE post_id = 1 AND meta_key = '_stock' FOR UPDATE" );
	$writer->query( "UPDATE wp_postmeta SET meta_value = 10 + (SELECT COALESCE(SUM(quantity), 0) FROM wp_counterfoil_moves WHERE stock_id = 1 AND applied = 1) WHERE post_id = 1 AND meta_key = '_stock'", MYSQLI_ASYNC );
	usleep( 200000 ); // It holds the stock row, and waits for the first move.
	$shopper->query( $sale, MYSQLI_ASYNC );
	usleep( 200000 ); // It holds its move, and waits for the stock row.
	$other->query( 'COMMIT' );
	$answer = $shopper->reap_async_query();
	same( array( false, 1213 ), array( $answer, $shopper->errno ), 'the shopper\'s statement is the one that the database ends' );
	$writer->reap_async_query();
	$writer->query( 'COMMIT' );
	same( array( 6.0, '0' ), array( (float) stock_of( 1 ), moves( 'applied' )[4]['applied'] ), 'and the sale is in no stock' );
}

function test_the_same_meeting_with_the_plugins_write_ends_nobody() {
	$other   = connect();
	$shopper = connect();
	$sale    = a_product_whose_moves_are_locked( $other );
	$holder  = connect();
	$holder->query( 'START TRANSACTION' );
	$holder->query( "SELECT * FROM wp_counterfoil_moves WHERE move_id = 'm' FOR UPDATE" );
	$shopper->query( $sale, MYSQLI_ASYNC );
	usleep( 100000 );
	$start = microtime( true );
	same( 6.0, write_stock( 1, 10, 1, 0 )['stock'], 'it waits for no move' );
	must( microtime( true ) - $start < 1, 'and takes no time' );
	$holder->query( 'COMMIT' );
	$other->query( 'COMMIT' );
	must( true === $shopper->reap_async_query(), 'the shopper goes on: ' . $shopper->error );
	same( '5', stock_of( 1 ), 'and is in the stock' );
}

function test_a_sale_whose_statement_was_ended_is_run_again() {
	global $wpdb;
	make_product( 1, 10 );
	$wpdb->dbh->query( 'SET SESSION innodb_lock_wait_timeout = 1' );
	$holder = process( 'holds', 1, 1600 );
	fread( $holder[1][1], 4 );
	$GLOBALS['may_show'] = true; // WooCommerce's own statement fails aloud, as it does without the plugin.
	sell( array( 1 => 2 ) );
	$GLOBALS['may_show'] = false;
	$wpdb->shown         = array();
	wait_for( $holder );
	same( array( '8', '1' ), array( stock_of( 1 ), moves( 'applied' )[0]['applied'] ), 'the sale is in the stock, once' );
	same( '8', $wpdb->get_var( 'SELECT stock_quantity FROM wp_wc_product_meta_lookup' ), 'and in the lookup table' );
}

function test_a_sale_in_a_transaction_that_the_database_ended_is_run_again_with_its_move() {
	global $wpdb;
	make_product( 1, 10 );
	make_product( 2, 10 );
	// What a deadlock leaves of a transaction: nothing, the move included.
	add_filter(
		'query',
		function ( $sql ) use ( $wpdb ) {
			static $ended = false;
			if ( ! $ended && false !== strpos( $sql, 'm.applied = 1' ) ) {
				$ended = true;
				$wpdb->dbh->query( 'DELETE FROM wp_counterfoil_moves' );
			}
			return $sql;
		}
	);
	sell( array( 1 => 2 ) );
	same( array( '8', array( '-2.0000' ) ), array( stock_of( 1 ), array_column( moves(), 'quantity' ) ), 'stock and move' );
}

function test_queries_are_listened_to_only_while_a_stock_statement_is_under_way() {
	make_product( 1, 10 );
	$listening = array();
	add_filter(
		'query',
		function ( $sql ) use ( &$listening ) {
			$listening[] = count( $GLOBALS['wp_filter']['query'][10] ) - 1;
			return $sql;
		}
	);
	sell( array( 1 => 2 ) );
	must( in_array( 1, $listening, true ), 'the statement\'s own outcome is seen' );
	same( 1, count( $GLOBALS['wp_filter']['query'][10] ), 'and then nobody listens' );
}

function test_an_order_line_costs_one_statement_more_and_an_order_two() {
	global $wpdb;
	foreach ( array( 1, 2, 3 ) as $id ) {
		make_product( $id, 50 );
	}
	$cost = array();
	foreach ( array( array( 1 => 1 ), array( 1 => 1, 2 => 1 ), array( 1 => 1, 2 => 1, 3 => 1 ) ) as $lines ) {
		Counterfoil\Pairing::keep( array( 'paired_ms' => 0 ) );
		$before = $wpdb->num_queries;
		sell( $lines );
		end_request();
		$without = $wpdb->num_queries - $before;
		Counterfoil\Pairing::keep( array( 'paired_ms' => 1 ) );
		$before = $wpdb->num_queries;
		sell( $lines );
		end_request();
		$cost[] = $wpdb->num_queries - $before - $without;
	}
	// Reading a product's SKU is from a cache in WordPress; here it is a query of each line.
	same( array( 3 + 1, 4 + 2, 5 + 3 ), $cost, 'statements more' );
}

function test_what_another_plugin_made_of_the_statement_is_left_alone_and_told_as_an_edit() {
	make_product( 1, 10 );
	add_filter(
		'woocommerce_update_product_stock_query',
		function ( $sql ) {
			return $sql . ' /* by place */';
		},
		5
	);
	sell( array( 1 => 2 ) );
	end_request();
	unset( $GLOBALS['wp_filter']['woocommerce_update_product_stock_query'][5] );
	same( array( '8', array(), array( 'order', 'stock' ) ), array( stock_of( 1 ), moves(), array_column( changes(), 'object' ) ), 'stock, moves, rows' );
}

function test_stock_set_by_hand_is_a_fact_with_who_from_and_to() {
	make_product( 1, 10 );
	$product = new WC_Product( 1 );
	$product->set_stock_quantity( 4 );
	$product->save();
	wc_update_product_stock( new WC_Product( 1 ), 9, 'set' );
	end_request();
	$row = changes()[1];
	same( array( 'stock', '1', 'set' ), array( $row['object'], $row['object_id'], $row['kind'] ), 'row' );
	same( array( 'from' => '4', 'to' => '9', 'how' => 'set', 'user' => 7 ), json_decode( $row['payload'], true ), 'payload' );
	same( array(), moves(), 'an edit is no move' );
}

function test_a_number_counts_off_what_its_basis_does_not_count() {
	make_product( 1, 10 );
	sell( array( 1 => 3 ) );
	end_request();
	same( 7.0, write_stock( 1, 10, 1, 0 )['stock'], 'not told yet' );
	$n = acknowledge( 0 );
	same( 7.0, write_stock( 1, 10, 2, 0 )['stock'], 'told, not counted' );
	same( 7.0, write_stock( 1, 7, 3, $n )['stock'], 'counted' );
	same( 7.0, write_stock( 1, 7, 4, 0, 2 )['stock'], 'a later epoch has counted all of the earlier one' );
}

function test_a_raise_is_credited_only_up_to_an_uncounted_lowering_of_its_line() {
	make_product( 1, 10 );
	$order = sell( array( 1 => 3 ) );
	$other = sell( array( 1 => 1 ) );
	end_request();
	$n = acknowledge( 0 );
	wc_increase_stock_levels( $order );
	end_request();
	same( '9', stock_of( 1 ), 'the shop put the goods back' );
	same( 6.0, write_stock( 1, 6, 1, $n )['stock'], 'the lowering is counted, the raise is not: only the engine may raise' );
	wc_increase_stock_levels( $other );
	$late = sell( array( 1 => 2 ) );
	wc_increase_stock_levels( $late );
	end_request();
	same( 6.0, write_stock( 1, 6, 2, $n )['stock'], 'lowered and raised since: nothing is taken off' );
	sell( array( 1 => 2 ) );
	same( 4.0, write_stock( 1, 6, 3, $n )['stock'], 'another line\'s raise pays for no sale' );
}

function test_a_version_is_applied_once_and_an_older_one_never() {
	make_product( 1, 10 );
	same( 'applied', write_stock( 1, 5, 8, 0 )['verdict'], 'first' );
	same( array( 'older', 'older' ), array( write_stock( 1, 9, 8, 0 )['verdict'], write_stock( 1, 9, 7, 0 )['verdict'] ), 'again and older' );
	same( array( '', 'The shop has a number of version 8.' ), array( write_stock( 1, 9, 8, 0 )['reason'], write_stock( 1, 9, 7, 0 )['reason'] ), 'why' );
	same( '5', stock_of( 1 ), 'stock' );
	$basis   = array( 'epoch' => 1, 'n' => 0 );
	$results = Counterfoil\Stock::write( array( array( 'stock_id' => 1, 'version' => 12, 'number' => 2, 'basis' => $basis ), array( 'stock_id' => 1, 'version' => 11, 'number' => 3, 'basis' => $basis ) ) );
	same( array( 'applied', 'older' ), array_column( $results, 'verdict' ), 'twice in one call' );
}

function test_every_bad_item_has_a_verdict_with_a_reason_and_the_others_go_on() {
	make_product( 1, 10 );
	make_product( 2, 10, array( '_manage_stock' => 'no' ) );
	make_product( 3, 10, array(), 'post' );
	$GLOBALS['wpdb']->dbh->query( "INSERT INTO wp_posts (ID, post_type, post_status) VALUES (4, 'product', 'trash')" );
	$basis = array( 'epoch' => 1, 'n' => 0 );
	$items = array();
	foreach ( array( 2 => 'unmanaged', 3 => 'missing', 4 => 'missing', 5 => 'missing' ) as $id => $verdict ) {
		$items[]    = array( 'stock_id' => $id, 'version' => 1, 'number' => 1, 'basis' => $basis );
		$expected[] = $verdict;
	}
	foreach ( array( '1', 1.5, null, 10 ** 12, 'many', array() ) as $number ) {
		$items[]    = array( 'stock_id' => 1, 'version' => 1, 'number' => $number, 'basis' => $basis );
		$expected[] = 'error';
	}
	foreach ( array( 'nothing', null, array(), array( 'stock_id' => '1' ), array( 'stock_id' => 1, 'version' => 0 ), array( 'stock_id' => 1, 'version' => 1, 'number' => 1, 'basis' => array( 'epoch' => 1 ) ) ) as $item ) {
		$items[]    = $item;
		$expected[] = 'error';
	}
	$items[]    = array( 'stock_id' => 1, 'version' => 1, 'number' => -3, 'basis' => $basis );
	$expected[] = 'applied';
	$results    = Counterfoil\Stock::write( $items );
	same( $expected, array_column( $results, 'verdict' ), 'verdicts' );
	must( ! in_array( '', array_column( array_slice( $results, 0, -1 ), 'reason' ), true ), 'each says why' );
	same( '-3', stock_of( 1 ), 'a negative number is written: the engine owes goods' );
}

function test_a_product_whose_stock_was_never_written_gets_its_row() {
	make_product( 1, 0 );
	$GLOBALS['wpdb']->dbh->query( "DELETE FROM wp_postmeta WHERE meta_key = '_stock'" );
	same( 'applied', write_stock( 1, 5, 1, 0 )['verdict'], 'verdict' );
	same( '5', stock_of( 1 ), 'stock' );
}

function test_status_follows_by_the_shops_own_save_and_the_mark_is_cleared_last() {
	make_product( 1, 10 );
	make_product( 2, 10, array( '_backorders' => 'notify' ) );
	$GLOBALS['caches'] = array();
	same( array( true, true ), array( write_stock( 1, 0, 1, 0 )['crossed'], write_stock( 2, 0, 1, 0 )['crossed'] ), 'both cross' );
	same( array( 'outofstock', 'onbackorder' ), array( get_post_meta( 1, '_stock_status' ), get_post_meta( 2, '_stock_status' ) ), 'status' );
	same( array( '0', '0' ), array_column( Database::rows( 'SELECT crossing FROM {stock}' ), 'crossing' ), 'marks' );
	must( in_array( 'post_meta/1', $GLOBALS['caches'], true ) && in_array( 'version/product', $GLOBALS['caches'], true ), 'caches are dropped' );
	same( array(), changes(), 'the plugin\'s own write is no news' );
	same( false, write_stock( 1, 0, 2, 0 )['crossed'], 'nothing to cross the second time' );
}

function test_a_sale_between_the_crossing_and_its_save_is_seen() {
	make_product( 1, 0 );
	$sold = false;
	add_filter(
		'query',
		function ( $sql ) use ( &$sold ) {
			if ( ! $sold && false !== strpos( $sql, "'instock' WHERE post_id" ) ) {
				$sold = true; // The product was read with 2 in stock; before its status is saved they are sold.
				connect()->query( "UPDATE wp_postmeta SET meta_value = '0' WHERE post_id = 1 AND meta_key = '_stock'" );
			}
			return $sql;
		}
	);
	write_stock( 1, 2, 1, 0 );
	must( $sold, 'the sale came in between' );
	same( 'outofstock', get_post_meta( 1, '_stock_status' ), 'the last word is the stock\'s' );
}

function test_a_crossing_that_a_dead_process_left_is_finished_and_caches_are_dropped_once_more() {
	make_product( 1, 0 );
	write_stock( 1, 5, 1, 0 );
	$GLOBALS['wpdb']->dbh->query( "UPDATE wp_postmeta SET meta_value = 'outofstock' WHERE meta_key = '_stock_status'" );
	$GLOBALS['wpdb']->dbh->query( 'UPDATE wp_wc_product_meta_lookup SET stock_quantity = 99' );
	Database::run( 'UPDATE {stock} SET crossing = 1, at_ms = at_ms - 10000' );
	$GLOBALS['caches'] = array();
	Counterfoil\Stock::settle_late();
	same( 'instock', get_post_meta( 1, '_stock_status' ), 'status' );
	same( '5', $GLOBALS['wpdb']->get_var( 'SELECT stock_quantity FROM wp_wc_product_meta_lookup' ), 'what a shopper\'s process wrote late is put right' );
	must( in_array( 'post_meta/1', $GLOBALS['caches'], true ), 'caches' );
	same( array( 'crossing' => '0', 'late' => '0' ), Database::rows( 'SELECT crossing, late FROM {stock}' )[0], 'marks' );
}

function test_a_connection_that_breaks_in_the_middle_of_a_write_hides_no_sale() {
	global $wpdb;
	make_product( 1, 10 );
	$broken = 0;
	add_filter(
		'query',
		function ( $sql ) use ( &$broken, $wpdb ) {
			if ( ! $broken && 0 === strpos( $sql, 'UPDATE wp_postmeta SET meta_value = CASE' ) ) {
				$broken = $wpdb->dbh->thread_id;
				$other  = connect();
				$other->query( "KILL $broken" );
				usleep( 100000 );
				// The locks are gone, and a shopper buys: the write was made up before this sale.
				$other->query( "UPDATE wp_postmeta SET meta_value = '9' WHERE post_id = 1 AND meta_key = '_stock'" );
				$other->query( "INSERT INTO wp_counterfoil_moves (move_id, event_id, order_id, order_item_id, stock_id, sku, quantity, kind, at_ms, applied) VALUES ('x', 'e', 1, 1, 1, '', -1, 'order', 1, 1)" );
			}
			return $sql;
		}
	);
	$result = write_stock( 1, 10, 1, 0 );
	must( $broken > 0, 'it broke' );
	same( array( 'applied', 9.0, '9' ), array( $result['verdict'], $result['stock'], stock_of( 1 ) ), 'written anew, less the sale' );
}

function test_a_number_whose_end_has_come_leaves_the_share_for_silence() {
	make_product( 1, 10 );
	write_stock( 1, 9, 1, 0, 1, array( 'expires_at' => '2020-01-01T00:00:00Z', 'silence_share' => '0.5' ) );
	sell( array( 1 => 1 ) );
	same( '8', stock_of( 1 ), 'not yet' );
	Counterfoil\Stock::lapse();
	same( '3', stock_of( 1 ), 'half of nine, less the sale that was not counted' );
	Counterfoil\Stock::lapse();
	same( '3', stock_of( 1 ), 'once' );
	write_stock( 1, 9, 2, 0 );
	same( '8', stock_of( 1 ), 'the next number is whole again' );
	write_stock( 1, -3, 3, 0, 1, array( 'expires_at' => '2020-01-01T00:00:00Z', 'silence_share' => '0.5' ) );
	Counterfoil\Stock::lapse();
	same( '-4', stock_of( 1 ), 'a debt stays one' );
}

function test_without_row_locks_no_stock_is_taken_and_sales_go_on() {
	make_product( 1, 10 );
	$GLOBALS['wpdb']->dbh->query( 'ALTER TABLE wp_postmeta ENGINE=MyISAM' );
	Counterfoil\Pairing::pair();
	sell( array( 1 => 2 ) );
	same( array( '8', array() ), array( stock_of( 1 ), moves() ), 'WooCommerce\'s own statement' );
	$result = write_stock( 1, 10, 1, 0 );
	same( 'error', $result['verdict'], 'verdict' );
	must( false !== strpos( $result['reason'], 'InnoDB' ), 'it says what to do' );
}

function test_the_digest_leaves_out_a_raise_that_the_number_left_out() {
	make_product( 1, 10 );
	$order = sell( array( 1 => 3 ) );
	$n     = acknowledge( 0 );
	wc_increase_stock_levels( $order );
	same( '10', stock_of( 1 ), 'as WooCommerce has it' );
	usleep( 2000 );
	write_stock( 1, 7, 1, $n );
	same( '7', stock_of( 1 ), 'only the engine\'s number raises stock' );
	$place = substr( md5( '1' ), 0, 4 );
	same( '7.000', Counterfoil\Sweeps::digest( $place )['items'][0]['number'], 'nobody edited it' );
	usleep( 2000 );
	sell( array( 1 => 2 ) );
	same( '7.000', Counterfoil\Sweeps::digest( $place )['items'][0]['number'], 'a later sale is taken off as ever' );
}

function test_the_digest_is_the_engines_number_until_someone_edits() {
	make_product( 1, 10 );
	make_product( 2, 4 );
	make_product( 3, 4, array( '_manage_stock' => 'no' ) );
	write_stock( 1, 10, 1, 0 );
	$before = Counterfoil\Sweeps::digest( '' )['buckets'];
	sell( array( 1 => 3 ) );
	same( $before, Counterfoil\Sweeps::digest( '' )['buckets'], 'a sale that is not counted changes no digest' );
	$expected = array();
	foreach ( array( '1|SKU-1|10.000|instock', '2|SKU-2|4.000|instock' ) as $text ) {
		$bucket              = substr( md5( strtok( $text, '|' ) ), 0, 2 );
		$expected[ $bucket ] = array( 'bucket' => $bucket, 'count' => 1, 'digest' => substr( md5( $text ), 0, 15 ) );
	}
	ksort( $expected );
	same( array_values( $expected ), $before, 'as anyone can compute it' );
	$place = substr( md5( '1' ), 0, 4 );
	same( array( $place ), array_column( Counterfoil\Sweeps::digest( substr( $place, 0, 2 ) )['buckets'], 'bucket' ), 'below it' );
	same( array( 'stock_id' => 1, 'sku' => 'SKU-1', 'number' => '10.000', 'stock' => '7.000', 'status' => 'instock', 'version' => 1 ), Counterfoil\Sweeps::digest( $place )['items'][0], 'the product itself' );
	wc_update_product_stock( new WC_Product( 2 ), 9, 'set' );
	must( $before !== Counterfoil\Sweeps::digest( '' )['buckets'], 'an edit shows' );
}
