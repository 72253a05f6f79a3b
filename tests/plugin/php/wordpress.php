<?php
/**
 * The edge of WordPress that the plugin touches, over a real database: wpdb, hooks, options, cron, sites, REST classes.
 * Only as much as the plugin calls; what it says is what WordPress documents.
 */

define( 'ABSPATH', '/srv/shop/' );
define( 'ARRAY_A', 'ARRAY_A' );
define( 'MINUTE_IN_SECONDS', 60 );
define( 'DB_NAME', getenv( 'SHOP_DATABASE' ) );
define( 'DB_HOST', 'localhost' );
mysqli_report( MYSQLI_REPORT_OFF );

$wp_version = '6.9';

/** A connection of its own, for tests that need a second pair of hands. */
function connect(): mysqli {
	$parts = parse_url( getenv( 'SHOP_SERVER' ) ?: 'mysql://root@localhost' );
	$link  = mysqli_init();
	$socket = getenv( 'SHOP_SOCKET' ) ?: null;
	if ( ! @$link->real_connect( $parts['host'], $parts['user'] ?? 'root', $parts['pass'] ?? '', DB_NAME, $parts['port'] ?? 3306, $socket ) ) {
		fwrite( STDERR, 'MariaDB is not reached: ' . mysqli_connect_error() . "\n" );
		exit( 2 );
	}
	$link->set_charset( 'utf8mb4' );
	$link->query( "SET SESSION sql_mode = ''" ); // As WordPress does: no strict mode.
	return $link;
}

class wpdb {
	public $dbh;
	public $prefix       = 'wp_';
	public $posts        = 'wp_posts';
	public $postmeta     = 'wp_postmeta';
	public $last_error   = '';
	public $last_query   = '';
	public $rows_affected = 0;
	public $insert_id    = 0;
	public $num_queries  = 0;
	public $shown        = array();
	private $quiet       = false;
	private $result;

	public function __construct() {
		$this->dbh = connect();
	}

	public function set_blog_id( int $id ): void {
		$this->prefix   = 1 === $id ? 'wp_' : "wp_{$id}_";
		$this->posts    = $this->prefix . 'posts';
		$this->postmeta = $this->prefix . 'postmeta';
	}

	public function prepare( $sql, ...$args ) {
		$args = isset( $args[0] ) && is_array( $args[0] ) ? array_values( $args[0] ) : $args;
		$next = 0;
		return preg_replace_callback(
			'/%([sdf])/',
			function ( $found ) use ( $args, &$next ) {
				if ( ! array_key_exists( $next, $args ) ) {
					throw new LogicException( 'too few values' );
				}
				$value = $args[ $next++ ];
				return 'd' === $found[1] ? (string) (int) $value : ( 'f' === $found[1] ? sprintf( '%F', $value ) : "'" . $this->dbh->real_escape_string( (string) $value ) . "'" );
			},
			$sql
		);
	}

	public function query( $sql ) {
		$sql = apply_filters( 'query', $sql );
		if ( ! $sql ) {
			return false;
		}
		$this->last_error    = '';
		$this->rows_affected = 0;
		$this->result        = array();
		$this->last_query    = $sql;
		++$this->num_queries;
		$answer = @$this->dbh->query( $sql );
		if ( in_array( $this->dbh->errno, array( 2006, 2013 ), true ) ) {
			$this->dbh = connect();
			$answer    = @$this->dbh->query( $sql );
		}
		if ( false === $answer ) {
			$this->last_error = $this->dbh->error;
			if ( ! $this->quiet ) {
				$this->shown[] = $this->last_error;
			}
			return false;
		}
		if ( true === $answer ) {
			$this->rows_affected = $this->dbh->affected_rows;
			$this->insert_id     = $this->dbh->insert_id ?: $this->insert_id;
			return $this->rows_affected;
		}
		$this->result = $answer->fetch_all( MYSQLI_ASSOC );
		return count( $this->result );
	}

	public function get_results( $sql, $as = ARRAY_A ) {
		$this->query( $sql );
		return $this->result;
	}

	public function get_var( $sql ) {
		$rows = $this->get_results( $sql );
		return $rows ? current( $rows[0] ) : null;
	}

