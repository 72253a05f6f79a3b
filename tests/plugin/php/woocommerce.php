<?php
/**
 * As much of WooCommerce as changes stock and orders: its tables (orders in tables of their own), the statements it runs on them, the
 * hooks around these and their order, and what it does not look at (whether a statement of stock worked).
 */

require_once __DIR__ . '/order-util.php';

/** The tables of a site, as WordPress and WooCommerce define them; columns that nobody here reads are left out. */
function make_tables( string $prefix = 'wp_' ): void {
	global $wpdb;
	foreach ( array(
		"{$prefix}options (option_id bigint unsigned NOT NULL AUTO_INCREMENT, option_name varchar(191) NOT NULL, option_value longtext NOT NULL, autoload varchar(20) NOT NULL DEFAULT 'yes', PRIMARY KEY (option_id), UNIQUE KEY option_name (option_name))",
		"{$prefix}posts (ID bigint unsigned NOT NULL AUTO_INCREMENT, post_date_gmt datetime NULL, post_status varchar(20) NOT NULL DEFAULT 'publish', post_parent bigint unsigned NOT NULL DEFAULT 0, post_type varchar(20) NOT NULL DEFAULT 'post', PRIMARY KEY (ID), KEY type_status_date (post_type, post_status, ID), KEY post_parent (post_parent))",
		"{$prefix}postmeta (meta_id bigint unsigned NOT NULL AUTO_INCREMENT, post_id bigint unsigned NOT NULL DEFAULT 0, meta_key varchar(255) DEFAULT NULL, meta_value longtext, PRIMARY KEY (meta_id), KEY post_id (post_id), KEY meta_key (meta_key(191)))",
		"{$prefix}wc_product_meta_lookup (product_id bigint NOT NULL, sku varchar(100) NULL DEFAULT '', stock_quantity double NULL, stock_status varchar(100) NULL DEFAULT 'instock', PRIMARY KEY (product_id), KEY stock_status (stock_status), KEY stock_quantity (stock_quantity), KEY sku (sku(50)))",
		"{$prefix}wc_orders (id bigint unsigned NOT NULL, status varchar(20), currency varchar(10), type varchar(20), tax_amount decimal(26,8), total_amount decimal(26,8), date_created_gmt datetime, parent_order_id bigint unsigned, PRIMARY KEY (id), KEY status (status), KEY date_created (date_created_gmt), KEY parent_order_id (parent_order_id))",
		"{$prefix}wc_order_operational_data (id bigint unsigned NOT NULL AUTO_INCREMENT, order_id bigint unsigned, shipping_tax_amount decimal(26,8), PRIMARY KEY (id), UNIQUE KEY order_id (order_id))",
	) as $table ) {
		$wpdb->dbh->query( "CREATE TABLE $table ENGINE=InnoDB DEFAULT CHARSET utf8mb4" ) || exit( $wpdb->dbh->error );
	}
}

function make_product( int $id, int $stock, array $meta = array(), string $type = 'product' ): void {
	global $wpdb;
	$link = $wpdb->dbh;
	$link->query( "INSERT INTO {$wpdb->posts} (ID, post_type) VALUES ($id, '$type')" );
	$meta += array( '_sku' => "SKU-$id", '_manage_stock' => 'yes', '_backorders' => 'no', '_stock' => (string) $stock, '_stock_status' => $stock > 0 ? 'instock' : 'outofstock', '_price' => '5' );
	foreach ( $meta as $key => $value ) {
		$link->query( "INSERT INTO {$wpdb->postmeta} (post_id, meta_key, meta_value) VALUES ($id, '$key', '$value')" );
	}
	$link->query( "INSERT INTO {$wpdb->prefix}wc_product_meta_lookup VALUES ($id, 'SKU-$id', $stock, '{$meta['_stock_status']}')" );
}

function stock_of( int $id ): string {
	return get_post_meta( $id, '_stock' );
}

class WC_Cache_Helper {
	public static function invalidate_cache_group( $group ) {
		$GLOBALS['caches'][] = "group/$group";
	}
	public static function get_transient_version( $group, $new = false ) {
		$GLOBALS['caches'][] = "version/$group";
	}
}

class Logger {
	public function error( $text, $context ) {
		$GLOBALS['logged'][] = $text;
	}
}
function wc_get_logger() {
	return new Logger();
}

