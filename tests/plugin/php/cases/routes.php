<?php
/** The agent's routes: who may call them, what a copy of the shop gives out, what acknowledging means. */

use Counterfoil\Database;
use Counterfoil\Pairing;

function test_only_what_is_signed_whole_and_with_the_key_is_let_in() {
	$nonce = bin2hex( random_bytes( 16 ) );
	same( 0, call_route( 'GET', '/health', null, array( 'nonce' => $nonce ) )['waiting_rows'], 'signed' );
	foreach ( array(
		'another key'       => array( 'key' => str_repeat( '0', 64 ) ),
		'no signature'      => array( 'signature' => '' ),
		'another path'      => array( 'signed' => '/counterfoil/v1/changes' ),
		'another parameter' => array( 'query' => array( 'prefix' => '00' ), 'sent_query' => array( 'prefix' => '01' ) ),
		'no nonce'          => array( 'nonce' => '' ),
		'a nonce too long'  => array( 'nonce' => str_repeat( 'a', 65 ) ),
		'a nonce of signs'  => array( 'nonce' => "a' OR 1=1 -- aaaaaaaaa" ),
	) as $what => $forged ) {
		same( array( 'counterfoil_signature', 401 ), array_slice( call_route( 'GET', isset( $forged['query'] ) ? '/digest' : '/health', null, $forged ), 0, 2 ), $what );
	}
	same( 'counterfoil_signature', call_route( 'POST', '/ack', '{"epoch":2}', array( 'signed_body' => '{"epoch":1}' ) )[0], 'another body' );
	same( array( $nonce ), Database::column( 'SELECT nonce FROM {nonces}' ), 'what is not signed costs no row' );
}

function test_the_parameters_are_signed_in_the_order_of_their_names() {
	$answer = call_route( 'GET', '/orders/totals', null, array( 'query' => array( 'to' => '2026-11-23', 'from' => '2026-11-01' ) ) );
	same( array(), $answer['totals'], 'let in' );
}

function test_a_request_counts_once_and_for_five_minutes() {
	$nonce = bin2hex( random_bytes( 16 ) );
	must( isset( call_route( 'GET', '/health', null, array( 'nonce' => $nonce ) )['versions'] ), 'first' );
	same( 'counterfoil_replay', call_route( 'GET', '/health', null, array( 'nonce' => $nonce ) )[0], 'again' );
	same( 'counterfoil_clock', call_route( 'GET', '/health', null, array( 'time' => time() - 310 ) )[0], 'too old' );
	same( 'counterfoil_clock', call_route( 'GET', '/health', null, array( 'time' => time() + 310 ) )[0], 'from the future' );
	same( 'counterfoil_clock', call_route( 'GET', '/health', null, array( 'time' => 'noon' ) )[0], 'no time' );
	must( isset( call_route( 'GET', '/health', null, array( 'time' => time() - 290 ) )['versions'] ), 'inside the window' );
}

function test_a_new_key_ends_the_old_one_as_soon_as_it_is_used() {
	$old = get_option( 'counterfoil_keys' )['key'];
	$new = Pairing::new_key();
	must( isset( call_route( 'GET', '/health', null, array( 'key' => $old ) )['versions'] ), 'the old one still' );
	must( isset( call_route( 'GET', '/health', null, array( 'key' => $new ) )['versions'] ), 'the new one' );
	same( 'counterfoil_signature', call_route( 'GET', '/health', null, array( 'key' => $old ) )[0], 'the old one no more' );
	$shut_out = $new;
	Pairing::pair();
	same( 'counterfoil_signature', call_route( 'GET', '/health', null, array( 'key' => $shut_out ) )[0], 'pairing again shuts out at once' );
}

function test_an_old_key_ends_after_a_day() {
	$old = get_option( 'counterfoil_keys' )['key'];
	Pairing::new_key();
	update_option( 'counterfoil_keys', array_merge( get_option( 'counterfoil_keys' ), array( 'old_until' => time() - 1 ) ) );
	same( 'counterfoil_signature', call_route( 'GET', '/health', null, array( 'key' => $old ) )[0], 'over' );
}