	public function suppress_errors( $quiet = true ) {
		$was         = $this->quiet;
		$this->quiet = $quiet;
		return $was;
	}

	public function get_charset_collate() {
		return 'DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci';
	}
}

$GLOBALS['wp_filter']  = array();
$GLOBALS['blog']       = 1;
$GLOBALS['blogs']      = array();
$GLOBALS['cron']       = array();
$GLOBALS['caches']     = array();
$GLOBALS['roles']      = array( 'administrator' => array() );
$GLOBALS['sent']       = array();

function add_filter( $hook, $callback, $priority = 10, $args = 1 ) {
	$GLOBALS['wp_filter'][ $hook ][ $priority ][] = array( $callback, $args );
	ksort( $GLOBALS['wp_filter'][ $hook ] );
	return true;
}
function remove_filter( $hook, $callback, $priority = 10 ) {
	$callbacks = $GLOBALS['wp_filter'][ $hook ][ $priority ] ?? array();

	$GLOBALS['wp_filter'][ $hook ][ $priority ] = array_filter( $callbacks, fn( $set ) => $set[0] !== $callback );
}
function add_action( $hook, $callback, $priority = 10, $args = 1 ) {
	return add_filter( $hook, $callback, $priority, $args );
}
function has_filter( $hook ) {
	return ! empty( $GLOBALS['wp_filter'][ $hook ] );
}
function apply_filters( $hook, $value = null, ...$more ) {
	foreach ( $GLOBALS['wp_filter'][ $hook ] ?? array() as $callbacks ) {
		foreach ( $callbacks as list( $callback, $args ) ) {
			$value = $callback( ...array_slice( array_merge( array( $value ), $more ), 0, $args ) );
		}
	}
	return $value;
}
function do_action( $hook, ...$values ) {
	foreach ( $GLOBALS['wp_filter'][ $hook ] ?? array() as $callbacks ) {
		foreach ( $callbacks as list( $callback, $args ) ) {
			$callback( ...array_slice( $values, 0, $args ) );
		}
	}
}
function register_activation_hook( $file, $callback ) {}
function register_deactivation_hook( $file, $callback ) {}

/** Options live in the site's own table, as the tests of several processes need. */
function get_option( $name, $default = false ) {
	global $wpdb;
	$link = $wpdb->dbh;
	$rows = $link->query( "SELECT option_value FROM {$wpdb->prefix}options WHERE option_name = '" . $link->real_escape_string( $name ) . "'" );
	$row  = $rows ? $rows->fetch_row() : null;
	return $row ? unserialize( $row[0] ) : $default;
}
function update_option( $name, $value, $autoload = null ) {
	global $wpdb;
	$link = $wpdb->dbh;
	return $link->query( "REPLACE INTO {$wpdb->prefix}options (option_name, option_value) VALUES ('" . $link->real_escape_string( $name ) . "', '" . $link->real_escape_string( serialize( $value ) ) . "')" );
}
function delete_option( $name ) {
	global $wpdb;
	return $wpdb->dbh->query( "DELETE FROM {$wpdb->prefix}options WHERE option_name = '" . $wpdb->dbh->real_escape_string( $name ) . "'" );
}

function get_current_blog_id() {
	return $GLOBALS['blog'];
}
function switch_to_blog( $id ) {
	$GLOBALS['blogs'][] = $GLOBALS['blog'];
	$GLOBALS['blog']    = $id;
	$GLOBALS['wpdb']->set_blog_id( $id );
}
function restore_current_blog() {
	$GLOBALS['blog'] = array_pop( $GLOBALS['blogs'] );
	$GLOBALS['wpdb']->set_blog_id( $GLOBALS['blog'] );
}
function is_multisite() {
	return ! empty( $GLOBALS['sites'] );
}
function get_sites( $query ) {
	return $GLOBALS['sites'];
}

function wp_next_scheduled( $hook ) {
	return $GLOBALS['cron'][ get_current_blog_id() ][ $hook ] ?? false;
}
function wp_schedule_event( $at, $period, $hook ) {
	$GLOBALS['cron'][ get_current_blog_id() ][ $hook ] = $at;
}
function wp_clear_scheduled_hook( $hook ) {
	unset( $GLOBALS['cron'][ get_current_blog_id() ][ $hook ] );
}