class WC_Product {
	private $id;
	private $data;
	private $changes = array();
	public function __construct( int $id ) {
		$this->id   = $id;
		$this->data = array(
			'stock_quantity' => $id ? 0 + stock_of( $id ) : null,
			'stock_status'   => $id ? get_post_meta( $id, '_stock_status' ) : '',
		);
	}
	public function get_id() {
		return $this->id;
	}
	public function get_sku() {
		return get_post_meta( $this->id, '_sku' );
	}
	public function get_stock_managed_by_id() {
		return (int) ( get_post_meta( $this->id, '_managed_by' ) ?: $this->id );
	}
	public function get_stock_quantity( $context = 'view' ) {
		return $this->changes['stock_quantity'] ?? $this->data['stock_quantity'];
	}
	public function set_stock_quantity( $quantity ) {
		$this->changes['stock_quantity'] = $quantity;
	}
	public function get_data() {
		return $this->data;
	}
	public function get_changes() {
		return $this->changes;
	}
	public function save() {
		global $wpdb;
		$status = $this->get_stock_quantity() > 0 ? 'instock' : ( 'no' === get_post_meta( $this->id, '_backorders' ) ? 'outofstock' : 'onbackorder' );
		if ( $status !== $this->data['stock_status'] ) {
			$this->changes['stock_status'] = $status;
		}
		do_action( 'woocommerce_before_product_object_save', $this );
		if ( ! $this->id ) {
			$wpdb->query( "INSERT INTO {$wpdb->posts} (post_type) VALUES ('product')" );
			$this->id = $wpdb->insert_id;
		}
		foreach ( $this->changes as $name => $value ) {
			$wpdb->query( $wpdb->prepare( "UPDATE {$wpdb->postmeta} SET meta_value = %s WHERE post_id = %d AND meta_key = %s", $value, $this->id, 'stock_status' === $name ? '_stock_status' : '_stock' ) );
			$wpdb->query( $wpdb->prepare( "UPDATE {$wpdb->prefix}wc_product_meta_lookup SET $name = %s WHERE product_id = %d", $value, $this->id ) );
		}
		$this->data    = array_merge( $this->data, $this->changes );
		$this->changes = array();
	}
}
function wc_get_product( $id ) {
	return get_post_type( $id ) ? new WC_Product( (int) $id ) : null;
}

class WC_Order_Item_Product {
	public $id;
	public $order_id;
	public $product_id;
	public $quantity;
	public function __construct( $id, $order_id, $product_id, $quantity ) {
		list( $this->id, $this->order_id, $this->product_id, $this->quantity ) = func_get_args();
	}
	public function get_id() {
		return $this->id;
	}
	public function get_order_id() {
		return $this->order_id;
	}
	public function get_product_id() {
		return $this->product_id;
	}
	public function get_variation_id() {
		return 0;
	}
	public function get_product() {
		return apply_filters( 'woocommerce_order_item_product', wc_get_product( $this->product_id ), $this );
	}
}

