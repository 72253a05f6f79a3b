<?php
/**
 * Answers to sweeps, computed inside the database: digests of stock, totals of orders.
 *
 * @package Counterfoil
 */

namespace Counterfoil;

defined( 'ABSPATH' ) || exit;

/**
 * Reads only.
 */
final class Sweeps {
	/**
	 * After so many digits a bucket is small enough that its products themselves are listed.
	 */
	const LISTED_FROM = 4;
	const MOST_LISTED = 5000;

	/**
	 * Stock by bucket. A bucket is two more hexadecimal digits of md5(stock id) after the prefix; its digest is the exclusive or,
	 * over its products, of the first 15 digits of md5("id|sku|number|status"). number: stock less what the last number didn't count.
	 *
	 * @param string $prefix None: all 256 buckets; two digits: the 256 buckets below that one; four: the products themselves.
	 */
	public static function digest( string $prefix ): array {
		$inner = self::products( $prefix );
		if ( strlen( $prefix ) >= self::LISTED_FROM ) {
			return array( 'items' => array_map( array( self::class, 'item' ), Database::rows( $inner . ' ORDER BY s.post_id LIMIT ' . self::MOST_LISTED ) ) );
		}
		$rows = Database::rows(
			'SELECT LEFT(MD5(id), ' . ( strlen( $prefix ) + 2 ) . ") AS bucket, COUNT(*) AS products,
				LPAD(LOWER(HEX(BIT_XOR(CAST(CONV(LEFT(MD5(CONCAT_WS('|', id, sku, number, status)), 15), 16, 10) AS UNSIGNED)))), 15, '0') AS digest
			FROM ($inner) AS product GROUP BY bucket ORDER BY bucket"
		);
		return array(
			'buckets' => array_map(
				static function ( array $row ) {
					return array(
						'bucket' => $row['bucket'],
						'count'  => (int) $row['products'],
						'digest' => $row['digest'],
					);
				},
				$rows
			),
		);
	}

	/**
	 * Products and variations that manage stock or have a SKU, in the order of their ids. stock_id: whose stock it is, a
	 * variation's parent perhaps; quantity and status are that product's, quantity null where nobody manages it.
	 *
	 * @param int $after Only ids above this one.
	 * @param int $limit At most so many.
	 */
	public static function items( int $after, int $limit ): array {
		$rows    = Database::rows(
			"SELECT p.ID AS id, p.post_parent AS parent_id, COALESCE(l.sku, '') AS sku, p.post_type = 'product_variation' AS varies,
				EXISTS(SELECT 1 FROM {{postmeta}} g WHERE g.post_id = p.ID AND g.meta_key = '_manage_stock' AND g.meta_value = 'yes') AS manages
			FROM {{posts}} p LEFT JOIN {{wc_product_meta_lookup}} l ON l.product_id = p.ID
			WHERE p.ID > %d AND p.post_type IN ('product', 'product_variation') AND p.post_status IN ('publish', 'private', 'draft', 'pending', 'future')
			HAVING manages = 1 OR sku <> '' ORDER BY p.ID LIMIT %d",
			array( $after, $limit + 1 )
		);
		$shown   = array_slice( $rows, 0, $limit );
		$parents = array();
		foreach ( $shown as $row ) {
			if ( $row['varies'] && ! $row['manages'] ) {
				$parents[ (int) $row['parent_id'] ] = true;
			}
		}
		$managing = array_flip( self::meta_of( array_keys( $parents ), '_manage_stock', 'yes' ) );
		$owners   = array();
		foreach ( $shown as $row ) {
			$owners[ (int) $row['id'] ] = $row['varies'] && ! $row['manages'] && isset( $managing[ (int) $row['parent_id'] ] ) ? (int) $row['parent_id'] : (int) $row['id'];
		}
		$facts = self::stock_of( array_values( array_unique( $owners ) ) );
		$items = array();
		foreach ( $shown as $row ) {
			$id      = (int) $row['id'];
			$fact    = $facts[ $owners[ $id ] ] ?? array();
			$managed = $row['manages'] || $owners[ $id ] !== $id;
			$items[] = array(
				'id'        => $id,
				'stock_id'  => $owners[ $id ],
				'sku'       => $row['sku'],
				'quantity'  => $managed && is_numeric( $fact['stock'] ?? null ) ? self::amount( $fact['stock'] ) : null,
				'status'    => (string) ( $fact['status'] ?? '' ),
				'manages'   => (bool) $row['manages'],
				'parent_id' => (int) $row['parent_id'],
			);
		}
		return array(
			'items' => $items,
			'more'  => count( $rows ) > $limit,
		);
	}

