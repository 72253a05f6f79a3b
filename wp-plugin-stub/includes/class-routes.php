<?php
/**
 * The agent's routes under counterfoil/v1, each request signed with the key that pairing gave.
 *
 * @package Counterfoil
 */

namespace Counterfoil;

defined( 'ABSPATH' ) || exit;

/**
 * Parses, calls one thing, answers. Refusals say cause and remedy.
 */
final class Routes {
	const SPACE       = 'counterfoil/v1';
	const WINDOW_S    = 300;
	const MOST_ROWS   = 1000;
	const MOST_ITEMS  = 5000;
	const MOST_BYTES  = 4000000;
	const OPEN_FOR_MS = 60000;

	/**
	 * The routes, with the parameters that are part of what is signed.
	 */
	public static function register(): void {
		$routes = array(
			'/changes'       => array( 'GET', 'changes', array( 'limit' ) ),
			'/ack'           => array( 'POST', 'ack', array() ),
			'/stock'         => array( 'POST', 'stock', array() ),
			'/items'         => array( 'GET', 'items', array( 'after', 'limit' ) ),
			'/digest'        => array( 'GET', 'digest', array( 'prefix' ) ),
			'/orders/totals' => array( 'GET', 'totals', array( 'from', 'to' ) ),
			'/health'        => array( 'GET', 'health', array() ),
		);
		foreach ( $routes as $path => list( $method, $does, $signed ) ) {
			register_rest_route(
				self::SPACE,
				$path,
				array(
					'methods'             => $method,
					'permission_callback' => static function ( $request ) use ( $signed ) {
						return self::is_the_agent( $request, $signed );
					},
					'callback'            => static function ( $request ) use ( $does ) {
						return self::answer( $does, $request );
					},
				)
			);
		}
	}

	/**
	 * What the agent signs: method, path (with its parameters, sorted), time, nonce and the hash of the body, a line each.
	 *
	 * @param \WP_REST_Request $request Request.
	 * @param string[]         $signed  Parameters that count.
	 */
	public static function signed_text( $request, array $signed ): string {
		$parameters = array_intersect_key( $request->get_query_params(), array_flip( $signed ) );
		ksort( $parameters );
		$query = http_build_query( $parameters, '', '&', PHP_QUERY_RFC3986 );
		return implode(
			"\n",
			array(
				$request->get_method(),
				$request->get_route() . ( '' === $query ? '' : '?' . $query ),
				(string) $request->get_header( 'X-Counterfoil-Timestamp' ),
				(string) $request->get_header( 'X-Counterfoil-Nonce' ),
				hash( 'sha256', (string) $request->get_body() ),
			)
		);
	}

	/**
	 * Whether the request is signed, fresh, and new.
	 *
	 * @param \WP_REST_Request $request Request.
	 * @param string[]         $signed  Parameters that count.
	 */
	private static function is_the_agent( $request, array $signed ) {
		try {
			$time  = (string) $request->get_header( 'X-Counterfoil-Timestamp' );
			$nonce = (string) $request->get_header( 'X-Counterfoil-Nonce' );
			if ( ! Pairing::is_paired() || ! preg_match( '/^[A-Za-z0-9_-]{16,64}$/', $nonce )
				|| ! Pairing::has_signed( self::signed_text( $request, $signed ), (string) $request->get_header( 'X-Counterfoil-Signature' ) ) ) {
				return self::refusal( 'signature', 401, 'The signature does not fit this store\'s key. Pair the agent with the key from WooCommerce, Counterfoil.' );
			}
			if ( ! preg_match( '/^\d{1,12}$/', $time ) || abs( time() - (int) $time ) > self::WINDOW_S ) {
				return self::refusal( 'clock', 401, 'The request\'s time is more than 300 s from this store\'s. Correct it by the Date of this answer and sign again.' );
			}
			if ( 1 !== Database::run( 'INSERT IGNORE INTO {nonces} (nonce, at_ms) VALUES (%s, %d)', array( $nonce, Database::now_ms() ) ) ) {
				return self::refusal( 'replay', 401, 'This nonce was used before. Use a new one for each request.' );
			}
			return true;
		} catch ( \Throwable $e ) {
			return self::failure( $e );
		}
	}