function test_a_copy_of_the_shop_gives_nothing_out_and_takes_no_stock_until_it_is_paired() {
	make_product( 1, 10 );
	$GLOBALS['home'] = 'https://staging.example';
	foreach ( array( array( 'GET', '/changes', null ), array( 'POST', '/ack', array( 'epoch' => 1 ) ), array( 'POST', '/stock', array( 'items' => array() ) ) ) as list( $method, $path, $body ) ) {
		list( $code, $status, $message ) = call_route( $method, $path, $body );
		same( array( 'counterfoil_copy', 409 ), array( $code, $status ), $path );
		must( false !== strpos( $message, 'home' ) && false !== strpos( $message, 'pair it again' ), 'cause and remedy' );
	}
	same( array( 'home' ), call_route( 'GET', '/health' )['differs_in'], 'health says it' );
	sell( array( 1 => 1 ) );
	end_request();
	same( 1, count( moves() ), 'where the real shop has moved, no sale is missed' );
	Pairing::pair();
	same( 1, count( call_route( 'GET', '/changes' )['rows'] ), 'paired again' );
}

function test_changes_come_with_their_moves_the_oldest_first_and_only_so_many() {
	make_product( 1, 10 );
	foreach ( array( 1, 2, 3 ) as $quantity ) {
		sell( array( 1 => $quantity ) );
		end_request();
	}
	$told = call_route( 'GET', '/changes', null, array( 'query' => array( 'limit' => '2' ) ) );
	same( array( 3, 2 ), array( $told['head'], count( $told['rows'] ) ), 'head and rows' );
	same( array( array( 'quantity' => '-1', 'row_id' => 1 ), array( 'quantity' => '-2', 'row_id' => 2 ) ), array_map( function ( $move ) { return array( 'quantity' => $move['quantity'], 'row_id' => $move['row_id'] ); }, $told['moves'] ), 'moves' );
	same( array( 'move_id', 'row_id', 'order_item_id', 'stock_id', 'sku', 'quantity', 'kind', 'at' ), array_keys( $told['moves'][0] ), 'what a move says' );
	must( 1 === preg_match( '/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/', $told['rows'][0]['at'] ), 'times' );
}

function test_acknowledging_names_rows_and_moves_and_may_be_said_twice() {
	make_product( 1, 10 );
	sell( array( 1 => 1 ) );
	end_request();
	$told = call_route( 'GET', '/changes' );
	$move = $told['moves'][0]['move_id'];
	$ack  = array( 'epoch' => 3, 'rows' => array( array( 'id' => 1, 'n' => 7 ), array( 'id' => 99, 'n' => 8 ) ), 'moves' => array( array( 'move_id' => $move, 'n' => 7 ), array( 'move_id' => str_repeat( '1', 32 ), 'n' => 8 ) ) );
	foreach ( array( 1, 2 ) as $ignored ) {
		same( array( 'acked' => 2, 'unknown' => array( 99, str_repeat( '1', 32 ) ) ), call_route( 'POST', '/ack', $ack ), 'answer' );
	}
	same( array(), call_route( 'GET', '/changes' )['rows'], 'nothing waits' );
	same( array( '3', '7' ), array( moves()[0]['epoch'], moves()[0]['n'] ), 'number' );
}

function test_renumbered_in_a_later_epoch_a_move_counts_there_and_never_earlier_again() {
	make_product( 1, 10 );
	sell( array( 1 => 1 ) );
	end_request();
	$move = call_route( 'GET', '/changes' )['moves'][0]['move_id'];
	foreach ( array( array( 1, 50 ), array( 2, 3 ), array( 1, 60 ) ) as list( $epoch, $n ) ) {
		call_route( 'POST', '/ack', array( 'epoch' => $epoch, 'rows' => array( array( 'id' => 1, 'n' => $n ) ), 'moves' => array( array( 'move_id' => $move, 'n' => $n ) ) ) );
	}
	same( array( '2', '3' ), array( moves()[0]['epoch'], moves()[0]['n'] ), 'the highest' );
	same( 9.0, write_stock( 1, 10, 1, 2, 2 )['stock'], 'a number of epoch 2 below it does not count it' );
}

