"""An adapter of another make: it raises what was rejected as a whole for a single document too, as the port allows."""

from __future__ import annotations

from collections.abc import Sequence

from counterfoil_engine.adapters.erp.http import HttpErp
from counterfoil_engine.domain.errors import Parked
from counterfoil_engine.ports import Outcome, Posting, Refused


class CurtErp(HttpErp):
    def post(self, postings: Sequence[Posting]) -> Sequence[Outcome]:
        outcomes = super().post(postings)
        if len(postings) == 1 and isinstance(outcomes[0], Refused) and outcomes[0].case.cause.startswith(REJECTED):
            case = outcomes[0].case
            raise Parked(case.cause, case.remedy, case.category)
        return outcomes


REJECTED = "The ERP answered 4"
