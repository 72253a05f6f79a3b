<?php
/**
 * Stock moves: what an order lowered or raised, recorded by the very statement that changes the stock.
 *
 * The move is written first and not applied; one statement then changes the stock and marks the move as applied, both or
 * neither, with no transaction of ours inside a shopper's request.
 *
 * @package Counterfoil
 */

namespace Counterfoil;

defined( 'ABSPATH' ) || exit;

/**
 * Listens to what WooCommerce does to stock.
 */
final class Moves {
	const TRIES   = 5;
	const WAIT_US = 20000;

	/**
	 * The line whose product was asked for last: all of WooCommerce's own paths do so just before they change its stock.
	 *
	 * @var \WC_Order_Item_Product|null
	 */
	private static $item = null;

	/**
	 * The product whose stock is about to be changed.
	 *
	 * @var \WC_Product|null
	 */
	private static $product = null;

	/**
	 * Whether goods of a refund are put back.
	 *
	 * @var bool
	 */
	private static $refunding = false;

	/**
	 * The move whose statement is under way: its values, statement, and how many rows that changed (null: not seen).
	 *
	 * @var array|null
	 */
	private static $under_way = null;

	/**
	 * Start listening.
	 */
	public static function listen(): void {
		Hooks::on( 'woocommerce_order_item_product', array( self::class, 'item_is_looked_at' ), 2 );
		Hooks::on( 'woocommerce_prevent_adjust_line_item_product_stock', array( self::class, 'order_begins' ) );
		Hooks::on( 'woocommerce_can_restock_refunded_items', array( self::class, 'refund_begins' ) );
		Hooks::on( 'woocommerce_can_reduce_order_stock', array( self::class, 'order_begins' ) );
		Hooks::on( 'woocommerce_can_restore_order_stock', array( self::class, 'order_begins' ) );
		Hooks::on( 'woocommerce_product_before_set_stock', array( self::class, 'product_is_looked_at' ) );
		Hooks::on( 'woocommerce_variation_before_set_stock', array( self::class, 'product_is_looked_at' ) );
		// Last, so that a statement which another plugin wrote is seen, and left alone.
		Hooks::on( 'woocommerce_update_product_stock_query', array( self::class, 'statement' ), 4, PHP_INT_MAX );
		Hooks::on( 'woocommerce_updated_product_stock', array( self::class, 'confirm' ) );
	}

	/**
	 * A line's product is asked for.
	 *
	 * @param mixed                  $product Product.
	 * @param \WC_Order_Item_Product $item    Line.
	 */
	public static function item_is_looked_at( $product, $item ): void {
		self::$item = $item;
	}

	/**
	 * Goods of a refund are put back.
	 */
	public static function refund_begins(): void {
		self::$refunding = true;
		self::$item      = null;
	}

	/**
	 * An order lowers stock, restores it, or a line of it was changed in the admin.
	 */
	public static function order_begins(): void {
		self::$refunding = false;
		self::$item      = null;
	}

	/**
	 * A product's stock is about to change.
	 *
	 * @param \WC_Product $product Product.
	 */
	public static function product_is_looked_at( $product ): void {
		self::$product = $product;
	}

	/**
	 * Replace the statement that lowers or raises stock for an order's line by one that also marks its move.
	 *
	 * @param string $sql       WooCommerce's statement.
	 * @param int    $stock_id  The product that manages the stock.
	 * @param mixed  $new_stock What WooCommerce expects after it.
	 * @param string $operation set, increase or decrease.
	 */
	public static function statement( $sql, $stock_id, $new_stock = null, $operation = 'set' ): ?string {
		global $wpdb;
		self::$under_way = null;
		if ( ! Pairing::is_paired() ) {
			return null;
		}
		$line = self::line_of( (int) $stock_id );
		$form = '/^\s*UPDATE\s+`?' . preg_quote( $wpdb->postmeta, '/' ) . '`?\s+SET\s+meta_value\s*=\s*meta_value\s*([+-]\d+(?:\.\d+)?)\s+WHERE\s+post_id\s*=\s*(\d+)\s+AND\s+meta_key\s*=\s*\'_stock\'\s*;?\s*$/i';
		if ( 'set' === $operation || ! $line || ! Pairing::settings()['transactional']
			|| ! preg_match( $form, (string) $sql, $found ) || (int) $found[2] !== (int) $stock_id ) {
			self::stock_is_set( (int) $stock_id, self::$product ? self::$product->get_stock_quantity( 'edit' ) : null, $new_stock, $operation );
			return null;
		}
		if ( 0.0 === (float) $found[1] ) {
			return null;
		}
		$order_id = (int) $line->get_order_id();
		$move     = array(
			Database::random_id(),
			(string) Log::touch( 'order', $order_id, 'stock' ),
			$order_id,
			(int) $line->get_id(),
			(int) $stock_id,
			substr( (string) ( self::$product ? self::$product->get_sku() : '' ), 0, 100 ),
			$found[1],
			$found[1] < 0 ? 'order' : ( self::$refunding ? 'refund' : 'restore' ),
			Database::now_ms(),
		);
		self::add( $move );
		$statement       = $wpdb->prepare(
			"UPDATE {$wpdb->postmeta} s, " . Database::table( 'moves' ) . " m SET s.meta_value = s.meta_value + m.quantity, m.applied = 1 WHERE s.post_id = %d AND s.meta_key = '_stock' AND m.move_id = %s AND m.applied = 0", // phpcs:ignore WordPress.DB.PreparedSQL -- names of tables.
			$stock_id,
			$move[0]
		);
		self::$under_way = array(
			'move'      => $move,
			'stock_id'  => (int) $stock_id,
			'statement' => $statement,
			'changed'   => null,
		);
		self::$item      = null;
		// Only while it is under way: a checkout makes a thousand queries.
		add_filter( 'query', array( self::class, 'note_result' ) );
		return $statement;
	}

