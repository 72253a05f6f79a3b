<?php
/**
 * Takes stock numbers from the engine so that no sale is hidden, and lets WooCommerce know where a product sells out or comes back.
 *
 * A number is always some seconds old, but it says which of the store's events it counts (its basis). What it doesn't count
 * is taken off it while the stock rows are locked. The sum must be read after the locks, by a plain SELECT: inside the UPDATE
 * it would lock the moves, deadlock with a shopper's statement, and the shopper's is the one that the database ends.
 *
 * @package Counterfoil
 */

namespace Counterfoil;

defined( 'ABSPATH' ) || exit;

/**
 * Writes of stock.
 */
final class Stock {
	const AT_ONCE   = 200;
	const TRIES     = 5;
	const WAIT_US   = 30000;
	const LARGEST   = 1000000000;
	const LATE_MS   = 3000;
	const ROUNDS    = 3;
	const PER_UNITS = 10000;

	/**
	 * Write numbers; one result per item, in order.
	 *
	 * @param array[] $items stock_id, version, number, basis (epoch, n), and where the number has an end: expires_at, silence_share.
	 */
	public static function write( array $items ): array {
		if ( ! Pairing::settings()['transactional'] ) {
			return array_map(
				static function ( $item ) {
					return self::result( is_array( $item ) ? $item : array(), 'error', null, 'The stock tables are not in InnoDB. Convert them (ALTER TABLE … ENGINE=InnoDB), then pair again.' );
				},
				$items
			);
		}
		$results = array();
		$good    = array();
		foreach ( $items as $place => $item ) {
			$fault = self::fault_of( $item );
			if ( $fault ) {
				$results[ $place ] = self::result( is_array( $item ) ? $item : array(), 'error', null, $fault );
				continue;
			}
			$id = $item['stock_id'];
			if ( isset( $good[ $id ] ) ) {
				// Twice in one call: the newer one counts.
				list( $old, $new ) = $items[ $good[ $id ] ]['version'] >= $item['version'] ? array( $place, $good[ $id ] ) : array( $good[ $id ], $place );

				$results[ $old ] = self::result( $items[ $old ], 'older' );
				$good[ $id ]     = $new;
			} else {
				$good[ $id ] = $place;
			}
		}
		ksort( $good );
		foreach ( array_chunk( $good, self::AT_ONCE, true ) as $places ) {
			$chunk = array();
			foreach ( $places as $id => $place ) {
				$chunk[ $id ] = $items[ $place ];
			}
			foreach ( self::write_chunk( $chunk ) as $id => $result ) {
				$results[ $places[ $id ] ] = $result;
			}
		}
		ksort( $results );
		return array_values( $results );
	}

	/**
	 * Numbers whose end has come: the shop goes on with the share that the policy leaves for silence.
	 */
	public static function lapse(): void {
		$rows  = Database::rows(
			'SELECT stock_id, version, epoch, n, number, silence_share FROM {stock} WHERE lapsed = 0 AND expires_ms < %d LIMIT 2000',
			array( Database::now_ms() )
		);
		$items = array();
		foreach ( $rows as $row ) {
			$items[ (int) $row['stock_id'] ] = array(
				'stock_id' => (int) $row['stock_id'],
				'version'  => (int) $row['version'],
				// A debt (below 0) stays one.
				'number'   => min( (int) $row['number'], (int) floor( $row['number'] * $row['silence_share'] ) ),
				'whole'    => (int) $row['number'],
				'basis'    => array(
					'epoch' => (int) $row['epoch'],
					'n'     => (int) $row['n'],
				),
				'lapsed'   => true,
			);
		}
		foreach ( array_chunk( $items, self::AT_ONCE, true ) as $chunk ) {
			self::write_chunk( $chunk );
		}
	}

	/**
	 * Some seconds later: a shopper's process that read just before a write may have put the old number into a cache.
	 */
	public static function settle_late(): void {
		$ids = array_map(
			'intval',
			Database::column(
				'SELECT stock_id FROM {stock} WHERE ( late = 1 OR crossing = 1 ) AND at_ms < %d ORDER BY stock_id LIMIT 2000',
				array( Database::now_ms() - self::LATE_MS )
			)
		);
		if ( ! $ids ) {
			return;
		}
		self::freshen( $ids );
		self::cross( $ids );
		Database::run( 'UPDATE {stock} SET late = 0 WHERE at_ms < %d AND stock_id IN (' . Database::places( $ids ) . ')', array_merge( array( Database::now_ms() - self::LATE_MS ), $ids ) );
	}