	/**
	 * Products of which a key has a value.
	 *
	 * @param int[]  $ids   Products.
	 * @param string $key   Key.
	 * @param string $value Value.
	 */
	private static function meta_of( array $ids, string $key, string $value ): array {
		if ( ! $ids ) {
			return array();
		}
		$found = Database::column( 'SELECT DISTINCT post_id FROM {{postmeta}} WHERE meta_key = %s AND meta_value = %s AND post_id IN (' . Database::places( $ids ) . ')', array_merge( array( $key, $value ), $ids ) );
		return array_map( 'intval', $found );
	}

	/**
	 * Stock and status of products, by id.
	 *
	 * @param int[] $ids Products.
	 */
	private static function stock_of( array $ids ): array {
		$facts = array();
		if ( ! $ids ) {
			return $facts;
		}
		$places = Database::places( $ids );
		foreach ( Database::rows( "SELECT post_id, meta_value FROM {{postmeta}} WHERE meta_key = '_stock' AND post_id IN ($places)", $ids ) as $row ) {
			$facts[ (int) $row['post_id'] ]['stock'] = $row['meta_value'];
		}
		foreach ( Database::rows( "SELECT product_id, stock_status FROM {{wc_product_meta_lookup}} WHERE product_id IN ($places)", $ids ) as $row ) {
			$facts[ (int) $row['product_id'] ]['status'] = $row['stock_status'];
		}
		return $facts;
	}

	/**
	 * Orders by UTC day of creation and currency, with the rows that are open at that very moment.
	 *
	 * @param string $from First day.
	 * @param string $to   Last day.
	 */
	public static function totals( string $from, string $to ): array {
		Database::run( 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ' );
		Database::run( 'START TRANSACTION WITH CONSISTENT SNAPSHOT' );
		try {
			$sql  = Hooks::orders_have_tables() ? self::from_tables() : self::from_posts();
			$rows = Database::rows( $sql, array( $from, $to, $from, $to ) );
			$open = Database::rows( 'SELECT id, object, object_id FROM {changes} WHERE acked_ms IS NULL ORDER BY id LIMIT 1000' );
		} finally {
			Database::run( 'COMMIT' );
		}
		$totals = array();
		foreach ( $rows as $row ) {
			$totals[] = array(
				'day'      => $row['day'],
				'currency' => $row['currency'],
				'count'    => (int) $row['orders'],
				'total'    => self::amount( $row['total'] ),
				'refunds'  => self::amount( $row['refunds'] ),
				'tax'      => self::amount( $row['tax'] ),
			);
		}
		return array(
			'totals' => $totals,
			'open'   => array_map(
				static function ( array $row ) {
					return array(
						'id'        => (int) $row['id'],
						'object'    => $row['object'],
						'object_id' => (int) $row['object_id'],
					);
				},
				$open
			),
		);
	}

	/**
	 * The products that manage stock, one row each: id, sku, number, status, stock, version. Of moves that were there when the
	 * number was written, only what that write kept is taken off: a raise up to a lowering of its line.
	 *
	 * @param string $prefix Hexadecimal digits, checked by the route.
	 */
	private static function products( string $prefix ): string {
		$where = '' === $prefix ? '' : ' AND LEFT(MD5(s.post_id), ' . strlen( $prefix ) . ") = '" . $prefix . "'";
		return "SELECT s.post_id AS id, COALESCE(l.sku, '') AS sku, COALESCE(l.stock_status, '') AS status, c.version,
				CAST(s.meta_value AS DECIMAL(19,3)) AS stock, CAST(CAST(s.meta_value AS DECIMAL(19,4)) - COALESCE(u.quantity, 0) AS DECIMAL(19,3)) AS number
			FROM {{postmeta}} s
			JOIN {{posts}} p ON p.ID = s.post_id AND p.post_type IN ('product', 'product_variation') AND p.post_status NOT IN ('trash', 'auto-draft')
			JOIN {{postmeta}} g ON g.post_id = s.post_id AND g.meta_key = '_manage_stock' AND g.meta_value = 'yes'
			LEFT JOIN {{wc_product_meta_lookup}} l ON l.product_id = s.post_id
			LEFT JOIN {stock} c ON c.stock_id = s.post_id
			LEFT JOIN (
				SELECT stock_id, SUM(quantity) AS quantity FROM (
					SELECT m.stock_id, IF(MAX(m.at_ms <= b.at_ms), LEAST(0, SUM(m.quantity)), SUM(m.quantity)) AS quantity
					FROM {moves} m JOIN {stock} b ON b.stock_id = m.stock_id
					WHERE m.applied = 1 AND ( m.n IS NULL OR m.epoch > b.epoch OR ( m.epoch = b.epoch AND m.n > b.n ) )
					GROUP BY m.stock_id, m.order_item_id, m.at_ms <= b.at_ms
				) AS line GROUP BY stock_id
			) u ON u.stock_id = s.post_id
			WHERE s.meta_key = '_stock'" . $where;
	}

	/**
	 * A product of a small bucket.
	 *
	 * @param array $row Row.
	 */
	private static function item( array $row ): array {
		return array(
			'stock_id' => (int) $row['id'],
			'sku'      => $row['sku'],
			'number'   => $row['number'],
			'stock'    => $row['stock'],
			'status'   => $row['status'],
			'version'  => null === $row['version'] ? null : (int) $row['version'],
		);
	}

	/**
	 * Totals where orders have tables of their own. A refund counts on its order's day.
	 */
	private static function from_tables(): string {
		$order = "o.type = 'shop_order' AND o.status NOT IN ('auto-draft', 'draft', 'wc-checkout-draft', 'trash') AND o.date_created_gmt >= %s AND o.date_created_gmt < DATE_ADD(%s, INTERVAL 1 DAY)";
		return "SELECT day, currency, SUM(orders) AS orders, SUM(total) AS total, SUM(refunds) AS refunds, SUM(tax) AS tax FROM (
				SELECT DATE(o.date_created_gmt) AS day, o.currency, 1 AS orders, o.total_amount AS total, 0 AS refunds, COALESCE(o.tax_amount, 0) + COALESCE(d.shipping_tax_amount, 0) AS tax
				FROM {{wc_orders}} o LEFT JOIN {{wc_order_operational_data}} d ON d.order_id = o.id WHERE $order
				UNION ALL
				SELECT DATE(o.date_created_gmt), o.currency, 0, 0, - r.total_amount, 0
				FROM {{wc_orders}} o JOIN {{wc_orders}} r ON r.parent_order_id = o.id AND r.type = 'shop_order_refund' WHERE $order
			) AS part GROUP BY day, currency ORDER BY day, currency";
	}

