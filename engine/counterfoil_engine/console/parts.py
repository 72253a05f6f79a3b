"""What the console stands on: use cases of the work layer, and how it is reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from counterfoil_engine.api.cases import CaseDesk
from counterfoil_engine.api.control import Control
from counterfoil_engine.api.finance import Finances
from counterfoil_engine.api.sweeps import Sweeping
from counterfoil_engine.api.watch import Watching
from counterfoil_engine.config import ConsoleSettings
from counterfoil_engine.ports import Clock, Commands
from counterfoil_engine.work.books import Books
from counterfoil_engine.work.failures import Failures
from counterfoil_engine.work.fleet import Fleet
from counterfoil_engine.work.order_page import OrderPage
from counterfoil_engine.work.parties import Parties
from counterfoil_engine.work.search import Search
from counterfoil_engine.work.sign_in import IdentityProvider, SignIn
from counterfoil_engine.work.trials import Trials


@dataclass(frozen=True)
class Console:
    """commands: as somebody does them, `commands.by(caller())`. provider: who vouches for people; None: nobody. pack:
    an entity's month as a signed evidence pack, one ZIP file."""

    commands: Commands
    control: Control
    cases: CaseDesk
    finances: Finances
    sweeping: Sweeping
    fleet: Fleet
    orders: OrderPage
    search: Search
    parties: Parties
    watching: Watching
    failures: Failures
    books: Books
    trials: Trials
    pack: Callable[[str, str], bytes]
    sign_in: SignIn
    clock: Clock
    settings: ConsoleSettings
    provider: IdentityProvider | None = None
