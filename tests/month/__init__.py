"""A worked month: two companies, four stores, gateways, warehouses and an ERP, closed to the cent (docs/month.md)."""