	/**
	 * Totals where orders are posts.
	 */
	private static function from_posts(): string {
		$order  = "o.post_type = 'shop_order' AND o.post_status NOT IN ('auto-draft', 'draft', 'wc-checkout-draft', 'trash') AND o.post_date_gmt >= %s AND o.post_date_gmt < DATE_ADD(%s, INTERVAL 1 DAY)";
		$amount = static function ( string $post, string $key ) {
			return "CAST(COALESCE((SELECT x.meta_value FROM {{postmeta}} x WHERE x.post_id = $post.ID AND x.meta_key = '$key' LIMIT 1), 0) AS DECIMAL(26,8))";
		};
		$coin   = "COALESCE((SELECT x.meta_value FROM {{postmeta}} x WHERE x.post_id = o.ID AND x.meta_key = '_order_currency' LIMIT 1), '')";
		return "SELECT day, currency, SUM(orders) AS orders, SUM(total) AS total, SUM(refunds) AS refunds, SUM(tax) AS tax FROM (
				SELECT DATE(o.post_date_gmt) AS day, $coin AS currency, 1 AS orders, {$amount( 'o', '_order_total' )} AS total, 0 AS refunds,
					{$amount( 'o', '_order_tax' )} + {$amount( 'o', '_order_shipping_tax' )} AS tax
				FROM {{posts}} o WHERE $order
				UNION ALL
				SELECT DATE(o.post_date_gmt), $coin, 0, 0, - {$amount( 'r', '_order_total' )}, 0
				FROM {{posts}} o JOIN {{posts}} r ON r.post_parent = o.ID AND r.post_type = 'shop_order_refund' WHERE $order
			) AS part GROUP BY day, currency ORDER BY day, currency";
	}

	/**
	 * A sum as plain decimal text.
	 *
	 * @param mixed $sum From the database.
	 */
	private static function amount( $sum ): string {
		$text = (string) $sum;
		return false === strpos( $text, '.' ) ? $text : rtrim( rtrim( $text, '0' ), '.' );
	}
}
