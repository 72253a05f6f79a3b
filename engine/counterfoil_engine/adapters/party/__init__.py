"""Adapters of WMS, gateways and tax services."""
