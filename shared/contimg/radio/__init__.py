"""Astronomy that several stages need: telescopes, coordinates, beams, flux scales, calibrators.

Importing this package switches the downloads of astropy off: Earth rotation comes from the tables that were
installed with it, so a run gives the same result with and without a network.
"""

from __future__ import annotations

from astropy.utils import data as _data
from astropy.utils import iers as _iers

_iers.conf.auto_download = False
_iers.conf.auto_max_age = None  # old tables are used as they are instead of failing
_iers.conf.iers_degraded_accuracy = "warn"  # beyond their end UT1-UTC is 0, which is wrong by < 1 s
_data.conf.allow_internet = False