	/**
	 * Drop the caches of these products, and let the lookup table say what the stock rows say.
	 *
	 * @param int[] $ids Products.
	 */
	public static function freshen( array $ids ): void {
		foreach ( $ids as $id ) {
			wp_cache_delete( $id, 'post_meta' );
			wp_cache_delete( 'lookup_table', 'object_' . $id );
			wp_cache_delete( 'product-' . $id, 'products' );
			\WC_Cache_Helper::invalidate_cache_group( 'product_' . $id );
		}
		// What lists of products were made from is of yesterday: WooCommerce's own transients hang on this version.
		\WC_Cache_Helper::get_transient_version( 'product', true );
		Database::run(
			"UPDATE {{wc_product_meta_lookup}} l JOIN {{postmeta}} s ON s.post_id = l.product_id AND s.meta_key = '_stock'
				SET l.stock_quantity = s.meta_value + 0 WHERE l.stock_quantity <> s.meta_value + 0 AND l.product_id IN (" . Database::places( $ids ) . ')',
			$ids
		);
	}

	/**
	 * Let WooCommerce put the stock status right where it disagrees with the quantity, by its own save, which writes no quantity.
	 *
	 * @param int[] $ids Products.
	 */
	public static function cross( array $ids ): void {
		for ( $round = 0; $round < self::ROUNDS; $round++ ) {
			$wrong = array_keys( array_filter( self::facts_of( $ids ), array( self::class, 'is_crossed' ) ) );
			foreach ( $wrong as $id ) {
				self::save_status( (int) $id );
			}
			if ( ! $wrong ) {
				break;
			}
			// A sale may have come between reading and saving: look once more.
		}
		Database::run( 'UPDATE {stock} SET crossing = 0 WHERE crossing = 1 AND stock_id IN (' . Database::places( $ids ) . ')', $ids );
	}

	/**
	 * Write one chunk; a deadlock or a lost connection starts it again from the beginning.
	 *
	 * @param array[] $items Items by stock id, in rising order.
	 */
	private static function write_chunk( array $items ): array {
		global $wpdb;
		if ( method_exists( $wpdb, 'send_reads_to_masters' ) ) {
			$wpdb->send_reads_to_masters();
		}
		$results = array();
		$facts   = self::facts_of( array_keys( $items ) );
		foreach ( $items as $id => $item ) {
			if ( ! isset( $facts[ $id ] ) || 'trash' === $facts[ $id ]['post_status'] ) {
				$results[ $id ] = self::result( $item, 'missing', null, isset( $facts[ $id ] ) ? 'The product is in the trash.' : 'The shop has no product with this id.' );
			} elseif ( 'yes' !== $facts[ $id ]['manage'] ) {
				$results[ $id ] = self::result( $item, 'unmanaged', null, 'The shop does not manage the stock of this product. Switch it on in the product, or map the SKU to the product that manages it.' );
			}
		}
		$items = array_diff_key( $items, $results );
		if ( ! $items ) {
			return $results;
		}
		foreach ( array_keys( $items ) as $id ) {
			if ( null === $facts[ $id ]['stock'] ) {
				add_post_meta( $id, '_stock', 0, true );
			}
		}
		for ( $try = 1; ; $try++ ) {
			try {
				$written = self::transaction( $items, $facts );
				break;
			} catch ( \Throwable $e ) {
				self::roll_back();
				$again = $e instanceof Lost_Connection || ( $e instanceof Database_Error && $e->passes() );
				if ( ! $again || $try >= self::TRIES ) {
					Hooks::report( $e );
					$written = array();
					foreach ( $items as $id => $item ) {
						$written[ $id ] = self::result( $item, 'error', null, 'The database refused the write; it is tried again with the next number. The shop\'s log (WooCommerce, Status, Logs) has the cause.' );
					}
					return $results + $written;
				}
				usleep( self::WAIT_US * $try );
			}
		}
		$applied = array_keys( array_filter( array_column( $written, 'verdict', 'stock_id' ), array( self::class, 'is_applied' ) ) );
		if ( $applied ) {
			self::freshen( $applied );
			$crossing = array_keys( array_filter( array_column( $written, 'crossed', 'stock_id' ) ) );
			if ( $crossing ) {
				self::cross( $crossing );
			}
		}
		return $results + $written;
	}

	/**
	 * The transaction itself.
	 *
	 * @param array[] $items Items by stock id.
	 * @param array[] $facts Facts by stock id, read before.
	 * @throws Lost_Connection Where the locks are gone.
	 */
	private static function transaction( array $items, array $facts ): array {
		$ids    = array_keys( $items );
		$places = Database::places( $ids );
		$meta   = array_map( 'intval', Database::column( "SELECT meta_id FROM {{postmeta}} WHERE meta_key = '_stock' AND post_id IN ($places)", $ids ) );
		Database::run( 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED' );
		Database::run( 'START TRANSACTION' );
		$connection = (int) Database::value( 'SELECT CONNECTION_ID()' );
		$rows       = $meta ? Database::rows( 'SELECT meta_id, post_id, meta_value FROM {{postmeta}} WHERE meta_id IN (' . Database::places( $meta ) . ') ORDER BY meta_id FOR UPDATE', $meta ) : array();
		$standing   = array_column( Database::rows( "SELECT stock_id, version, lapsed FROM {stock} WHERE stock_id IN ($places)", $ids ), null, 'stock_id' );
		$uncounted  = self::uncounted( $items );

		$results = array();
		$now     = array_column( $rows, 'meta_value', 'post_id' );
		$set     = array();
		$kept    = array();
		foreach ( $items as $id => $item ) {
			$last   = (int) ( $standing[ $id ]['version'] ?? 0 );
			$lapses = ! empty( $item['lapsed'] );
			if ( $lapses ? $last !== $item['version'] || $standing[ $id ]['lapsed'] : $last >= $item['version'] ) {
				$results[ $id ] = self::result( $item, 'older', $now[ $id ] ?? null, $last > $item['version'] ? "The shop has a number of version $last." : '' );
				continue;
			}
			if ( ! isset( $now[ $id ] ) ) {
				$results[ $id ] = self::result( $item, 'missing', null, 'The shop has no stock row for this product.' );
				continue;
			}
			$set[ $id ]     = self::text_of( $item['number'] * self::PER_UNITS + ( $uncounted[ $id ] ?? 0 ) );
			$crossed        = self::is_crossed( array_merge( $facts[ $id ], array( 'stock' => $set[ $id ] ) ) );
			$results[ $id ] = self::result( $item, 'applied', $set[ $id ], '', $crossed );
			$kept[ $id ]    = self::row_of( $item, $crossed );
		}
		if ( $set ) {
			// A connection made anew has no locks: then none of these may change anything.
			$here  = ' AND CONNECTION_ID() = ' . $connection;
			$by_id = array_keys( $set );
			Database::run( 'UPDATE {{postmeta}} SET meta_value = ' . Database::cases( 'post_id', $set, '%s' ) . ' WHERE meta_id IN (' . Database::places( $meta ) . ') AND post_id IN (' . Database::places( $by_id ) . ')' . $here, array_merge( $meta, $by_id ) );
			Database::run( 'UPDATE {{wc_product_meta_lookup}} SET stock_quantity = ' . Database::cases( 'product_id', $set, '%s' ) . ' WHERE product_id IN (' . Database::places( $by_id ) . ')' . $here, $by_id );
			Database::run(
				'INSERT INTO {stock} (stock_id, version, epoch, n, number, expires_ms, silence_share, lapsed, crossing, late, at_ms)'
				. ' SELECT * FROM (' . implode( ' UNION ALL ', $kept ) . ') AS kept WHERE TRUE' . $here
				. ' ON DUPLICATE KEY UPDATE version = VALUES(version), epoch = VALUES(epoch), n = VALUES(n), number = VALUES(number), expires_ms = VALUES(expires_ms),'
				. ' silence_share = VALUES(silence_share), lapsed = VALUES(lapsed), crossing = VALUES(crossing), late = 1, at_ms = VALUES(at_ms)'
			);
		}
		Database::run( 'COMMIT' );
		if ( (int) Database::value( 'SELECT CONNECTION_ID()' ) !== $connection ) {
			throw new Lost_Connection( 'The connection to the database broke during a write of stock.' );
		}
		return $results;
	}

	/**
	 * The row that is kept of a number, as SQL.
	 *
	 * @param array $item    Item.
	 * @param bool  $crossed Whether the status has to follow.
	 */
	private static function row_of( array $item, bool $crossed ): string {
		global $wpdb;
		$expires = isset( $item['expires_at'] ) ? (string) ( (int) strtotime( $item['expires_at'] ) * 1000 ) : 'NULL';
		return $wpdb->prepare(
			"SELECT %d AS stock_id, %d AS version, %d AS epoch, %d AS n, %d AS number, $expires AS expires_ms, %s AS silence_share, %d AS lapsed, %d AS crossing, 1 AS late, %d AS at_ms", // phpcs:ignore WordPress.DB.PreparedSQL.InterpolatedNotPrepared -- a number or NULL.
			$item['stock_id'],
			$item['version'],
			$item['basis']['epoch'],
			$item['basis']['n'],
			$item['whole'] ?? $item['number'],
			number_format( $item['silence_share'] ?? 1, 4, '.', '' ),
			empty( $item['lapsed'] ) ? 0 : 1,
			$crossed ? 1 : 0,
			Database::now_ms()
		);
	}

	/**
	 * What the numbers don't count yet, per stock id, in ten-thousandths of a unit: never above 0 per order line, since
	 * a raise is credited only up to a lowering of the same line. Only the engine's number raises stock.
	 *
	 * @param array[] $items Items by stock id.
	 */
	private static function uncounted( array $items ): array {
		$least = null;
		foreach ( $items as $item ) {
			$basis = array( $item['basis']['epoch'], $item['basis']['n'] );
			$least = null === $least || $basis < $least ? $basis : $least;
		}
		$ids   = array_keys( $items );
		$moves = Database::rows(
			'SELECT stock_id, order_item_id, epoch, n, quantity FROM {moves} WHERE applied = 1 AND stock_id IN (' . Database::places( $ids ) . ')
				AND ( n IS NULL OR epoch > %d OR ( epoch = %d AND n > %d ) )',
			array_merge( $ids, array( $least[0], $least[0], $least[1] ) )
		);
		$lines = array();
		foreach ( $moves as $move ) {
			$id    = (int) $move['stock_id'];
			$basis = array( $items[ $id ]['basis']['epoch'], $items[ $id ]['basis']['n'] );
			if ( null === $move['n'] || array( (int) $move['epoch'], (int) $move['n'] ) > $basis ) {
				$line = $move['order_item_id'];

				$lines[ $id ][ $line ] = ( $lines[ $id ][ $line ] ?? 0 ) + (int) round( $move['quantity'] * self::PER_UNITS );
			}
		}
		$sums = array();
		foreach ( $lines as $id => $quantities ) {
			$sums[ $id ] = array_sum(
				array_map(
					static function ( int $quantity ) {
						return min( 0, $quantity );
					},
					$quantities
				)
			);
		}
		return $sums;
	}

	/**
	 * What the shop says of these products now, read from the database: status of the post, who manages, stock, stock status.
	 *
	 * @param int[] $ids Products.
	 */
	private static function facts_of( array $ids ): array {
		$places = Database::places( $ids );
		$facts  = array();
		foreach ( Database::rows( "SELECT ID, post_status FROM {{posts}} WHERE post_type IN ('product', 'product_variation') AND ID IN ($places)", $ids ) as $post ) {
			$facts[ (int) $post['ID'] ] = array(
				'post_status' => $post['post_status'],
				'manage'      => 'no',
				'stock'       => null,
				'status'      => 'instock',
				'backorders'  => 'no',
			);
		}
		$names = array(
			'_manage_stock' => 'manage',
			'_stock'        => 'stock',
			'_stock_status' => 'status',
			'_backorders'   => 'backorders',
		);
		foreach ( Database::rows( "SELECT post_id, meta_key, meta_value FROM {{postmeta}} WHERE meta_key IN ('_manage_stock', '_stock', '_stock_status', '_backorders') AND post_id IN ($places)", $ids ) as $row ) {
			if ( isset( $facts[ (int) $row['post_id'] ] ) ) {
				$facts[ (int) $row['post_id'] ][ $names[ $row['meta_key'] ] ] = $row['meta_value'];
			}
		}
		return $facts;
	}

	/**
	 * Whether quantity and status of a product disagree, by WooCommerce's own rule.
	 *
	 * @param array $fact Of facts_of().
	 */
	private static function is_crossed( array $fact ): bool {
		if ( 'yes' !== $fact['manage'] ) {
			return false;
		}
		if ( (float) $fact['stock'] > abs( (float) get_option( 'woocommerce_notify_no_stock_amount', 0 ) ) ) {
			$status = 'instock';
		} else {
			$status = in_array( $fact['backorders'], array( 'yes', 'notify' ), true ) ? 'onbackorder' : 'outofstock';
		}
		return $status !== $fact['status'];
	}

	/**
	 * A save by WooCommerce, of a product read just now: it puts the status right and tells whoever listens.
	 *
	 * @param int $id Product.
	 */
	private static function save_status( int $id ): void {
		clean_post_cache( $id );
		$was          = Hooks::$quiet;
		Hooks::$quiet = true;
		try {
			$product = wc_get_product( $id );
			if ( $product ) {
				$product->save();
			}
		} catch ( \Throwable $e ) {
			Hooks::$quiet = $was;
			Hooks::report( $e );
		} finally {
			Hooks::$quiet = $was;
		}
	}

	/**
	 * Why an item can't be taken, or null.
	 *
	 * @param mixed $item Item as it came.
	 */
	private static function fault_of( $item ): ?string {
		if ( ! is_array( $item ) || ! is_int( $item['stock_id'] ?? null ) || $item['stock_id'] < 1 ) {
			return 'stock_id has to be the whole number by which the shop knows the product.';
		}
		if ( ! is_int( $item['version'] ?? null ) || $item['version'] < 1 ) {
			return 'version has to be a whole number above 0.';
		}
		if ( ! is_int( $item['number'] ?? null ) || abs( $item['number'] ) > self::LARGEST ) {
			return 'number has to be a whole number of units.';
		}
		if ( ! is_int( $item['basis']['epoch'] ?? null ) || ! is_int( $item['basis']['n'] ?? null ) || $item['basis']['epoch'] < 0 || $item['basis']['n'] < 0 ) {
			return 'basis has to have epoch and n, whole numbers.';
		}
		if ( isset( $item['expires_at'] ) && ( ! is_string( $item['expires_at'] ) || ! strtotime( $item['expires_at'] ) ) ) {
			return 'expires_at has to be a time such as 2026-11-23T09:10:39Z.';
		}
		if ( isset( $item['silence_share'] ) && ( ! is_numeric( $item['silence_share'] ) || $item['silence_share'] < 0 || $item['silence_share'] > 1 ) ) {
			return 'silence_share has to be between 0 and 1.';
		}
		return null;
	}

	/**
	 * What is answered about an item.
	 *
	 * @param array       $item    Item.
	 * @param string      $verdict applied, older, unmanaged, missing or error.
	 * @param string|null $stock   What the shop has now, where known.
	 * @param string      $reason  Cause and remedy.
	 * @param bool        $crossed Whether the product sold out or came back with it.
	 */
	private static function result( array $item, string $verdict, ?string $stock = null, string $reason = '', bool $crossed = false ): array {
		return array(
			'stock_id' => $item['stock_id'] ?? null,
			'verdict'  => $verdict,
			'stock'    => null === $stock ? null : (float) $stock,
			'crossed'  => $crossed,
			'reason'   => $reason,
		);
	}

	/**
	 * Whether a verdict says that the number was written.
	 *
	 * @param string $verdict Verdict.
	 */
	private static function is_applied( string $verdict ): bool {
		return 'applied' === $verdict;
	}

	/**
	 * Ten-thousandths of a unit as WooCommerce writes a quantity: 5, -2 or 1.5.
	 *
	 * @param int $parts Ten-thousandths.
	 */
	private static function text_of( int $parts ): string {
		$text = number_format( $parts / self::PER_UNITS, 4, '.', '' );
		return rtrim( rtrim( $text, '0' ), '.' );
	}

	/**
	 * End a transaction that failed; where even that fails there is none.
	 */
	private static function roll_back(): void {
		try {
			Database::run( 'ROLLBACK' );
		} catch ( Database_Error $e ) {
			Hooks::report( $e );
		}
	}
}