function test_bodies_that_are_none_are_refused_with_a_remedy() {
	foreach ( array( '', '[]', 'no', '{"epoch":"1"}', '{"epoch":1,"rows":5}', '{"epoch":1,"rows":[{"id":"1","n":1}]}', '{"epoch":1,"moves":[{"move_id":"x","n":1}]}', str_repeat( '[', 5000 ) ) as $body ) {
		same( array( 'counterfoil_body', 400 ), array_slice( call_route( 'POST', '/ack', $body ), 0, 2 ), $body );
	}
	foreach ( array( '{"items":5}', '{"items":{"a":1}}', '{}' ) as $body ) {
		same( array( 'counterfoil_body', 400 ), array_slice( call_route( 'POST', '/stock', $body ), 0, 2 ), $body );
	}
	foreach ( array( 'x', '0', '000', "0' OR 1" ) as $prefix ) {
		same( 'counterfoil_prefix', call_route( 'GET', '/digest', null, array( 'query' => array( 'prefix' => $prefix ) ) )[0], $prefix );
	}
	same( 'counterfoil_days', call_route( 'GET', '/orders/totals', null, array( 'query' => array( 'from' => 'x', 'to' => '2026-01-01' ) ) )[0], 'days' );
}

function test_stock_by_route_has_a_verdict_per_item_and_health_says_when() {
	make_product( 1, 10 );
	$basis  = array( 'epoch' => 1, 'n' => 0 );
	$answer = call_route( 'POST', '/stock', array( 'items' => array( array( 'stock_id' => 1, 'version' => 1, 'number' => 4, 'basis' => $basis ), array( 'stock_id' => 2, 'version' => 1, 'number' => 4, 'basis' => $basis ) ) ) );
	same( array( 'applied', 'missing' ), array_column( $answer['results'], 'verdict' ), 'verdicts' );
	same( array( 'stock_id', 'verdict', 'stock', 'crossed', 'reason' ), array_keys( $answer['results'][0] ), 'result' );
	must( null !== call_route( 'GET', '/health' )['last_stock_write'], 'health' );
}

function test_items_are_what_the_shop_sells_page_by_page_under_whoever_manages_their_stock() {
	$link = $GLOBALS['wpdb']->dbh;
	make_product( 1, 10 );
	make_product( 2, 0, array( '_manage_stock' => 'no' ) );
	make_product( 3, 20 );
	make_product( 4, 6, array(), 'product_variation' );
	make_product( 5, 0, array( '_manage_stock' => 'no' ), 'product_variation' );
	$link->query( 'UPDATE wp_posts SET post_parent = 3 WHERE ID IN (4, 5)' );
	make_product( 6, 3 );
	make_product( 7, 3, array( '_manage_stock' => 'no' ) );
	$link->query( "UPDATE wp_posts SET post_status = 'trash' WHERE ID = 6" );
	$link->query( "UPDATE wp_wc_product_meta_lookup SET sku = '' WHERE product_id = 7" );
	$first = call_route( 'GET', '/items', null, array( 'query' => array( 'after' => '0', 'limit' => '3' ) ) );
	$rest  = call_route( 'GET', '/items', null, array( 'query' => array( 'after' => '3', 'limit' => '3' ) ) );
	same( array( true, false ), array( $first['more'], $rest['more'] ), 'more' );
	$item = function ( $id, $stock_id, $quantity, $status, $manages, $parent_id ) {
		return array( 'id' => $id, 'stock_id' => $stock_id, 'sku' => "SKU-$id", 'quantity' => $quantity, 'status' => $status, 'manages' => $manages, 'parent_id' => $parent_id );
	};
	same( array( $item( 1, 1, '10', 'instock', true, 0 ), $item( 2, 2, null, 'outofstock', false, 0 ), $item( 3, 3, '20', 'instock', true, 0 ) ), $first['items'], 'first page' );
	same( array( $item( 4, 4, '6', 'instock', true, 3 ), $item( 5, 3, '20', 'instock', false, 3 ) ), $rest['items'], 'neither what is in the trash nor what nobody can name' );
}

