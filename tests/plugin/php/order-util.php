<?php
/** Where orders live, as WooCommerce tells it. */

namespace Automattic\WooCommerce\Utilities;

class OrderUtil {
	public static function custom_orders_table_usage_is_enabled(): bool {
		return $GLOBALS['orders_have_tables'] ?? true;
	}
}