	/**
	 * Call what the route does.
	 *
	 * @param string           $does    Method of this class.
	 * @param \WP_REST_Request $request Request.
	 */
	private static function answer( string $does, $request ) {
		try {
			if ( in_array( $does, array( 'changes', 'ack', 'stock' ), true ) && Pairing::differing() ) {
				return self::refusal( 'copy', 409, 'This store is not the one that was paired (' . implode( ', ', Pairing::differing() ) . ' differ): it may be a copy. If it is the real one, pair it again in WooCommerce, Counterfoil.' );
			}
			$answer = self::$does( $request );
			if ( 'health' !== $does ) {
				Upkeep::after_call();
			}
			return is_array( $answer ) ? rest_ensure_response( $answer ) : $answer;
		} catch ( \Throwable $e ) {
			return self::failure( $e );
		}
	}

	/**
	 * Rows that were not acknowledged, the oldest first, with their moves. Open ones only once they are a minute old.
	 *
	 * @param \WP_REST_Request $request limit.
	 */
	private static function changes( $request ): array {
		$limit = min( self::MOST_ROWS, max( 1, (int) ( $request->get_param( 'limit' ) ?? 200 ) ) );
		$old   = Database::now_ms() - self::OPEN_FOR_MS;
		$rows  = array();
		$moves = array();
		$bytes = 0;
		foreach ( Database::rows( 'SELECT * FROM {changes} WHERE acked_ms IS NULL AND ( open = 0 OR at_ms < %d ) ORDER BY id LIMIT %d', array( $old, $limit ) ) as $row ) {
			$bytes += strlen( (string) $row['payload'] );
			if ( $rows && $bytes > self::MOST_BYTES ) {
				break;
			}
			$rows[ $row['event_id'] ] = array(
				'id'        => (int) $row['id'],
				'event_id'  => $row['event_id'],
				'object'    => $row['object'],
				'object_id' => (int) $row['object_id'],
				'kind'      => $row['kind'],
				'payload'   => null === $row['payload'] ? null : json_decode( $row['payload'] ),
				'at'        => self::time_of( $row['at_ms'] ),
			);
		}
		if ( $rows ) {
			$events = array_keys( $rows );
			foreach ( Database::rows( 'SELECT * FROM {moves} WHERE applied = 1 AND acked_ms IS NULL AND event_id IN (' . Database::places( $events, '%s' ) . ') ORDER BY id', $events ) as $move ) {
				$moves[] = array(
					'move_id'       => $move['move_id'],
					'row_id'        => $rows[ $move['event_id'] ]['id'],
					'order_item_id' => (int) $move['order_item_id'],
					'stock_id'      => (int) $move['stock_id'],
					'sku'           => $move['sku'],
					'quantity'      => false === strpos( $move['quantity'], '.' ) ? $move['quantity'] : rtrim( rtrim( $move['quantity'], '0' ), '.' ),
					'kind'          => $move['kind'],
					'at'            => self::time_of( $move['at_ms'] ),
				);
			}
		}
		return array(
			'store_fingerprint' => Pairing::fingerprint(),
			'head'              => (int) Database::value( 'SELECT MAX(id) FROM {changes}' ),
			'rows'              => array_values( $rows ),
			'moves'             => $moves,
			'open'              => array_map( 'intval', Database::column( 'SELECT id FROM {changes} WHERE acked_ms IS NULL AND open = 1 AND at_ms >= %d ORDER BY id LIMIT %d', array( $old, $limit ) ) ),
		);
	}

	/**
	 * The agent holds these, under these numbers. Said again with higher numbers (another epoch), those count.
	 *
	 * @param \WP_REST_Request $request epoch, rows, moves.
	 */
	private static function ack( $request ) {
		$body  = self::body( $request );
		$epoch = $body['epoch'] ?? null;
		$rows  = self::numbers( $body['rows'] ?? array(), 'id' );
		$moves = self::numbers( $body['moves'] ?? array(), 'move_id' );
		if ( ! is_int( $epoch ) || $epoch < 1 || null === $rows || null === $moves ) {
			return self::refusal( 'body', 400, 'The body has to have epoch (a number), rows (id, n) and moves (move_id, n), at most 5,000 of each.' );
		}
		$known_rows  = self::number( 'changes', 'id', '%d', $rows, $epoch );
		$known_moves = self::number( 'moves', 'move_id', '%s', $moves, $epoch );
		return array(
			'acked'   => count( $known_rows ) + count( $known_moves ),
			'unknown' => array_merge(
				array_values( array_diff( array_keys( $rows ), array_map( 'intval', $known_rows ) ) ),
				array_values( array_diff( array_map( 'strval', array_keys( $moves ) ), $known_moves ) )
			),
		);
	}

