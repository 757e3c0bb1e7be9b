"""Telescopes by name, as the installed instruments bring them; each is a package, beside this module or elsewhere.

Importing this imports no science: the site of an instrument is loaded when it is asked for.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from contimg.errors import BadConfig, BadInput
from contimg.models.instrument import instrument, instruments

if TYPE_CHECKING:
    from contimg.radio.telescopes import Station, Telescope

__all__ = ["stations", "telescope", "telescope_named"]


@cache
def _telescopes() -> dict[str, Telescope]:
    """Return the interferometers among the installed instruments."""
    from contimg.radio.telescopes import Telescope  # noqa: PLC0415 - astropy takes a second

    sites = {name: each.site() for name, each in instruments().items()}
    return {name: site for name, site in sites.items() if isinstance(site, Telescope)}


def telescope(name: str) -> Telescope:
    """Return the telescope of an instrument, an interferometer.

    Raises
    ------
    BadConfig
        If no such instrument is installed (the message offers the nearest), or it is no interferometer.
    """
    if instrument(name).name not in _telescopes():
        raise BadConfig(f"instrument {name!r} is no interferometer; it has no dishes and stations to tell of")
    return _telescopes()[name]


def telescope_named(data_name: str) -> Telescope:
    """Return a telescope by the name that data carry (``OVRO_MMA``, ``VLA``), in any case.

    Raises
    ------
    BadInput
        If the name belongs to no installed instrument.
    """
    for each in _telescopes().values():
        if each.is_named(data_name):
            return each
    names = ", ".join(each.casa_name for each in _telescopes().values())
    raise BadInput(
        f"telescope name {data_name!r} of the data is unknown; known are {names}, install its instrument",
        reason="unknown-telescope",
    )


def stations(name: str) -> tuple[Station, ...]:
    """Return the official stations of an instrument in order of their numbers.

    Raises
    ------
    BadConfig
        If the instrument has no packaged list.
    """
    found = telescope(name).stations
    if not found:
        listed = ", ".join(repr(key) for key, each in _telescopes().items() if each.stations)
        raise BadConfig(f"telescope {name!r} has no packaged station list; only {listed} has one")
    return found