class WC_Order {
	public $id      = 0;
	public $items   = array();
	public $base    = array( 'status' => '' );
	public $changes = array();
	public function __construct( int $id = 0, string $status = '' ) {
		$this->id   = $id;
		$this->base = array( 'status' => $status );
	}
	public function get_id() {
		return $this->id;
	}
	public function get_base_data() {
		return $this->base;
	}
	public function get_changes() {
		return $this->changes;
	}
	public function get_status( $context = 'view' ) {
		return $this->changes['status'] ?? $this->base['status'];
	}
	public function get_refunds() {
		return array();
	}
	public function add( int $product_id, int $quantity ): WC_Order_Item_Product {
		$this->items[] = new WC_Order_Item_Product( $this->id * 1000 + count( $this->items ), $this->id, $product_id, $quantity );
		return end( $this->items );
	}
	public function save( ?callable $die = null ) {
		global $wpdb;
		do_action( 'woocommerce_before_order_object_save', $this );
		if ( $die ) {
			$die();
		}
		if ( ! $this->id ) {
			$this->id = 1 + (int) $wpdb->get_var( "SELECT MAX(id) FROM {$wpdb->prefix}wc_orders" );
			$wpdb->query( $wpdb->prepare( "INSERT INTO {$wpdb->prefix}wc_orders (id, status, type) VALUES (%d, %s, 'shop_order')", $this->id, $this->get_status() ) );
		} else {
			$wpdb->query( $wpdb->prepare( "UPDATE {$wpdb->prefix}wc_orders SET status = %s WHERE id = %d", $this->get_status(), $this->id ) );
		}
		$this->base    = array_merge( $this->base, $this->changes );
		$this->changes = array();
		foreach ( $this->items as $item ) {
			$item->order_id = $this->id;
			do_action( 'woocommerce_before_order_item_object_save', $item );
		}
	}
}
class WC_Order_Refund {
	public $parent;
	public function __construct( int $parent ) {
		$this->parent = $parent;
	}
	public function get_parent_id() {
		return $this->parent;
	}
}
function wc_get_order( $id ) {
	global $wpdb;
	$status = $wpdb->get_var( $wpdb->prepare( "SELECT status FROM {$wpdb->prefix}wc_orders WHERE id = %d", $id ) );
	return null === $status ? false : new WC_Order( (int) $id, $status );
}
class Reader {
	public function prepare_object_for_response( $order, $request ) {
		$this->order = $order;
		return $this;
	}
	public function get_data() {
		return array( 'id' => $this->order->get_id(), 'status' => $this->order->get_status() );
	}
	public $order;
}
class_alias( 'Reader', 'WC_REST_Orders_Controller' );
class_alias( 'Reader', 'WC_REST_Order_Refunds_Controller' );

/** Lowers or raises stock with the statement WooCommerce runs, and, as WooCommerce, without asking whether it worked. */
function wc_update_product_stock( WC_Product $product, $quantity, string $operation ) {
	global $wpdb;
	$id    = $product->get_stock_managed_by_id();
	$stock = $id === $product->get_id() ? $product : wc_get_product( $id );
	do_action( 'woocommerce_product_before_set_stock', $stock );
	$now = 0 + $wpdb->get_var( $wpdb->prepare( "SELECT meta_value FROM {$wpdb->postmeta} WHERE post_id = %d AND meta_key='_stock';", $id ) );
	$new = 'set' === $operation ? $quantity : $now + ( 'increase' === $operation ? $quantity : - $quantity );
	$sql = 'set' === $operation
		? $wpdb->prepare( "UPDATE {$wpdb->postmeta} SET meta_value = %s WHERE post_id = %d AND meta_key='_stock'", number_format( $new, 6, '.', '' ), $id )
		: $wpdb->prepare( sprintf( "UPDATE {$wpdb->postmeta} SET meta_value = meta_value %+F WHERE post_id = %%d AND meta_key='_stock'", 'increase' === $operation ? $quantity : - $quantity ), $id );
	$sql = apply_filters( 'woocommerce_update_product_stock_query', $sql, $id, $new, $operation );
	$wpdb->query( $sql );
	$wpdb->query( $wpdb->prepare( "REPLACE INTO {$wpdb->prefix}wc_product_meta_lookup SELECT %d, %s, meta_value + 0, 'instock' FROM {$wpdb->postmeta} WHERE post_id = %d AND meta_key = '_stock'", $id, $stock->get_sku(), $id ) );
	do_action( 'woocommerce_updated_product_stock', $id );
	return $new;
}

/** An order lowers the stock of its lines, one after the other. */
function wc_reduce_stock_levels( WC_Order $order ): void {
	apply_filters( 'woocommerce_can_reduce_order_stock', true, $order );
	foreach ( $order->items as $item ) {
		wc_update_product_stock( $item->get_product(), $item->quantity, 'decrease' );
	}
}
function wc_increase_stock_levels( WC_Order $order ): void {
	apply_filters( 'woocommerce_can_restore_order_stock', true, $order );
	foreach ( $order->items as $item ) {
		wc_update_product_stock( $item->get_product(), $item->quantity, 'increase' );
	}
}

/** A paid order of these products and quantities, in a request that goes on. */
function sell( array $quantities ): WC_Order {
	$order          = new WC_Order();
	$order->changes = array( 'status' => 'processing', 'total' => '5' );
	$order->save();
	foreach ( $quantities as $product => $quantity ) {
		$order->add( $product, $quantity );
	}
	wc_reduce_stock_levels( $order );
	return $order;
}