function test_totals_are_by_utc_day_and_currency_wherever_orders_live() {
	$link = $GLOBALS['wpdb']->dbh;
	$link->query( "INSERT INTO wp_wc_orders VALUES (1, 'wc-processing', 'EUR', 'shop_order', 1.9, 11.9, '2026-11-23 23:59:59', 0), (2, 'wc-completed', 'EUR', 'shop_order', 0, 5, '2026-11-23 00:00:00', 0),
		(3, 'wc-completed', 'JPY', 'shop_order', 0, 1785, '2026-11-23 12:00:00', 0), (4, 'wc-completed', 'EUR', 'shop_order_refund', 0, -4, '2026-11-25 12:00:00', 1), (5, 'wc-checkout-draft', 'EUR', 'shop_order', 0, 9, '2026-11-23 12:00:00', 0), (6, 'wc-completed', 'EUR', 'shop_order', 0, 9, '2026-11-24 00:00:00', 0)" );
	$link->query( 'INSERT INTO wp_wc_order_operational_data (order_id, shipping_tax_amount) VALUES (1, 0.1)' );
	$link->query( "INSERT INTO wp_posts (ID, post_date_gmt, post_status, post_parent, post_type) VALUES (1, '2026-11-23 23:59:59', 'wc-processing', 0, 'shop_order'), (2, '2026-11-23 00:00:00', 'wc-completed', 0, 'shop_order'),
		(3, '2026-11-23 12:00:00', 'wc-completed', 0, 'shop_order'), (4, '2026-11-25 12:00:00', 'wc-completed', 1, 'shop_order_refund'), (5, '2026-11-23 12:00:00', 'wc-checkout-draft', 0, 'shop_order'), (6, '2026-11-24 00:00:00', 'wc-completed', 0, 'shop_order')" );
	foreach ( array( 1 => array( 'EUR', '11.90', '1.9', '0.1' ), 2 => array( 'EUR', '5', '0', '0' ), 3 => array( 'JPY', '1785.00', '0', '0' ), 4 => array( 'EUR', '-4', '0', '0' ) ) as $id => $values ) {
		foreach ( array_combine( array( '_order_currency', '_order_total', '_order_tax', '_order_shipping_tax' ), $values ) as $key => $value ) {
			add_post_meta( $id, $key, $value );
		}
	}
	$expected = array(
		array( 'day' => '2026-11-23', 'currency' => 'EUR', 'count' => 2, 'total' => '16.9', 'refunds' => '4', 'tax' => '2' ),
		array( 'day' => '2026-11-23', 'currency' => 'JPY', 'count' => 1, 'total' => '1785', 'refunds' => '0', 'tax' => '0' ),
	);
	foreach ( array( true, false ) as $in_tables ) {
		$GLOBALS['orders_have_tables'] = $in_tables;
		$answer                        = call_route( 'GET', '/orders/totals', null, array( 'query' => array( 'from' => '2026-11-23', 'to' => '2026-11-23' ) ) );
		same( $expected, $answer['totals'], $in_tables ? 'in tables' : 'as posts' );
	}
}

function test_a_failure_in_here_is_an_answer_and_a_line_in_the_shops_log() {
	Database::run( 'DROP TABLE {moves}' );
	Database::run( 'INSERT INTO {changes} (event_id, object, object_id, kind, open, at_ms) VALUES (\'x\', \'order\', 1, \'edited\', 0, 1)' );
	same( array( 'counterfoil_failure', 500 ), array_slice( call_route( 'GET', '/changes' ), 0, 2 ), 'answer' );
	must( count( $GLOBALS['logged'] ) > 0, 'log' );
}
