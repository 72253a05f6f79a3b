<?php
/**
 * The plugin's four tables, and the one way to them: a failing statement is an exception here, never text in a page.
 *
 * @package Counterfoil
 */

namespace Counterfoil;

defined( 'ABSPATH' ) || exit;

/**
 * Statements on this site's tables. SQL in here names tables in braces: {changes} is the plugin's, {{postmeta}} WordPress's.
 */
final class Database {
	const TABLES = array( 'changes', 'moves', 'stock', 'nonces' );

	/**
	 * The full name of one of the plugin's tables, on the site that is current now.
	 *
	 * @param string $table One of TABLES.
	 */
	public static function table( string $table ): string {
		global $wpdb;
		return $wpdb->prefix . 'counterfoil_' . $table;
	}

	/**
	 * Make the tables of this site; what is there stays.
	 */
	public static function create(): void {
		global $wpdb;
		$rest = 'ENGINE=InnoDB ' . $wpdb->get_charset_collate();
		self::run(
			"CREATE TABLE IF NOT EXISTS {changes} (
				id bigint unsigned NOT NULL AUTO_INCREMENT,
				event_id char(32) CHARACTER SET ascii NOT NULL,
				object varchar(10) CHARACTER SET ascii NOT NULL,
				object_id bigint unsigned NOT NULL,
				kind varchar(10) CHARACTER SET ascii NOT NULL,
				open tinyint NOT NULL,
				payload mediumtext NULL,
				at_ms bigint NOT NULL,
				epoch bigint NULL,
				n bigint NULL,
				acked_ms bigint NULL,
				PRIMARY KEY (id),
				UNIQUE KEY event_id (event_id),
				KEY waiting (acked_ms, id),
				KEY object_waiting (object, object_id, acked_ms)
			) $rest"
		);
		self::run(
			"CREATE TABLE IF NOT EXISTS {moves} (
				id bigint unsigned NOT NULL AUTO_INCREMENT,
				move_id char(32) CHARACTER SET ascii NOT NULL,
				event_id char(32) CHARACTER SET ascii NOT NULL,
				order_id bigint unsigned NOT NULL,
				order_item_id bigint unsigned NOT NULL,
				stock_id bigint unsigned NOT NULL,
				sku varchar(100) NOT NULL,
				quantity decimal(20,4) NOT NULL,
				kind varchar(10) CHARACTER SET ascii NOT NULL,
				applied tinyint NOT NULL,
				at_ms bigint NOT NULL,
				epoch bigint NULL,
				n bigint NULL,
				acked_ms bigint NULL,
				PRIMARY KEY (id),
				UNIQUE KEY move_id (move_id),
				KEY event_id (event_id),
				KEY stock_id (stock_id, epoch, n),
				KEY waiting (acked_ms, at_ms)
			) $rest"
		);
		self::run(
			"CREATE TABLE IF NOT EXISTS {stock} (
				stock_id bigint unsigned NOT NULL,
				version bigint NOT NULL,
				epoch bigint NOT NULL,
				n bigint NOT NULL,
				number bigint NOT NULL,
				expires_ms bigint NULL,
				silence_share decimal(5,4) NOT NULL,
				lapsed tinyint NOT NULL,
				crossing tinyint NOT NULL,
				late tinyint NOT NULL,
				at_ms bigint NOT NULL,
				PRIMARY KEY (stock_id),
				KEY unsettled (late, crossing),
				KEY expiry (lapsed, expires_ms)
			) $rest"
		);
		self::run(
			"CREATE TABLE IF NOT EXISTS {nonces} (
				nonce char(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
				at_ms bigint NOT NULL,
				PRIMARY KEY (nonce),
				KEY at_ms (at_ms)
			) $rest"
		);
	}

	/**
	 * Whether stock rows and our own are in InnoDB: without row locks no write of stock is safe.
	 */
	public static function is_transactional(): bool {
		global $wpdb;
		$names   = array( $wpdb->postmeta, $wpdb->prefix . 'wc_product_meta_lookup', self::table( 'moves' ), self::table( 'stock' ) );
		$engines = self::column(
			'SELECT ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN (' . self::places( $names, '%s' ) . ')',
			$names
		);
		return count( $engines ) === count( $names ) && array( 'innodb' ) === array_unique( array_map( 'strtolower', $engines ) );
	}

	/**
	 * Carry out a statement.
	 *
	 * @param string $sql  With %s and %d for the values.
	 * @param array  $args The values.
	 * @return int Rows that were changed.
	 * @throws Database_Error Where the database refuses.
	 */
	public static function run( string $sql, array $args = array() ): int {
		global $wpdb;
		return (int) self::ask(
			static function ( $prepared ) use ( $wpdb ) {
				return $wpdb->query( $prepared ); // phpcs:ignore WordPress.DB.PreparedSQL.NotPrepared -- it is.
			},
			$sql,
			$args
		);
	}

	/**
	 * Rows as associative arrays.
	 *
	 * @param string $sql  With %s and %d for the values.
	 * @param array  $args The values.
	 */
	public static function rows( string $sql, array $args = array() ): array {
		global $wpdb;
		return (array) self::ask(
			static function ( $prepared ) use ( $wpdb ) {
				return $wpdb->get_results( $prepared, ARRAY_A ); // phpcs:ignore WordPress.DB.PreparedSQL.NotPrepared -- it is.
			},
			$sql,
			$args
		);
	}

	/**
	 * The first column of all rows.
	 *
	 * @param string $sql  With %s and %d for the values.
	 * @param array  $args The values.
	 */
	public static function column( string $sql, array $args = array() ): array {
		return array_map( 'current', self::rows( $sql, $args ) );
	}

	/**
	 * The first value of the first row, or null.
	 *
	 * @param string $sql  With %s and %d for the values.
	 * @param array  $args The values.
	 */
	public static function value( string $sql, array $args = array() ) {
		$column = self::column( $sql, $args );
		return $column ? $column[0] : null;
	}

	/**
	 * Placeholders for a list.
	 *
	 * @param array  $values Not empty.
	 * @param string $place  %d or %s.
	 */
	public static function places( array $values, string $place = '%d' ): string {
		return implode( ',', array_fill( 0, count( $values ), $place ) );
	}

	/**
	 * A text of the form CASE column WHEN key THEN value … END, for a write of many rows at once.
	 *
	 * @param string $column Column.
	 * @param array  $values Key => value; both are cast to what the places say.
	 * @param string $then   %d or %s.
	 */
	public static function cases( string $column, array $values, string $then = '%d' ): string {
		global $wpdb;
		$text = "CASE $column";
		foreach ( $values as $key => $value ) {
			$when  = is_int( $key ) ? '%d' : '%s';
			$text .= $wpdb->prepare( " WHEN $when THEN $then", $key, $value ); // phpcs:ignore WordPress.DB -- both are placeholders.
		}
		return $text . ' END';
	}

	/**
	 * Milliseconds since 1970.
	 */
	public static function now_ms(): int {
		return (int) ( microtime( true ) * 1000 );
	}

	/**
	 * A random id of 32 hexadecimal digits.
	 */
	public static function random_id(): string {
		return bin2hex( random_bytes( 16 ) );
	}

	/**
	 * Put the tables' names and the values in, run it quietly, and make a failure an exception.
	 *
	 * @param callable $run  Takes the finished statement.
	 * @param string   $sql  Statement.
	 * @param array    $args Values.
	 * @throws Database_Error Where the database refuses.
	 */
	private static function ask( callable $run, string $sql, array $args ) {
		global $wpdb;
		$prefix = $wpdb->prefix;
		$sql    = preg_replace_callback(
			'/\{\{(\w+)\}\}|\{(\w+)\}/',
			static function ( array $found ) use ( $wpdb, $prefix ) {
				if ( '' === $found[1] ) {
					return $prefix . 'counterfoil_' . $found[2];
				}
				return isset( $wpdb->{$found[1]} ) ? $wpdb->{$found[1]} : $prefix . $found[1];
			},
			$sql
		);
		$quiet  = $wpdb->suppress_errors( true );
		$answer = $run( $args ? $wpdb->prepare( $sql, $args ) : $sql ); // phpcs:ignore WordPress.DB.PreparedSQL.NotPrepared -- here it is prepared.
		$error  = (string) $wpdb->last_error;
		$wpdb->suppress_errors( $quiet );
		if ( '' !== $error ) {
			$code = $wpdb->dbh instanceof \mysqli ? mysqli_errno( $wpdb->dbh ) : 0; // phpcs:ignore WordPress.DB.RestrictedFunctions -- wpdb does not tell the code.
			throw new Database_Error( $error, $code ); // phpcs:ignore WordPress.Security.EscapeOutput -- goes to a log, not to a page.
		}
		return $answer;
	}
}
