"""The rules that make observations one group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from contimg.errors import BadInput
from contimg.models.quality import Figure, Verdict, judge
from contimg_group.params import GroupParams

__all__ = ["Member", "check", "sentences"]


@dataclass(frozen=True)
class Member:
    """What the rules need of an observation."""

    timestamp: str
    start: datetime
    dec_deg: float
    """Pointing: apparent declination of a drift recording, else the ICRS one."""


def check(members: Sequence[Member], params: GroupParams) -> tuple[Figure, ...]:
    """Measure a group and judge it by the rules.

    Parameters
    ----------
    members
        At least one, in time order.
    params
        The rules.

    Raises
    ------
    BadInput
        If the members point at different declinations: their images could not be combined.
    """
    starts = np.array([member.start.timestamp() for member in members])
    decs = np.array([member.dec_deg for member in members])
    offset = np.abs(decs - decs.mean())
    worst = int(offset.argmax())
    if params.max_dec_offset_deg and offset[worst] > params.max_dec_offset_deg:
        text = f"Dec {decs[worst]:.4f}° of member {members[worst].timestamp} is {offset[worst]:.4f}° from the mean"
        cure = f"more than max_dec_offset_deg = {params.max_dec_offset_deg:g}; select members of one strip"
        raise BadInput(f"mixed declinations: {text} ({decs.mean():.4f}°), {cure}")
    gap = float(np.diff(starts).max()) if len(starts) > 1 else 0.0
    span = float(starts[-1] - starts[0]) / 60
    return (
        judge("group.size", len(members), degraded_below=params.min_size or None),
        judge("group.gap", gap, "s", degraded_above=params.max_gap_s or None),
        judge("group.span", span, "min", degraded_above=params.max_span_min or None),
        judge("group.dec_offset", float(offset[worst]), "deg", failed_above=params.max_dec_offset_deg or None),
    )


def sentences(figures: Sequence[Figure]) -> list[str]:
    """Return one sentence per broken rule."""
    broken = [figure for figure in figures if figure.verdict is not Verdict.PASS]
    return [f"{f.name} is {f.value:g} {f.unit}".rstrip() + f", but the rule is {f.limit}" for f in broken]
