<?php
/**
 * Keeps the tables small and finishes what a dead process left: every five minutes by WordPress's cron, after every call of the agent, and
 * after every thousandth row, since either of the others may be off.
 *
 * @package Counterfoil
 */

namespace Counterfoil;

defined( 'ABSPATH' ) || exit;

/**
 * Unread rows are never pruned: near the bound those of one object become one.
 */
final class Upkeep {
	const EVENT       = 'counterfoil_upkeep';
	const PERIOD      = 'counterfoil_5min';
	const PERIOD_S    = 300;
	const RETAIN_MS   = 604800000;
	const MOST_ROWS   = 50000;
	const AT_ONCE     = 5000;
	const LEFT_BEHIND = 300000;
	const NONCE_LIFE  = 900000;
	const REST_MS     = 60000;
	const LAST_RUN    = 'counterfoil_upkeep_ms';

	/**
	 * Set the clock.
	 */
	public static function start(): void {
		if ( ! wp_next_scheduled( self::EVENT ) ) {
			wp_schedule_event( time() + self::PERIOD_S, self::PERIOD, self::EVENT );
		}
	}

	/**
	 * Stop the clock.
	 */
	public static function stop(): void {
		wp_clear_scheduled_hook( self::EVENT );
	}

	/**
	 * Tell WordPress of the period.
	 *
	 * @param array $schedules Periods.
	 */
	public static function schedule( $schedules ): array {
		$schedules[ self::PERIOD ] = array(
			'interval' => self::PERIOD_S,
			'display'  => 'Counterfoil',
		);
		return $schedules;
	}

	/**
	 * One round, in bounded bites.
	 */
	public static function run(): void {
		if ( ! Pairing::is_paired() ) {
			return;
		}
		Stock::settle_late();
		Stock::lapse();
		self::tell_of_moves_left_behind();
		self::prune();
		if ( (int) Database::value( 'SELECT COUNT(*) FROM {changes} WHERE acked_ms IS NULL' ) > self::MOST_ROWS ) {
			self::merge();
		}
	}

	/**
	 * After a call of the agent: what can't wait, and the rest once a minute.
	 */
	public static function after_call(): void {
		Stock::settle_late();
		if ( Database::now_ms() - (int) get_option( self::LAST_RUN, 0 ) > self::REST_MS ) {
			update_option( self::LAST_RUN, Database::now_ms(), false );
			self::run();
		}
	}

	/**
	 * Unread rows of one object become its newest; the moves of those that go are told with it, under a new event.
	 */
	public static function merge(): void {
		$newest = 'SELECT object, object_id, MAX(id) AS id, COUNT(*) AS many FROM {changes} WHERE acked_ms IS NULL AND open = 0 GROUP BY object, object_id HAVING many > 1 LIMIT ' . self::AT_ONCE;
		foreach ( Database::rows( $newest ) as $row ) {
			$which = array( $row['object'], (int) $row['object_id'], (int) $row['id'] );
			Database::run(
				'UPDATE {moves} m JOIN {changes} c ON c.event_id = m.event_id JOIN {changes} k ON k.id = %d SET m.event_id = k.event_id
					WHERE m.acked_ms IS NULL AND c.object = %s AND c.object_id = %d AND c.id < %d AND c.acked_ms IS NULL AND c.open = 0',
				array( $which[2], $which[0], $which[1], $which[2] )
			);
			Database::run( 'DELETE FROM {changes} WHERE object = %s AND object_id = %d AND id < %d AND acked_ms IS NULL AND open = 0', $which );
			$event = Database::random_id();
			Database::run( 'UPDATE {moves} m JOIN {changes} k ON k.event_id = m.event_id SET m.event_id = %s WHERE k.id = %d AND m.acked_ms IS NULL', array( $event, $which[2] ) );
			Database::run( 'UPDATE {changes} SET event_id = %s WHERE id = %d', array( $event, $which[2] ) );
		}
	}

	/**
	 * Read rows go after a week, all but the newest, whose id tells that the store did not go back in time. Moves go only below the
	 * basis that their product's number had (for a product that never got one: the highest basis anywhere).
	 */
	private static function prune(): void {
		$old = Database::now_ms() - self::RETAIN_MS;
		$top = (int) Database::value( 'SELECT MAX(id) FROM {changes}' );
		Database::run( 'DELETE FROM {changes} WHERE acked_ms < %d AND id < %d LIMIT ' . self::AT_ONCE, array( $old, $top ) );
		$highest = Database::rows( 'SELECT epoch, n FROM {stock} ORDER BY epoch DESC, n DESC LIMIT 1' );
		$ids     = Database::column(
			'SELECT m.id FROM {moves} m LEFT JOIN {stock} b ON b.stock_id = m.stock_id
				WHERE m.acked_ms < %d AND ( m.epoch < COALESCE(b.epoch, %d) OR ( m.epoch = COALESCE(b.epoch, %d) AND m.n <= COALESCE(b.n, %d) ) ) LIMIT ' . self::AT_ONCE,
			array( $old, $highest ? $highest[0]['epoch'] : 0, $highest ? $highest[0]['epoch'] : 0, $highest ? $highest[0]['n'] : 0 )
		);
		// Moves whose process died before its statement never happened.
		$ids = array_merge( $ids, Database::column( 'SELECT id FROM {moves} WHERE applied = 0 AND acked_ms IS NULL AND at_ms < %d LIMIT ' . self::AT_ONCE, array( $old ) ) );
		if ( $ids ) {
			Database::run( 'DELETE FROM {moves} WHERE id IN (' . Database::places( $ids ) . ')', $ids );
		}
		Database::run( 'DELETE FROM {nonces} WHERE at_ms < %d', array( Database::now_ms() - self::NONCE_LIFE ) );
		$gone = Database::column( 'SELECT s.stock_id FROM {stock} s LEFT JOIN {{posts}} p ON p.ID = s.stock_id WHERE p.ID IS NULL LIMIT ' . self::AT_ONCE );
		if ( $gone ) {
			Database::run( 'DELETE FROM {stock} WHERE stock_id IN (' . Database::places( $gone ) . ')', $gone );
		}
	}

	/**
	 * A process that died after its row had been read left moves that no row tells of: one row per order does.
	 */
	private static function tell_of_moves_left_behind(): void {
		$orders = Database::column(
			'SELECT DISTINCT m.order_id FROM {moves} m LEFT JOIN {changes} c ON c.event_id = m.event_id
				WHERE m.acked_ms IS NULL AND m.at_ms < %d AND m.applied = 1 AND ( c.id IS NULL OR c.acked_ms IS NOT NULL ) LIMIT 100',
			array( Database::now_ms() - self::LEFT_BEHIND )
		);
		foreach ( $orders as $order_id ) {
			$event = Log::insert( 'order', (int) $order_id, 'stock', 0 );
			Database::run(
				'UPDATE {moves} m LEFT JOIN {changes} c ON c.event_id = m.event_id SET m.event_id = %s
					WHERE m.order_id = %d AND m.acked_ms IS NULL AND ( c.id IS NULL OR c.acked_ms IS NOT NULL )',
				array( $event, $order_id )
			);
		}
	}
}
