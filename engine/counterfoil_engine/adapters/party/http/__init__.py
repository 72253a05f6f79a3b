"""Any WMS, gateway or tax service that speaks the small HTTP contract of `party.openapi.yaml`."""

from counterfoil_engine.adapters.party.http.adapter import HttpParty

__all__ = ["HttpParty"]
