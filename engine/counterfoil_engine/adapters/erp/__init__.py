"""ERP adapters."""