	/**
	 * Numbers for the stock.
	 *
	 * @param \WP_REST_Request $request items.
	 */
	private static function stock( $request ) {
		$items = self::body( $request )['items'] ?? null;
		if ( ! is_array( $items ) || array_values( $items ) !== $items || count( $items ) > self::MOST_ITEMS ) {
			return self::refusal( 'body', 400, 'The body has to have items, a list of at most 5,000.' );
		}
		$results = Stock::write( $items );
		if ( array_intersect( array( 'applied' ), array_column( $results, 'verdict' ) ) ) {
			update_option( 'counterfoil_stock_ms', Database::now_ms(), false );
		}
		return array( 'results' => $results );
	}

	/**
	 * What the shop sells, the lowest ids first.
	 *
	 * @param \WP_REST_Request $request after, limit.
	 */
	private static function items( $request ): array {
		$limit = min( self::MOST_ITEMS, max( 1, (int) ( $request->get_param( 'limit' ) ?? 1000 ) ) );
		return Sweeps::items( max( 0, (int) $request->get_param( 'after' ) ), $limit );
	}

	/**
	 * Digests of the stock.
	 *
	 * @param \WP_REST_Request $request prefix.
	 */
	private static function digest( $request ) {
		$prefix = strtolower( (string) $request->get_param( 'prefix' ) );
		if ( ! preg_match( '/^([0-9a-f]{2}){0,2}$/', $prefix ) ) {
			return self::refusal( 'prefix', 400, 'prefix has to be none, two or four hexadecimal digits.' );
		}
		return Sweeps::digest( $prefix );
	}

	/**
	 * Totals of the orders.
	 *
	 * @param \WP_REST_Request $request from, to: days, UTC, both inclusive.
	 */
	private static function totals( $request ) {
		foreach ( array( 'from', 'to' ) as $name ) {
			if ( ! preg_match( '/^\d{4}-\d\d-\d\d$/', (string) $request->get_param( $name ) ) ) {
				return self::refusal( 'days', 400, 'from and to have to be days such as 2026-11-23.' );
			}
		}
		return Sweeps::totals( $request->get_param( 'from' ), $request->get_param( 'to' ) );
	}

	/**
	 * How the plugin is.
	 */
	public static function health(): array {
		global $wpdb, $wp_version;
		$waiting = Database::rows( 'SELECT COUNT(*) AS many, MIN(at_ms) AS oldest_ms, SUM(open) AS open FROM {changes} WHERE acked_ms IS NULL' )[0];
		$written = (int) get_option( 'counterfoil_stock_ms', 0 );
		$orders  = Hooks::orders_have_tables()
			? Database::value( "SELECT MAX(id) FROM {{wc_orders}} WHERE type = 'shop_order'" )
			: Database::value( "SELECT MAX(ID) FROM {{posts}} WHERE post_type = 'shop_order'" );
		return array(
			'versions'          => array(
				'plugin'      => VERSION,
				'woocommerce' => defined( 'WC_VERSION' ) ? WC_VERSION : null,
				'wordpress'   => $wp_version,
				'php'         => PHP_VERSION,
				'database'    => Database::value( 'SELECT VERSION()' ),
			),
			'orders_in_tables'  => Hooks::orders_have_tables(),
			'store_fingerprint' => Pairing::fingerprint(),
			'differs_in'        => Pairing::differing(),
			'transactional'     => Database::is_transactional(),
			'missing_hooks'     => array_values(
				array_filter(
					array_unique( Hooks::$names ),
					static function ( string $name ) {
						return ! has_filter( $name );
					}
				)
			),
			'waiting_rows'      => (int) $waiting['many'],
			'open_rows'         => (int) $waiting['open'],
			'oldest_waiting'    => null === $waiting['oldest_ms'] ? null : self::time_of( $waiting['oldest_ms'] ),
			'tables'            => array(
				'changes' => (int) Database::value( 'SELECT COUNT(*) FROM {changes}' ),
				'moves'   => (int) Database::value( 'SELECT COUNT(*) FROM {moves}' ),
				'stock'   => (int) Database::value( 'SELECT COUNT(*) FROM {stock}' ),
			),
			'uncounted_moves'   => (int) Database::value( 'SELECT COUNT(*) FROM {moves} WHERE applied = 1 AND n IS NULL' ),
			'crossings_waiting' => (int) Database::value( 'SELECT COUNT(*) FROM {stock} WHERE crossing = 1' ),
			'newest_order_id'   => null === $orders ? null : (int) $orders,
			'last_stock_write'  => $written ? self::time_of( $written ) : null,
			'nudges'            => '' !== Pairing::settings()['listener'],
		);
	}

