<?php
/**
 * What a connection that broke inside a transaction becomes.
 *
 * @package Counterfoil
 */

namespace Counterfoil;

defined( 'ABSPATH' ) || exit;

/**
 * The connection broke and was made anew: the locks are gone.
 */
final class Lost_Connection extends \RuntimeException {
}
