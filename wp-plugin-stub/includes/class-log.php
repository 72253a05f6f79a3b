<?php
/**
 * The change log: one row per object and request, written before the save (open) and closed when the request ends.
 *
 * So a process that dies anywhere leaves either a row, which is read after a minute, or no change at all.
 *
 * @package Counterfoil
 */

namespace Counterfoil;

defined( 'ABSPATH' ) || exit;

/**
 * Rows of this request, and how they are opened and closed.
 */
final class Log {
	/**
	 * What may be said of an object, the least first: a row tells the weightiest thing that happened in its request.
	 */
	const KINDS = array( 'edited', 'stock', 'set', 'status', 'created', 'total', 'paid', 'refund', 'untrashed', 'trashed', 'deleted' );

	/**
	 * After these another snapshot may not stand for this one: what the row told is kept before the next change.
	 */
	const MONEY = array( 'status', 'created', 'total', 'paid', 'refund' );

	/**
	 * A long import closes its rows on the way, all but the newest, whose saves may still be going on.
	 */
	const MOST_OPEN  = 500;
	const STAY_OPEN  = 20;
	const UPKEEP_PER = 1000;

	/**
	 * Open rows by "site object id": event, site, object, id, kind, source.
	 *
	 * @var array[]
	 */
	private static $rows = array();

	/**
	 * Whether closing is asked for already.
	 *
	 * @var bool
	 */
	private static $closes = false;

	/**
	 * Whether enough rows were added that the tables want looking after.
	 *
	 * @var bool
	 */
	private static $wants_upkeep = false;

	/**
	 * The object is about to be changed: see that a row says so, and give its event id; null where no log is kept.
	 *
	 * @param string      $thing  order, product or stock.
	 * @param int         $id      The object's id; 0: it is about to be made.
	 * @param string      $kind    One of KINDS.
	 * @param object|null $source  Where $id is 0: the thing that will know its id.
	 * @param bool        $is_new  True where no earlier row of this object can be waiting.
	 * @param array|null  $payload What the row shall carry by itself.
	 */
	public static function touch( string $thing, int $id, string $kind, $source = null, bool $is_new = false, ?array $payload = null ): ?string {
		$key = self::key_of( $thing, $id, $source );
		if ( isset( self::$rows[ $key ] ) ) {
			if ( 'deleted' === self::$rows[ $key ]['kind'] && 'deleted' === $kind ) {
				// Told by more than one hook: by the later ones, parts of it are gone.
				return self::$rows[ $key ]['event'];
			}
			if ( array_search( $kind, self::KINDS, true ) > array_search( self::$rows[ $key ]['kind'], self::KINDS, true ) ) {
				self::$rows[ $key ]['kind'] = $kind;
			}
			if ( null !== $payload ) {
				Database::run( 'UPDATE {changes} SET payload = %s WHERE event_id = %s AND acked_ms IS NULL', array( (string) wp_json_encode( $payload ), self::$rows[ $key ]['event'] ) );
			}
			return self::$rows[ $key ]['event'];
		}
		if ( ! Pairing::is_paired() ) {
			return null;
		}
		if ( 'order' === $thing && $id && ! $is_new ) {
			self::keep_what_was( $id );
		}
		if ( count( self::$rows ) >= self::MOST_OPEN ) {
			self::close( self::STAY_OPEN );
		}
		$event = self::insert( $thing, $id, $kind, 1, $payload );

		self::$rows[ $key ] = array(
			'event'  => $event,
			'site'   => get_current_blog_id(),
			'object' => $thing,
			'id'     => $id,
			'kind'   => $kind,
			'source' => $source,
		);
		if ( ! self::$closes ) {
			self::$closes = true;
			// Later than WordPress's own: what is saved at its shutdown still belongs to this request.
			register_shutdown_function( array( self::class, 'end' ) );
		}
		return $event;
	}

	/**
	 * The request ends: close what is open, wake the agent. What is changed after this opens rows of its own.
	 */
	public static function end(): void {
		try {
			self::$closes = false;
			self::close( 0 );
			Nudge::send();
			if ( self::$wants_upkeep ) {
				self::$wants_upkeep = false;
				Upkeep::run();
			}
		} catch ( \Throwable $e ) {
			Hooks::report( $e );
		}
	}

	/**
	 * Close all rows but the newest few.
	 *
	 * @param int $leave How many stay open.
	 */
	public static function close( int $leave ): void {
		$closing    = array_slice( self::$rows, 0, max( 0, count( self::$rows ) - $leave ), true );
		self::$rows = array_diff_key( self::$rows, $closing );
		$alike      = array();
		foreach ( $closing as $row ) {
			if ( ! $row['id'] && $row['source'] ) {
				$row['id']  = (int) $row['source']->get_id();
				$row['new'] = true;
			}
			$alike[ $row['site'] . ' ' . $row['kind'] . ' ' . ( isset( $row['new'] ) ? $row['id'] : '' ) ][] = $row;
		}
		foreach ( $alike as $rows ) {
			self::on_site(
				$rows[0]['site'],
				static function () use ( $rows ) {
					self::close_alike( $rows );
				}
			);
		}
	}

	/**
	 * Write a row by itself.
	 *
	 * @param string     $thing  order, product or stock.
	 * @param int        $id      Its id.
	 * @param string     $kind    One of KINDS.
	 * @param int        $open    1: more may come in this request.
	 * @param array|null $payload What the row carries.
	 */
	public static function insert( string $thing, int $id, string $kind, int $open, ?array $payload = null ): string {
		global $wpdb;
		$event = Database::random_id();
		Database::run(
			'INSERT INTO {changes} (event_id, object, object_id, kind, open, at_ms, payload) VALUES (%s, %s, %d, %s, %d, %d, '
			. ( null === $payload ? 'NULL)' : '%s)' ),
			array_merge( array( $event, $thing, $id, $kind, $open, Database::now_ms() ), null === $payload ? array() : array( (string) wp_json_encode( $payload ) ) )
		);
		if ( 0 === $wpdb->insert_id % self::UPKEEP_PER ) {
			self::$wants_upkeep = true;
		}
		return $event;
	}

