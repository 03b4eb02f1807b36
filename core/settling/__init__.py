"""Which records of a set of traces count, and with whose context: `settle()` and the four steps it takes."""

from core.settling.settle import Settled, settle

__all__ = ["Settled", "settle"]
