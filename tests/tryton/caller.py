"""A process that posts once, and may be killed while it does: told on stdin what, in a line of JSON."""

from __future__ import annotations

import json
import sys

from counterfoil_engine.adapters.erp.tryton import TrytonErp
from counterfoil_engine.domain.errors import Retry
from counterfoil_engine.ports import Posting

from tryton.server import PASSWORD


def main() -> None:
    told = json.loads(sys.stdin.readline())
    erp = TrytonErp(told["url"], PASSWORD, map=told["map"], **told["way"])
    erp.health()
    print("posting", flush=True)
    try:
        erp.post([Posting(*each) for each in told["postings"]])
    except Retry as error:
        print(error, file=sys.stderr)


if __name__ == "__main__":
    main()
