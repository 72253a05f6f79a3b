<?php
/** The change log: written before the save, closed at the end, bounded, and of no harm to the shop whatever happens. */

use Counterfoil\Database;
use Counterfoil\Hooks;
use Counterfoil\Log;
use Counterfoil\Upkeep;

function test_a_new_order_is_one_row_open_while_it_is_saved_and_closed_with_its_id_after() {
	$seen           = null;
	$order          = new WC_Order();
	$order->changes = array( 'status' => 'pending', 'total' => '5' );
	$order->save(
		function () use ( &$seen ) {
			$seen = changes( 'object, object_id, open' );
		}
	);
	$order->add( 1, 1 );
	$order->save();
	same( array( array( 'object' => 'order', 'object_id' => '0', 'open' => '1' ) ), $seen, 'before the save' );
	end_request();
	same( array( array( 'object_id' => '1', 'kind' => 'total', 'open' => '0', 'payload' => null ) ), changes( 'object_id, kind, open, payload' ), 'after the request' );
	must( 1 === preg_match( '/^[0-9a-f]{32}$/', changes()[0]['event_id'] ), 'a random event id' );
}

function test_an_order_that_was_never_saved_leaves_no_row() {
	$order          = new WC_Order();
	$order->changes = array( 'status' => 'pending' );
	do_action( 'woocommerce_before_order_object_save', $order );
	end_request();
	same( array(), changes(), 'rows' );
}

function test_a_process_killed_between_row_and_save_leaves_an_open_row_that_is_read_a_minute_later() {
	$GLOBALS['wpdb']->dbh->query( "INSERT INTO wp_wc_orders (id, status, type) VALUES (1, 'pending', 'shop_order')" );
	wait_for( process( 'dies_before_save' ) );
	same( array( array( 'object_id' => '1', 'open' => '1' ) ), changes( 'object_id, open' ), 'the row' );
	same( 'pending', wc_get_order( 1 )->get_status(), 'the order is as it was' );
	$answer = call_route( 'GET', '/changes' );
	same( array( array(), array( 1 ) ), array( $answer['rows'], $answer['open'] ), 'it may still be under way' );
	Database::run( 'UPDATE {changes} SET at_ms = at_ms - 61000' );
	$answer = call_route( 'GET', '/changes' );
	same( array( array( 1 ), array() ), array( array_column( $answer['rows'], 'object_id' ), $answer['open'] ), 'a minute later it is read' );
}

function test_a_process_killed_between_move_and_statement_lowered_nothing_and_tells_of_nothing() {
	make_product( 1, 10 );
	wait_for( process( 'dies_before_statement' ) );
	same( array( '10', '0' ), array( stock_of( 1 ), moves( 'applied' )[0]['applied'] ), 'stock and move' );
	Database::run( 'UPDATE {changes} SET at_ms = at_ms - 61000' );
	same( array(), call_route( 'GET', '/changes' )['moves'], 'moves told' );
	same( 10.0, write_stock( 1, 10, 1, 0 )['stock'], 'nothing is taken off' );
}

function test_drafts_are_no_orders_until_they_are_placed() {
	$draft          = new WC_Order();
	$draft->changes = array( 'status' => 'checkout-draft' );
	$draft->save();
	$draft->add( 1, 1 );
	$draft->save();
	end_request();
	same( array(), changes(), 'drafts' );
	$draft->changes = array( 'status' => 'pending' );
	$queries        = $GLOBALS['wpdb']->num_queries;
	do_action( 'woocommerce_before_order_object_save', $draft );
	same( 1, $GLOBALS['wpdb']->num_queries - $queries, 'a placed draft has no earlier row that would have to be looked for' );
	end_request();
	same( array( 'status' ), array_column( changes(), 'kind' ), 'placed' );
}

