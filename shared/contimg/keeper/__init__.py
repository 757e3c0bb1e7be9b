"""The keeper: the only opener of the databases. Index of runs and records, facts, clean-up."""

from contimg.keeper.index import DATABASE_NAMES
from contimg.keeper.keeper import Keeper
from contimg.keeper.queries import Lineage, Queries
from contimg.keeper.readonly import open_readonly

__all__ = ["DATABASE_NAMES", "Keeper", "Lineage", "Queries", "open_readonly"]
