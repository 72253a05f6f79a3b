"""The agent: one beside each shop; a durable outbox up, an applier down, no business rule."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("counterfoil")
except PackageNotFoundError:  # run from a bare checkout
    __version__ = "0"
