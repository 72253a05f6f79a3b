"""Ways by which payout reports come in."""