function test_what_was_true_before_money_moved_is_kept_until_it_is_read() {
	$order = sell( array() );
	end_request();
	foreach ( array( array( 'note' => 'x' ), array( 'status' => 'completed' ), array( 'note' => 'y' ), array( 'note' => 'z' ) ) as $changes ) {
		$order->changes = $changes;
		$order->save();
		end_request();
	}
	$status = array_map(
		function ( $row ) {
			return json_decode( (string) $row['payload'], true )['order']['status'] ?? null;
		},
		changes()
	);
	same( array( 'processing', null, 'completed', null, null ), $status, 'only rows about money take a snapshot along, each its own' );
}

function test_a_row_of_money_that_was_read_needs_nothing_kept() {
	$order = sell( array() );
	end_request();
	acknowledge( 0 );
	$order->changes = array( 'status' => 'completed' );
	$order->save();
	end_request();
	same( array( null, null ), array_column( changes(), 'payload' ), 'payloads' );
}

function test_a_product_saved_by_a_sale_alone_is_no_news() {
	make_product( 1, 10 );
	( new WC_Product( 1 ) )->save();
	end_request();
	same( array(), changes(), 'nothing changed' );
}

function test_deleted_orders_take_along_what_they_were() {
	$order = sell( array() );
	end_request();
	acknowledge( 0 );
	do_action( 'woocommerce_before_delete_order', $order->get_id(), $order );
	end_request();
	same( array( 'deleted', 'processing' ), array( changes()[1]['kind'], json_decode( changes()[1]['payload'], true )['order']['status'] ), 'row' );
}

function test_what_a_deleted_order_was_is_read_before_its_parts_go_and_only_then() {
	$loses_its_parts = static function ( $order_id ) {
		$GLOBALS['wpdb']->query( "UPDATE wp_wc_orders SET status = 'half-gone' WHERE id = $order_id" );
	};
	add_action( 'woocommerce_before_delete_order', $loses_its_parts, 2 );
	$told = array( sell( array() ), sell( array() ) );
	end_request();
	acknowledge( 0 );
	apply_filters( 'woocommerce_pre_delete_order', null, $told[0], true );
	foreach ( $told as $order ) {
		do_action( 'woocommerce_before_delete_order', $order->get_id(), $order );
	}
	do_action( 'woocommerce_before_delete_order', $told[1]->get_id(), $told[1] );
	end_request();
	$kept = array_map(
		static function ( $row ) {
			return json_decode( $row['payload'], true )['order']['status'];
		},
		array_slice( changes(), 2 )
	);
	same( array( 'processing', 'processing' ), $kept, 'whole, by whichever hook came first' );
}

function test_refunds_tell_of_their_order_when_made_and_when_deleted() {
	do_action( 'woocommerce_before_order_refund_object_save', new WC_Order_Refund( 5 ) );
	end_request();
	apply_filters( 'woocommerce_pre_delete_order_refund', null, new WC_Order_Refund( 5 ) );
	do_action( 'woocommerce_refund_deleted', 9, 5 );
	end_request();
	same( array( '5 refund', '5 refund' ), array_column( changes( "CONCAT(object_id, ' ', kind) AS said" ), 'said' ), 'one row a request' );
}

function test_where_orders_are_posts_their_posts_tell() {
	$GLOBALS['wpdb']->dbh->query( "INSERT INTO wp_posts (ID, post_type, post_parent) VALUES (8, 'shop_order', 0), (9, 'shop_order_refund', 8), (10, 'product', 0), (11, 'page', 0)" );
	foreach ( array( true, false ) as $in_tables ) {
		$GLOBALS['orders_have_tables'] = $in_tables;
		foreach ( array( 8, 9, 10, 11 ) as $id ) {
			do_action( 'wp_trash_post', $id );
		}
		end_request();
	}
	same( array( '10 trashed', '8 trashed', '10 trashed' ), array_column( changes( "CONCAT(object_id, ' ', kind) AS said" ), 'said' ), 'rows' );
}

