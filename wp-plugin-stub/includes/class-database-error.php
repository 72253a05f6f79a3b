<?php
/**
 * What a refusing database becomes.
 *
 * @package Counterfoil
 */

namespace Counterfoil;

defined( 'ABSPATH' ) || exit;

/**
 * A statement that the database refused; the code is MySQL's.
 */
final class Database_Error extends \RuntimeException {
	const LOCK_WAIT = 1205;
	const DEADLOCK  = 1213;

	/**
	 * Whether the same statements may well work a moment later.
	 */
	public function passes(): bool {
		return in_array( $this->getCode(), array( self::LOCK_WAIT, self::DEADLOCK ), true );
	}
}
