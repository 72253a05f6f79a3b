<?php
/**
 * What the plugin listens to in WooCommerce. Nothing that goes wrong in here reaches the shop.
 *
 * @package Counterfoil
 */

namespace Counterfoil;

defined( 'ABSPATH' ) || exit;

/**
 * Hooks of orders and products; those of stock moves are in Moves.
 */
final class Hooks {
	/**
	 * States in which an order is not one yet.
	 */
	const DRAFTS = array( 'auto-draft', 'draft', 'checkout-draft', 'new' );

	/**
	 * True while the plugin itself saves: that is no news.
	 *
	 * @var bool
	 */
	public static $quiet = false;

	/**
	 * Names of the hooks that were set, for `health`.
	 *
	 * @var string[]
	 */
	public static $names = array();

	/**
	 * Orders that this request saved as drafts: their lines are no news either.
	 *
	 * @var \WC_Order[]
	 */
	private static $drafts = array();

	/**
	 * Start listening.
	 */
	public static function listen(): void {
		self::on( 'woocommerce_before_order_object_save', array( self::class, 'order_saves' ) );
		self::on( 'woocommerce_before_order_refund_object_save', array( self::class, 'refund_saves' ) );
		self::on( 'woocommerce_before_order_item_object_save', array( self::class, 'item_saves' ) );
		self::on( 'woocommerce_before_delete_order_item', array( self::class, 'item_goes' ) );
		self::on( 'woocommerce_pre_delete_order', array( self::class, 'order_is_deleted' ), 3 );
		self::on( 'woocommerce_pre_delete_order_refund', array( self::class, 'refund_goes' ), 2 );
		// Before WooCommerce, which deletes an order's lines on these very hooks.
		self::on( 'woocommerce_before_delete_order', array( self::class, 'order_goes' ), 1, 1 );
		self::on( 'woocommerce_before_trash_order', array( self::class, 'order_to_trash' ) );
		self::on( 'woocommerce_untrash_order', array( self::class, 'order_from_trash' ) );
		self::on( 'woocommerce_refund_deleted', array( self::class, 'refund_gone' ), 2 );
		self::on( 'woocommerce_before_product_object_save', array( self::class, 'product_saves' ) );
		self::on( 'before_delete_post', array( self::class, 'post_goes' ), 1, 1 );
		self::on( 'wp_trash_post', array( self::class, 'post_to_trash' ) );
		self::on( 'untrash_post', array( self::class, 'post_from_trash' ) );
		self::on( 'rest_api_init', array( Routes::class, 'register' ) );
		self::on( 'admin_menu', array( Page::class, 'register' ) );
		self::on( 'init', array( Page::class, 'translate' ) );
		self::on( 'cron_schedules', array( Upkeep::class, 'schedule' ) ); // phpcs:ignore WordPress.WP.CronInterval -- five minutes.
		self::on( Upkeep::EVENT, array( Upkeep::class, 'run' ) );
		Moves::listen();
	}

	/**
	 * Listen to a hook. A callback that gives null back, or fails, leaves the filter's value as it was.
	 *
	 * @param string   $hook     Hook.
	 * @param callable $callback What to call.
	 * @param int      $args     How many values it takes.
	 * @param int      $priority Priority.
	 */
	public static function on( string $hook, callable $callback, int $args = 1, int $priority = 10 ): void {
		self::$names[] = $hook;
		add_filter(
			$hook,
			static function ( ...$given ) use ( $callback ) {
				try {
					$answer = self::$quiet ? null : $callback( ...$given );
				} catch ( \Throwable $e ) {
					self::report( $e );
					$answer = null;
				}
				return null === $answer && $given ? $given[0] : $answer;
			},
			$priority,
			$args
		);
	}

	/**
	 * Tell the shop's log of a failure, without data of customers.
	 *
	 * @param \Throwable $e What happened.
	 */
	public static function report( \Throwable $e ): void {
		try {
			wc_get_logger()->error(
				get_class( $e ) . ': ' . substr( $e->getMessage(), 0, 500 ) . ' at ' . basename( $e->getFile() ) . ':' . $e->getLine(),
				array( 'source' => 'counterfoil' )
			);
		} catch ( \Throwable $unheard ) {
			return;
		}
	}

	/**
	 * An order is about to be saved.
	 *
	 * @param \WC_Order $order Order.
	 */
	public static function order_saves( $order ): void {
		$before = (string) ( $order->get_base_data()['status'] ?? '' );
		if ( in_array( $order->get_status( 'edit' ), self::DRAFTS, true ) ) {
			self::$drafts[ spl_object_id( $order ) ] = $order;
			return;
		}
		$is_new = ! $order->get_id() || in_array( $before, self::DRAFTS, true );
		$kind   = $is_new ? 'created' : 'edited';
		foreach ( array(
			'status'         => 'status',
			'total'          => 'total',
			'transaction_id' => 'paid',
			'date_paid'      => 'paid',
		) as $property => $means ) {
			if ( array_key_exists( $property, $order->get_changes() ) ) {
				$kind = $means;
			}
		}
		Log::touch( 'order', $order->get_id(), $kind, $order->get_id() ? null : $order, $is_new );
	}

	/**
	 * A refund is about to be saved: its order changes with it.
	 *
	 * @param \WC_Order_Refund $refund Refund.
	 */
	public static function refund_saves( $refund ): void {
		Log::touch( 'order', $refund->get_parent_id(), 'refund' );
	}

