"""The VLA as a telescope: its place and dishes."""

from __future__ import annotations

from functools import cache

from contimg.radio.telescopes import Telescope

__all__ = ["vla"]


@cache
def vla() -> Telescope:
    """Return the telescope.

    Place: ITRF (-1601185.365, -5041977.547, 3554875.870) m of CASA's Observatories; SEFD at 20 cm: VLA status summary.
    """
    return Telescope(
        key="vla",
        casa_name="VLA",
        latitude_deg=34.0788133,
        longitude_deg=-107.6183337,
        height_m=2114.89,
        dish_m=25.0,
        beam="airy",
        sefd_jy=420.0,
        feeds=("R", "L"),
    )