function test_a_request_of_more_than_a_minute_tells_once_more() {
	make_product( 1, 10 );
	$order = sell( array( 1 => 1 ) );
	Database::run( 'UPDATE {changes} SET epoch = 1, n = 1, acked_ms = 1' ); // Read and acknowledged while still open.
	Database::run( 'UPDATE {moves} SET epoch = 1, n = 1, acked_ms = 1' );
	$order->items = array();
	$order->add( 1, 2 );
	wc_reduce_stock_levels( $order );
	end_request();
	$rows = changes();
	same( array( '1', null ), array_column( $rows, 'n' ), 'two rows' );
	must( $rows[0]['event_id'] !== $rows[1]['event_id'], 'another event' );
	same( array( $rows[0]['event_id'], $rows[1]['event_id'] ), array_column( moves(), 'event_id' ), 'each move in one of them' );
}

function test_moves_that_a_dead_process_left_without_a_row_get_one() {
	make_product( 1, 10 );
	sell( array( 1 => 1 ) );
	Database::run( 'UPDATE {changes} SET epoch = 1, n = 1, acked_ms = %d', array( Database::now_ms() ) );
	Database::run( 'UPDATE {moves} SET at_ms = 1' );
	Log::close( 0 ); // As if the process ended here: the row was read, the move not told.
	Database::run( 'DELETE FROM {changes} WHERE n IS NULL' );
	Upkeep::run();
	$told = call_route( 'GET', '/changes' );
	same( array( 1, 1 ), array( count( $told['rows'] ), count( $told['moves'] ) ), 'told' );
	Upkeep::run();
	same( 2, count( changes() ), 'once' );
}

function test_a_long_import_closes_its_rows_on_the_way() {
	for ( $id = 1; $id <= Log::MOST_OPEN + 5; $id++ ) {
		Log::touch( 'product', $id, 'edited' );
	}
	$open = (int) Database::value( 'SELECT COUNT(*) FROM {changes} WHERE open = 1' );
	must( $open <= Log::STAY_OPEN + 5, "open: $open" );
	end_request();
	same( '0', Database::value( 'SELECT COUNT(*) FROM {changes} WHERE open = 1' ), 'at the end none' );
}

function test_near_the_bound_the_unread_rows_of_an_object_become_one_with_all_their_moves() {
	make_product( 1, 10 );
	$order = sell( array( 1 => 1 ) );
	end_request();
	wc_increase_stock_levels( $order );
	end_request();
	wc_reduce_stock_levels( $order );
	end_request();
	Log::insert( 'product', 5, 'edited', 0 );
	$before = array_column( changes(), 'event_id' );
	Upkeep::merge();
	$rows = changes();
	same( array( 'order', 'product' ), array_column( $rows, 'object' ), 'one row each' );
	must( ! in_array( $rows[0]['event_id'], $before, true ), 'what it tells now was told under no id before' );
	same( array_fill( 0, 3, $rows[0]['event_id'] ), array_column( moves(), 'event_id' ), 'no move is lost' );
}

function test_read_rows_go_after_a_week_and_moves_only_below_the_basis_of_their_product() {
	make_product( 1, 10 );
	make_product( 2, 10 );
	sell( array( 1 => 1, 2 => 1 ) );
	end_request();
	$n = acknowledge( 0 );
	Log::insert( 'product', 1, 'edited', 0 );
	acknowledge( $n );
	Database::run( 'UPDATE {changes} SET acked_ms = 1' );
	Database::run( 'UPDATE {moves} SET acked_ms = 1' );
	Upkeep::run();
	same( array( 1, 2 ), array( count( changes() ), count( moves() ) ), 'the newest row stays, so that the head never falls; no number counts the moves yet' );
	write_stock( 1, 9, 1, $n );
	Upkeep::run();
	same( array(), moves(), 'counted; for the product without a number by the highest basis' );
}

function test_unread_rows_and_moves_never_go() {
	make_product( 1, 10 );
	sell( array( 1 => 1 ) );
	end_request();
	Database::run( 'UPDATE {changes} SET at_ms = 1' );
	Database::run( 'UPDATE {moves} SET at_ms = 1' );
	Upkeep::run();
	same( array( 1, 1 ), array( count( changes() ), count( moves() ) ), 'rows and moves' );
}

