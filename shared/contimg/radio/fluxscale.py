"""Perley-Butler 2017 flux density scale (Perley & Butler 2017, ApJS 230, 7, table 6)."""

from __future__ import annotations

import re
from difflib import get_close_matches

import numpy as np
from numpy.typing import ArrayLike, NDArray

from contimg.errors import BadConfig

__all__ = ["is_primary", "perley_butler_2017", "primary_name", "primary_names"]

# log10 S[Jy] = a0 + a1 x + a2 x^2 + ..., x = log10 nu[GHz]. Only the sources a metre-wave-to-centimetre array
# may take for a point; 3C48, 3C138 and 3C147 vary by a few per cent, the values are those of 2016.
_COEFFICIENTS: dict[str, tuple[float, ...]] = {
    "3C48": (1.3253, -0.7553, -0.1914, 0.0498),
    "3C123": (1.8017, -0.7884, -0.1035, -0.0248, 0.0090),
    "3C138": (1.0088, -0.4981, -0.1552, -0.0102, 0.0223),
    "3C147": (1.4516, -0.6961, -0.2007, 0.0640, -0.0464, 0.0289),
    "3C196": (1.2872, -0.8530, -0.1534, -0.0200, 0.0201),
    "3C286": (1.2481, -0.4507, -0.1798, 0.0357),
    "3C295": (1.4701, -0.7658, -0.2780, -0.0347, 0.0399),
    "3C380": (1.2320, -0.7909, 0.0947, 0.0976, -0.1794, -0.1566),
}

# J2000 list name, J2000 IAU name, B1950 list name.
_ALIASES: dict[str, tuple[str, ...]] = {
    "3C48": ("0137+331", "J0137+3309", "0134+329"),
    "3C123": ("0437+296", "J0437+2940", "0433+295"),
    "3C138": ("0521+166", "J0521+1638", "0518+165"),
    "3C147": ("0542+498", "J0542+4951", "0538+498"),
    "3C196": ("0813+482", "J0813+4813", "0809+483"),
    "3C286": ("1331+305", "J1331+3030", "1328+307"),
    "3C295": ("1411+522", "J1411+5212", "1409+524"),
    "3C380": ("1829+487", "J1829+4844", "1828+487"),
}

_BY_ALIAS = {alias: name for name, aliases in _ALIASES.items() for alias in (name, *aliases)}
_LONG_NAME = re.compile(r"^(\d{4}[+-]\d{3})\d{4,}(?:_\d+)?$")


def primary_names(name: str) -> tuple[str, ...]:
    """Return every name of a primary calibrator, the 3C name first; empty if it is none."""
    main = primary_name(name)
    return () if main is None else (main, *_ALIASES[main])


def primary_name(name: str) -> str | None:
    """Return the 3C name of a primary calibrator, None for another source.

    Understood are the names of the calibrator lists with or without ``J`` and the longer ones of old files:
    ``3C286``, ``1331+305``, ``1331+30500002_0``, ``J1331+3030``, ``1328+307``.
    """
    plain = name.strip().upper().replace(" ", "")
    short = _LONG_NAME.match(plain)
    for form in (plain, f"J{plain}", plain.removeprefix("J"), short.group(1) if short else plain):
        if form in _BY_ALIAS:
            return _BY_ALIAS[form]
    return None


def is_primary(name: str) -> bool:
    """Tell whether a source defines the flux scale."""
    return primary_name(name) is not None


def perley_butler_2017(name: str, freq_hz: ArrayLike) -> NDArray[np.float64]:
    """Return the flux density of a primary calibrator.

    Parameters
    ----------
    name
        Any name that `primary_name` understands.
    freq_hz
        Frequency, any shape [Hz]; the scale holds from 0.2 to 50 GHz (3C380: to 4 GHz).

    Returns
    -------
    ndarray
        Flux density, shape of ``freq_hz`` [Jy].

    Raises
    ------
    BadConfig
        If the source is not on the scale.
    """
    main = primary_name(name)
    if main is None:
        nearest = get_close_matches(name.upper(), _BY_ALIAS, n=1, cutoff=0.0)[0]
        raise BadConfig(f"source {name!r} is not on the Perley-Butler 2017 scale; did you mean {nearest!r}?")
    x = np.log10(np.asarray(freq_hz, np.float64) / 1e9)
    return np.asarray(10 ** np.polynomial.polynomial.polyval(x, _COEFFICIENTS[main]))