	/**
	 * Milliseconds as a time.
	 *
	 * @param int|string $ms Milliseconds since 1970.
	 */
	public static function time_of( $ms ): string {
		return gmdate( 'Y-m-d\TH:i:s', intdiv( (int) $ms, 1000 ) ) . sprintf( '.%03dZ', (int) $ms % 1000 );
	}

	/**
	 * Write (epoch, n) to rows that are known; gives the keys of those.
	 *
	 * @param string $table   changes or moves.
	 * @param string $column  Key column.
	 * @param string $place   %d or %s.
	 * @param array  $numbers n by key.
	 * @param int    $epoch   Epoch.
	 */
	private static function number( string $table, string $column, string $place, array $numbers, int $epoch ): array {
		if ( ! $numbers ) {
			return array();
		}
		$keys  = array_keys( $numbers );
		$known = Database::column( "SELECT $column FROM {{$table}} WHERE $column IN (" . Database::places( $keys, $place ) . ')', $keys );
		$cases = Database::cases( $column, $numbers );
		Database::run(
			"UPDATE {{$table}} SET n = $cases, epoch = %d, acked_ms = COALESCE(acked_ms, %d) WHERE $column IN (" . Database::places( $keys, $place ) . ") AND ( n IS NULL OR epoch < %d OR ( epoch = %d AND n < $cases ) )",
			array_merge( array( $epoch, Database::now_ms() ), $keys, array( $epoch, $epoch ) )
		);
		return $known;
	}

	/**
	 * A list of things with numbers as n by key; null: it is none.
	 *
	 * @param mixed  $things As they came.
	 * @param string $name   id or move_id.
	 */
	private static function numbers( $things, string $name ): ?array {
		if ( ! is_array( $things ) || count( $things ) > self::MOST_ITEMS ) {
			return null;
		}
		$numbers = array();
		foreach ( $things as $thing ) {
			$key  = is_array( $thing ) ? ( $thing[ $name ] ?? null ) : null;
			$good = 'id' === $name ? is_int( $key ) : is_string( $key ) && preg_match( '/^[0-9a-f]{32}$/', $key );
			if ( ! $good || ! is_int( $thing['n'] ?? null ) || $thing['n'] < 1 ) {
				return null;
			}
			$numbers[ $key ] = $thing['n'];
		}
		return $numbers;
	}

	/**
	 * The body as an array; empty where it is no JSON object.
	 *
	 * @param \WP_REST_Request $request Request.
	 */
	private static function body( $request ): array {
		$body = json_decode( (string) $request->get_body(), true, 10 );
		return is_array( $body ) ? $body : array();
	}

	/**
	 * A refusal.
	 *
	 * @param string $code    One word.
	 * @param int    $status  HTTP.
	 * @param string $message Cause and remedy.
	 */
	private static function refusal( string $code, int $status, string $message ): \WP_Error {
		return new \WP_Error( 'counterfoil_' . $code, $message, array( 'status' => $status ) );
	}

	/**
	 * Something went wrong in here.
	 *
	 * @param \Throwable $e What.
	 */
	private static function failure( \Throwable $e ): \WP_Error {
		Hooks::report( $e );
		return self::refusal( 'failure', 500, 'The plugin failed. The shop\'s log (WooCommerce, Status, Logs, source counterfoil) has the cause; the request may be sent again.' );
	}
}