	/**
	 * The order with its refunds as the REST API would say it now, read from the database.
	 *
	 * @param int $order_id Order.
	 */
	public static function snapshot( int $order_id ): ?array {
		$order = wc_get_order( $order_id );
		if ( ! $order instanceof \WC_Order ) {
			return null;
		}
		$request = new \WP_REST_Request( 'GET' );
		$request->set_param( 'context', 'view' );
		$orders  = new \WC_REST_Orders_Controller();
		$refunds = array();
		foreach ( $order->get_refunds() as $refund ) {
			$about = new \WP_REST_Request( 'GET' );
			$about->set_param( 'context', 'view' );
			$about->set_param( 'order_id', $order_id );
			$reader    = new \WC_REST_Order_Refunds_Controller();
			$refunds[] = $reader->prepare_object_for_response( $refund, $about )->get_data();
		}
		return array(
			'order'   => $orders->prepare_object_for_response( $order, $request )->get_data(),
			'refunds' => $refunds,
		);
	}

	/**
	 * Rows of one site that get the same kind (and, where they were made for a new object, the same id).
	 *
	 * @param array[] $rows Rows.
	 */
	private static function close_alike( array $rows ): void {
		$events = array_column( $rows, 'event' );
		if ( isset( $rows[0]['new'] ) && ! $rows[0]['id'] ) {
			// Nothing was saved: there is no object that the row could tell of.
			Database::run( 'DELETE FROM {changes} WHERE acked_ms IS NULL AND event_id IN (' . Database::places( $events, '%s' ) . ')', $events );
			return;
		}
		$closed = Database::run(
			'UPDATE {changes} SET open = 0, kind = %s' . ( isset( $rows[0]['new'] ) ? ', object_id = %d' : '' )
			. ' WHERE open = 1 AND acked_ms IS NULL AND event_id IN (' . Database::places( $events, '%s' ) . ')',
			array_merge( array( $rows[0]['kind'] ), isset( $rows[0]['new'] ) ? array( $rows[0]['id'] ) : array(), $events )
		);
		if ( $closed < count( $events ) ) {
			self::tell_again( $rows, $events );
		}
	}

	/**
	 * A request of more than a minute: its open row was read and acknowledged before the last change. Another row tells that.
	 *
	 * @param array[]  $rows   Rows.
	 * @param string[] $events Their events.
	 */
	private static function tell_again( array $rows, array $events ): void {
		$read = Database::column( 'SELECT event_id FROM {changes} WHERE acked_ms IS NOT NULL AND event_id IN (' . Database::places( $events, '%s' ) . ')', $events );
		foreach ( $rows as $row ) {
			if ( in_array( $row['event'], $read, true ) ) {
				$event = self::insert( $row['object'], $row['id'], $row['kind'], 0 );
				Database::run( 'UPDATE {moves} SET event_id = %s WHERE event_id = %s AND acked_ms IS NULL', array( $event, $row['event'] ) );
			}
		}
	}

	/**
	 * Before an order is changed once more: what an unread row about money told would be gone, so the row takes it along.
	 *
	 * @param int $order_id Order.
	 */
	private static function keep_what_was( int $order_id ): void {
		$rows = Database::column(
			"SELECT id FROM {changes} WHERE object = 'order' AND object_id = %d AND acked_ms IS NULL AND open = 0 AND payload IS NULL AND kind IN ("
			. Database::places( self::MONEY, '%s' ) . ')',
			array_merge( array( $order_id ), self::MONEY )
		);
		if ( ! $rows ) {
			return;
		}
		try {
			$snapshot = self::snapshot( $order_id );
		} catch ( \Throwable $e ) {
			Hooks::report( $e );
			return;
		}
		if ( $snapshot ) {
			Database::run(
				'UPDATE {changes} SET payload = %s WHERE payload IS NULL AND acked_ms IS NULL AND id IN (' . Database::places( $rows ) . ')',
				array_merge( array( (string) wp_json_encode( $snapshot ) ), $rows )
			);
		}
	}

	/**
	 * The key of an object's row; a row that was opened for a new object is found by the id that it got since.
	 *
	 * @param string      $thing Object.
	 * @param int         $id     Id.
	 * @param object|null $source Source.
	 */
	private static function key_of( string $thing, int $id, $source ): string {
		$site = get_current_blog_id() . ' ' . $thing . ' ';
		if ( ! $id ) {
			return $site . 'new ' . ( $source ? spl_object_id( $source ) : 0 );
		}
		if ( ! isset( self::$rows[ $site . $id ] ) ) {
			foreach ( self::$rows as $key => $row ) {
				if ( ! $row['id'] && $row['source'] && 0 === strpos( $key, $site ) && (int) $row['source']->get_id() === $id ) {
					return $key;
				}
			}
		}
		return $site . $id;
	}

	/**
	 * Carry out on a site of a network.
	 *
	 * @param int      $site Site.
	 * @param callable $task What to do.
	 */
	private static function on_site( int $site, callable $task ): void {
		$elsewhere = get_current_blog_id() !== $site;
		if ( $elsewhere ) {
			switch_to_blog( $site );
		}
		try {
			$task();
		} finally {
			if ( $elsewhere ) {
				restore_current_blog();
			}
		}
	}
}