function test_with_its_tables_gone_the_shop_sells_as_without_the_plugin() {
	make_product( 1, 10 );
	foreach ( Database::TABLES as $table ) {
		Database::run( "DROP TABLE {{$table}}" );
	}
	sell( array( 1 => 2 ) );
	end_request();
	same( '8', stock_of( 1 ), 'sold' );
	must( count( $GLOBALS['logged'] ) > 0, 'the shop\'s log says it' );
	same( array(), $GLOBALS['wpdb']->shown, 'the shopper sees nothing' );
}

function test_before_it_is_paired_nothing_is_written() {
	make_product( 1, 10 );
	Counterfoil\Pairing::unpair();
	sell( array( 1 => 2 ) );
	end_request();
	same( array( '8', array(), array() ), array( stock_of( 1 ), changes(), moves() ), 'stock, rows, moves' );
}

function test_the_agent_is_woken_once_a_request_and_nobody_waits_for_it() {
	$agent   = stream_socket_server( 'udp://127.0.0.1:0', $number, $text, STREAM_SERVER_BIND );
	$address = stream_socket_get_name( $agent, false );
	Counterfoil\Pairing::keep( array( 'listener' => "udp://$address" ) );
	sell( array() );
	sell( array() );
	end_request();
	stream_set_blocking( $agent, false );
	same( 'counterfoil ' . Counterfoil\Pairing::fingerprint(), stream_socket_recvfrom( $agent, 200 ), 'woken' );
	same( '', (string) stream_socket_recvfrom( $agent, 200 ), 'once' );
	fclose( $agent );
	sell( array() );
	end_request();
	same( array(), $GLOBALS['logged'], 'nobody there: no matter' );
	Counterfoil\Pairing::keep( array( 'listener' => 'https://agent.example/nudge' ) );
	sell( array() );
	end_request();
	same( false, $GLOBALS['sent'][0][1]['blocking'], 'a request nobody waits for' );
}

function test_sites_of_a_network_have_their_own_log_each() {
	$GLOBALS['sites'] = array( 1, 2 );
	switch_to_blog( 2 );
	make_tables( 'wp_2_' );
	Counterfoil\Pairing::pair();
	restore_current_blog();
	Log::touch( 'product', 5, 'edited' );
	switch_to_blog( 2 );
	Log::touch( 'product', 5, 'edited' );
	Log::touch( 'product', 6, 'edited' );
	restore_current_blog();
	end_request();
	same( array( '5' ), array_column( changes(), 'object_id' ), 'the first' );
	switch_to_blog( 2 );
	same( array( array( '5', '0' ), array( '6', '0' ) ), array_map( 'array_values', changes( 'object_id, open' ) ), 'the second' );
	restore_current_blog();
}

function test_uninstalling_leaves_nothing_behind_on_any_site() {
	global $wpdb;
	$GLOBALS['sites'] = array( 1, 2 );
	Counterfoil\Page::grant();
	switch_to_blog( 2 );
	make_tables( 'wp_2_' );
	Counterfoil\Pairing::pair();
	restore_current_blog();
	update_option( 'counterfoil_stock_ms', 1 );
	Upkeep::after_call();
	update_option( 'blogname', 'Shop' );
	must( isset( $GLOBALS['roles']['administrator']['manage_counterfoil'] ), 'the capability was given' );
	define( 'WP_UNINSTALL_PLUGIN', 'counterfoil/counterfoil.php' );
	require __DIR__ . '/../../../../wp-plugin-stub/uninstall.php';
	same( array(), $wpdb->get_results( "SHOW TABLES LIKE '%counterfoil%'" ), 'tables' );
	same( array( array( 'option_name' => 'blogname' ) ), $wpdb->get_results( 'SELECT option_name FROM wp_options' ), 'options' );
	same( array(), $wpdb->get_results( 'SELECT option_name FROM wp_2_options' ), 'options of the second site' );
	same( array( array(), array( 1 => array(), 2 => array() ) ), array( $GLOBALS['roles']['administrator'], $GLOBALS['cron'] ), 'capability and cron' );
}
