<?php
/**
 * Plugin Name: Counterfoil
 * Description: Writes a change log beside each change of orders and stock, and takes stock numbers in a way that hides no sale. It carries no business rule.
 * Version: 0.1.0
 * Requires at least: 6.2
 * Requires PHP: 7.4
 * Requires Plugins: woocommerce
 * WC requires at least: 8.0
 * WC tested up to: 11.0
 * Text Domain: counterfoil
 * Domain Path: /languages
 *
 * @package Counterfoil
 */

namespace Counterfoil;

defined( 'ABSPATH' ) || exit;

const VERSION     = '0.1.0';
const PLUGIN_FILE = __FILE__;

require_once __DIR__ . '/includes/class-database-error.php';
require_once __DIR__ . '/includes/class-database.php';
require_once __DIR__ . '/includes/class-pairing.php';
require_once __DIR__ . '/includes/class-nudge.php';
require_once __DIR__ . '/includes/class-log.php';
require_once __DIR__ . '/includes/class-hooks.php';
require_once __DIR__ . '/includes/class-moves.php';
require_once __DIR__ . '/includes/class-lost-connection.php';
require_once __DIR__ . '/includes/class-stock.php';
require_once __DIR__ . '/includes/class-sweeps.php';
require_once __DIR__ . '/includes/class-upkeep.php';
require_once __DIR__ . '/includes/class-routes.php';
require_once __DIR__ . '/includes/class-page.php';

register_activation_hook( __FILE__, array( Page::class, 'grant' ) );
register_deactivation_hook( __FILE__, array( Upkeep::class, 'stop' ) );

add_action(
	'before_woocommerce_init',
	static function () {
		if ( class_exists( '\Automattic\WooCommerce\Utilities\FeaturesUtil' ) ) {
			\Automattic\WooCommerce\Utilities\FeaturesUtil::declare_compatibility( 'custom_order_tables', __FILE__, true );
			\Automattic\WooCommerce\Utilities\FeaturesUtil::declare_compatibility( 'cart_checkout_blocks', __FILE__, true );
		}
	}
);

add_action( 'woocommerce_loaded', array( Hooks::class, 'listen' ) );
