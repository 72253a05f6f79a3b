"""Tests, demonstration and measurements on a real Tryton: a process of its own, spoken to over its API alone."""
