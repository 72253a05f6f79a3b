"""Tryton 8.2, spoken to over its JSON-RPC; nothing of Tryton is imported here."""

from counterfoil_engine.adapters.erp.tryton.adapter import TrytonErp

__all__ = ["TrytonErp"]