class Role {
	private $name;
	public function __construct( $name ) {
		$this->name = $name;
	}
	public function add_cap( $capability ) {
		$GLOBALS['roles'][ $this->name ][ $capability ] = true;
	}
	public function remove_cap( $capability ) {
		unset( $GLOBALS['roles'][ $this->name ][ $capability ] );
	}
}
function get_role( $name ) {
	return isset( $GLOBALS['roles'][ $name ] ) ? new Role( $name ) : null;
}
function wp_roles() {
	return (object) array( 'roles' => $GLOBALS['roles'] );
}

function wp_cache_delete( $key, $group = '' ) {
	$GLOBALS['caches'][] = "$group/$key";
}
function clean_post_cache( $id ) {
	$GLOBALS['caches'][] = "post/$id";
}
function wp_json_encode( $value ) {
	return json_encode( $value );
}
function home_url() {
	return $GLOBALS['home'] ?? 'https://shop.example';
}
function untrailingslashit( $path ) {
	return rtrim( $path, '/' );
}
function get_current_user_id() {
	return 7;
}
function wp_remote_post( $address, $options ) {
	$GLOBALS['sent'][] = array( $address, $options );
}
function get_post_type( $id ) {
	global $wpdb;
	return $wpdb->get_var( $wpdb->prepare( "SELECT post_type FROM {$wpdb->posts} WHERE ID = %d", $id ) );
}
function wp_get_post_parent_id( $id ) {
	global $wpdb;
	return (int) $wpdb->get_var( $wpdb->prepare( "SELECT post_parent FROM {$wpdb->posts} WHERE ID = %d", $id ) );
}
function get_post_meta( $id, $key, $single = true ) {
	global $wpdb;
	return (string) $wpdb->get_var( $wpdb->prepare( "SELECT meta_value FROM {$wpdb->postmeta} WHERE post_id = %d AND meta_key = %s LIMIT 1", $id, $key ) );
}
function add_post_meta( $id, $key, $value, $unique = false ) {
	global $wpdb;
	if ( ! $wpdb->get_var( $wpdb->prepare( "SELECT meta_id FROM {$wpdb->postmeta} WHERE post_id = %d AND meta_key = %s", $id, $key ) ) ) {
		$wpdb->query( $wpdb->prepare( "INSERT INTO {$wpdb->postmeta} (post_id, meta_key, meta_value) VALUES (%d, %s, %s)", $id, $key, $value ) );
	}
}

class WP_Error {
	private $code;
	private $message;
	private $data;
	public function __construct( $code, $message, $data ) {
		$this->code    = $code;
		$this->message = $message;
		$this->data    = $data;
	}
	public function get_error_code() {
		return $this->code;
	}
	public function get_error_message() {
		return $this->message;
	}
	public function get_error_data() {
		return $this->data;
	}
}
class WP_REST_Request {
	private $method;
	private $route;
	private $headers = array();
	private $query   = array();
	private $body    = '';
	public function __construct( $method = 'GET', $route = '' ) {
		$this->method = $method;
		$this->route  = $route;
	}
	public function get_method() {
		return $this->method;
	}
	public function get_route() {
		return $this->route;
	}
	public function set_header( $name, $value ) {
		$this->headers[ strtolower( $name ) ] = $value;
	}
	public function get_header( $name ) {
		return $this->headers[ strtolower( $name ) ] ?? null;
	}
	public function set_query_params( $query ) {
		$this->query = $query;
	}
	public function get_query_params() {
		return $this->query;
	}
	public function set_param( $name, $value ) {
		$this->query[ $name ] = $value;
	}
	public function get_param( $name ) {
		return $this->query[ $name ] ?? null;
	}
	public function set_body( $body ) {
		$this->body = $body;
	}
	public function get_body() {
		return $this->body;
	}
}
function register_rest_route( $space, $path, $route ) {
	$GLOBALS['routes'][ "/$space$path" ] = $route;
}
function rest_ensure_response( $answer ) {
	return $answer;
}

$GLOBALS['wpdb'] = new wpdb();
