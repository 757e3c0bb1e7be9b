"""The recordings of a group together: antennas numbered by name across all of them, parallel hands only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contimg.errors import BadInput
from contimg.radio.ms import read
from contimg.radio.ms.read import BLOCK_BYTES, Recording

__all__ = ["Block", "antenna_names", "blocks", "check_channels"]


@dataclass(frozen=True)
class Block:
    """Some rows of a recording, parallel hands only; R rows, C channels, H hands."""

    vis: NDArray[np.complex64]
    """Shape (R, C, H)."""
    flag: NDArray[np.bool_]
    """Shape (R, C, H)."""
    weight: NDArray[np.float32]
    """Shape (R, H)."""
    ant1: NDArray[np.int64]
    ant2: NDArray[np.int64]
    """Shape (R,), numbers in the group's list of antennas."""
    time: NDArray[np.int64]
    """Shape (R,), index into ``times_s``."""
    uvw: NDArray[np.float64]
    """Shape (R, 3), metres."""


def check_channels(recordings: Sequence[Recording]) -> None:
    """Check that all recordings have the same channels and hands.

    Raises
    ------
    BadInput
        If one differs from the first.
    """
    first = recordings[0].freqs_hz
    for other in recordings[1:]:
        freqs = other.freqs_hz
        if len(freqs) != len(first) or np.abs(freqs - first).max() > 0.01 * abs(first[-1] - first[0]) / len(first):
            raise BadInput(
                f"{other.path} has {len(freqs)} channels from {freqs[0] / 1e6:.3f} MHz, {recordings[0].path.name} has "
                f"{len(first)} from {first[0] / 1e6:.3f} MHz; put them into different groups"
            )


def antenna_names(recordings: Sequence[Recording]) -> tuple[str, ...]:
    """Return the names of all antennas, those of the first recording in its order first."""
    return tuple(dict.fromkeys(name for r in recordings for name in r.antennas if name))


def blocks(recording: Recording, names: Sequence[str], block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    """Yield the rows of a recording in order, antennas by their number in ``names`` (-1: not there)."""
    number = {name: k for k, name in enumerate(names)}
    lookup = np.array([number.get(name, -1) for name in recording.antennas])
    hands = list(recording.hands)
    for block in read.blocks(recording, block_bytes):
        vis, flag, weight = block.vis, block.flag, block.weight.mean(axis=1)
        if vis.shape[-1] != len(hands):
            vis, flag, weight = (np.ascontiguousarray(x[..., hands]) for x in (vis, flag, weight))
        yield Block(vis, flag, weight, lookup[block.ant1], lookup[block.ant2], block.time, block.uvw)