	/**
	 * A line is about to be saved; while its order has no id yet, the order's own row stands for it.
	 *
	 * @param \WC_Order_Item $item Line.
	 */
	public static function item_saves( $item ): void {
		$order_id = (int) $item->get_order_id();
		foreach ( self::$drafts as $draft ) {
			if ( $draft->get_id() === $order_id && in_array( $draft->get_status( 'edit' ), self::DRAFTS, true ) ) {
				return;
			}
		}
		if ( $order_id ) {
			Log::touch( 'order', $order_id, 'edited' );
		}
	}

	/**
	 * A line is about to be deleted.
	 *
	 * @param int $item_id Line.
	 */
	public static function item_goes( $item_id ): void {
		$order_id = wc_get_order_id_by_order_item_id( $item_id );
		if ( $order_id ) {
			Log::touch( 'order', (int) $order_id, 'edited' );
		}
	}

	/**
	 * An order is about to be deleted or put into the trash (a filter that may stop it: it doesn't).
	 *
	 * @param mixed     $stop  Null.
	 * @param \WC_Order $order Order.
	 * @param bool      $force Whether it goes for good.
	 */
	public static function order_is_deleted( $stop, $order, $force ): void {
		$force ? self::order_goes( $order->get_id() ) : self::order_to_trash( $order->get_id() );
	}

	/**
	 * An order is about to be deleted for good: the row keeps what it was.
	 *
	 * @param int $order_id Order.
	 */
	public static function order_goes( $order_id ): void {
		$order = wc_get_order( $order_id );
		if ( $order instanceof \WC_Order_Refund ) {
			self::refund_goes( null, $order );
		} elseif ( $order && ! in_array( $order->get_status( 'edit' ), self::DRAFTS, true ) ) {
			Log::touch( 'order', (int) $order_id, 'deleted', null, false, Log::snapshot( (int) $order_id ) );
		}
	}

	/**
	 * An order goes into the trash.
	 *
	 * @param int $order_id Order.
	 */
	public static function order_to_trash( $order_id ): void {
		Log::touch( 'order', (int) $order_id, 'trashed' );
	}

	/**
	 * An order comes out of the trash.
	 *
	 * @param int $order_id Order.
	 */
	public static function order_from_trash( $order_id ): void {
		Log::touch( 'order', (int) $order_id, 'untrashed' );
	}

	/**
	 * A refund is about to be deleted.
	 *
	 * @param mixed            $stop   Null.
	 * @param \WC_Order_Refund $refund Refund.
	 */
	public static function refund_goes( $stop, $refund ): void {
		Log::touch( 'order', $refund->get_parent_id(), 'refund' );
	}

	/**
	 * A refund was deleted (WooCommerce 8.0 says it only now).
	 *
	 * @param int $refund_id Refund.
	 * @param int $order_id  Its order.
	 */
	public static function refund_gone( $refund_id, $order_id ): void {
		Log::touch( 'order', (int) $order_id, 'refund' );
	}

	/**
	 * A product is about to be saved. Every sale saves it too, with nothing changed: that is no news.
	 *
	 * @param \WC_Product $product Product.
	 */
	public static function product_saves( $product ): void {
		$changes = $product->get_changes();
		if ( ! $product->get_id() ) {
			Log::touch( 'product', 0, 'created', $product );
		} elseif ( $changes ) {
			Log::touch( 'product', $product->get_id(), 'edited' );
			if ( array_key_exists( 'stock_quantity', $changes ) ) {
				Moves::stock_is_set( $product->get_id(), $product->get_data()['stock_quantity'], $changes['stock_quantity'], 'save' );
			}
		}
	}

	/**
	 * A post is about to be deleted for good.
	 *
	 * @param int $post_id Post.
	 */
	public static function post_goes( $post_id ): void {
		self::post_changes( (int) $post_id, 'deleted' );
	}

	/**
	 * A post goes into the trash.
	 *
	 * @param int $post_id Post.
	 */
	public static function post_to_trash( $post_id ): void {
		self::post_changes( (int) $post_id, 'trashed' );
	}

	/**
	 * A post comes out of the trash.
	 *
	 * @param int $post_id Post.
	 */
	public static function post_from_trash( $post_id ): void {
		self::post_changes( (int) $post_id, 'untrashed' );
	}

	/**
	 * Whether orders live in tables of their own.
	 */
	public static function orders_have_tables(): bool {
		$util = '\Automattic\WooCommerce\Utilities\OrderUtil';
		return class_exists( $util ) && $util::custom_orders_table_usage_is_enabled();
	}

	/**
	 * A post is a product, or an order where orders are posts.
	 *
	 * @param int    $post_id Post.
	 * @param string $kind    What happens to it.
	 */
	private static function post_changes( int $post_id, string $kind ): void {
		$type = get_post_type( $post_id );
		if ( in_array( $type, array( 'product', 'product_variation' ), true ) ) {
			Log::touch( 'product', $post_id, $kind, null, false, array( 'sku' => (string) get_post_meta( $post_id, '_sku', true ) ) );
		} elseif ( ! self::orders_have_tables() && 'shop_order_refund' === $type ) {
			Log::touch( 'order', (int) wp_get_post_parent_id( $post_id ), 'refund' );
		} elseif ( ! self::orders_have_tables() && 'shop_order' === $type ) {
			'deleted' === $kind ? self::order_goes( $post_id ) : Log::touch( 'order', $post_id, $kind );
		}
	}
}
