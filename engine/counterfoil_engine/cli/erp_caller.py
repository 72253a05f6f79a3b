"""A process that posts, and is killed while it does: `python -m counterfoil_engine.cli.erp_caller`.

It is told on stdin, as one line of JSON, what to post, and says on stdout that it begins."""

from __future__ import annotations

import json
import os
import sys

from counterfoil_engine import config
from counterfoil_engine.bootstrap import erps_of
from counterfoil_engine.ports import Posting


def main() -> None:
    told = json.loads(sys.stdin.readline())
    table = {**told["table"], "adapter": told["adapter"], "token_env": "COUNTERFOIL_ERP_TOKEN"}
    erp = erps_of(config.settings({"erp": {told["entity"]: table}}, os.environ))[told["entity"]]
    postings = [Posting(*each) for each in told["postings"]]
    _ = erp.batch_size  # whatever it asks first is asked before it says that it begins
    print("calling", flush=True)
    erp.post(postings)
    sys.stdin.readline()  # until it is killed


if __name__ == "__main__":
    main()
