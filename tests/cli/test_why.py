"""`counterfoil why`: a SKU's waterfall as a person reads it."""

from __future__ import annotations

from counterfoil_engine.cli import show


def test_a_waterfall_is_shown_with_reservations_and_what_stores_answered(capsys, monkeypatch) -> None:
    from rich.console import Console

    monkeypatch.setattr(show, "console", Console(highlight=False, width=180))
    show.why(
        {
            "sku": "MUG",
            "pool": "eu",
            "number": 7,
            "published": {"number": 7, "version": 12},
            "terms": [
                {"name": "on hand", "units": 10, "warehouse": "BER", "source": "erp DE01", "age_s": 4.0},
                {"name": "reserved", "units": -3, "warehouse": None, "source": "1 order lines", "age_s": None},
            ],
            "reservations": [
                {
                    "store": "eu1",
                    "order": "1001",
                    "line": "46",
                    "lowered": 3,
                    "allocated": 0,
                    "shipped": 0,
                    "waiting": 0,
                    "reserved": 3,
                    "note": "",
                }
            ],
            "stores": [
                {
                    "store": "eu1",
                    "cap": {"units": 5, "share": "0.5", "left": 2},
                    "basis": {"epoch": 1, "n": 9},
                    "writes": [],
                },
                {
                    "store": "eu2",
                    "cap": None,
                    "basis": None,
                    "writes": [
                        {"version": 12, "number": 7, "verdict": "missing", "stock": None, "reason": "gone", "at": "now"}
                    ],
                },
            ],
        }
    )
    told = capsys.readouterr().out
    for word in ("MUG in eu: 7 to sell", "on hand", "erp DE01", "1001", "2 of 5", "1/9", "missing gone"):
        assert word in told