	/**
	 * Before the next query of the request: how many rows did the statement change? Spares a query per order line.
	 *
	 * @param mixed $sql The next query; it stays as it is.
	 */
	public static function note_result( $sql = null ) {
		global $wpdb;
		if ( self::$under_way && null === self::$under_way['changed'] && $wpdb->last_query === self::$under_way['statement'] ) {
			self::$under_way['changed'] = (int) $wpdb->rows_affected;
		}
		return $sql;
	}

	/**
	 * WooCommerce doesn't look whether its statement worked: where it was ended by a deadlock, run it again.
	 *
	 * @param int $stock_id Product.
	 * @throws Database_Error    Where the database can't do it.
	 * @throws \RuntimeException Where it never got the lock.
	 */
	public static function confirm( $stock_id ): void {
		self::note_result();
		remove_filter( 'query', array( self::class, 'note_result' ) );
		$under_way       = self::$under_way;
		self::$under_way = null;
		if ( ! $under_way || $under_way['stock_id'] !== (int) $stock_id || $under_way['changed'] > 0 ) {
			return;
		}
		for ( $try = 1; $try <= self::TRIES; $try++ ) {
			try {
				// Once more too: where a transaction of the shop's own was rolled back, the move went with it.
				self::add( $under_way['move'] );
				if ( Database::run( $under_way['statement'] ) > 0 ) {
					Stock::freshen( array( (int) $stock_id ) );
					return;
				}
				if ( Database::value( 'SELECT applied FROM {moves} WHERE move_id = %s', array( $under_way['move'][0] ) ) ) {
					return;
				}
			} catch ( Database_Error $e ) {
				if ( ! $e->passes() ) {
					throw $e;
				}
			}
			usleep( self::WAIT_US * $try );
		}
		throw new \RuntimeException( 'The stock of product ' . (int) $stock_id . ' could not be changed for order ' . (int) $under_way['move'][2] . ': correct it by hand.' );
	}

	/**
	 * Stock was set to a number, or changed by something that is no order: kept as a fact (who, when, from, to).
	 *
	 * @param int    $stock_id Product.
	 * @param mixed  $from     What the shop believed to be there.
	 * @param mixed  $to       What is there now.
	 * @param string $how      set, increase, decrease, or save (of the product).
	 */
	public static function stock_is_set( int $stock_id, $from, $to, string $how ): void {
		Log::touch(
			'stock',
			$stock_id,
			'set',
			null,
			false,
			array(
				'from' => null === $from ? null : (string) $from,
				'to'   => null === $to ? null : (string) $to,
				'how'  => $how,
				'user' => get_current_user_id(),
			)
		);
	}

	/**
	 * Write the move, not applied yet; one that is there stays.
	 *
	 * @param array $move Values.
	 */
	private static function add( array $move ): void {
		Database::run(
			'INSERT IGNORE INTO {moves} (move_id, event_id, order_id, order_item_id, stock_id, sku, quantity, kind, at_ms, applied) VALUES (%s, %s, %d, %d, %d, %s, %s, %s, %d, 0)',
			$move
		);
	}

	/**
	 * The order line that this stock is changed for, if it is one.
	 *
	 * @param int $stock_id Product.
	 */
	private static function line_of( int $stock_id ) {
		$item = self::$item;
		if ( ! $item || ! $item->get_order_id() ) {
			return null;
		}
		if ( in_array( $stock_id, array( (int) $item->get_variation_id(), (int) $item->get_product_id() ), true ) ) {
			return $item;
		}
		$product = $item->get_product();
		return $product && (int) $product->get_stock_managed_by_id() === $stock_id ? $item : null;
	}
}
