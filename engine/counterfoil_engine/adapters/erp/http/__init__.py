"""Any ERP that speaks the small HTTP contract of `erp.openapi.yaml`."""

from counterfoil_engine.adapters.erp.http.adapter import HttpErp

__all__ = ["HttpErp"]
