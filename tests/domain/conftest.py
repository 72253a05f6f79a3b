"""Hypothesis for the domain: the same examples in every run, so that a failure is anybody's failure."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("domain", max_examples=70, derandomize=True, database=None, **_COMMON)
settings.register_profile("domain-search", max_examples=2_000, **_COMMON)
settings.load_profile("domain-search" if os.environ.get("COUNTERFOIL_SEARCH") else "domain")
