"""A simulation that does not fit is refused by its computed size, in bytes, before anything is allocated."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time

import pytest

from contimg.errors import BadConfig, ResourceExhausted
from contimg.instruments.dsa110.simulate import preset, simulate_dsa110
from contimg.instruments.dsa110.simulate.size import check_space, size_of

SMALL = {"calibrator": None, "drawn": {"count": 2}}


@pytest.fixture
def one_megabyte(tmp_path):
    """A disk of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "contimg-test", place], check=False)
    if done.returncode:
        pytest.skip("mounting a small disk needs root")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"stations": tuple(range(1, 31)), "integrations": 3, "channels_per_subband": 8},
        {"stations": (1, 2), "integrations": 1, "channels_per_subband": 1},
        {"stations": tuple(range(1, 11)), "integrations": 6, "channels_per_subband": 48},
    ],
)
def test_the_computed_size_is_that_of_the_files(changes, tmp_path):
    config = preset("tiny", **(SMALL | changes))
    simulate_dsa110(tmp_path / "out", config)
    sizes = [path.stat().st_size for path in (tmp_path / "out").glob("*.hdf5")]
    assert len(sizes) == 16
    assert size_of(config).subband == pytest.approx(max(sizes), rel=0.3)
    assert size_of(config).total == 16 * size_of(config).subband


@pytest.mark.parametrize(
    "changes",
    [{"integrations": 1_000_000}, {"integrations": 10_000, "drawn": {"count": 10**12}}],
    ids=["long", "crowded"],
)
def test_too_much_for_the_memory_is_refused_at_once(changes, tmp_path):
    begun = time.process_time()
    with pytest.raises(ResourceExhausted, match=r"needs \d{10,} bytes of memory and \d+ are free; ask for fewer"):
        simulate_dsa110(tmp_path / "out", preset("full", **changes))
    assert time.process_time() - begun < 1
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_too_small_is_refused_with_both_figures(one_megabyte):
    with pytest.raises(ResourceExhausted, match=r"needs (\d+) bytes of disk and (\d+) are free") as caught:
        simulate_dsa110(one_megabyte / "out", preset("tiny"))
    needed, free = map(int, re.findall(r"(\d+) (?:bytes|are)", str(caught.value)))
    assert needed > free
    assert not list(one_megabyte.rglob("*.hdf5"))


def test_a_disk_that_fills_meanwhile_is_no_crash(one_megabyte):
    """Somebody else writes there after the first look: the next file is not begun."""
    with contextlib.suppress(OSError), (one_megabyte / "other").open("wb") as other:
        other.write(bytes(900_000))
    with pytest.raises(ResourceExhausted, match="free space or ask for less"):
        check_space(one_megabyte, size_of(preset("tiny")).subband * 16)


@pytest.mark.parametrize("make", [lambda path: path.write_text(""), os.mkfifo], ids=["file", "fifo"])
def test_a_file_in_the_place_of_the_directory_is_named(make, tmp_path):
    make(tmp_path / "out")
    with pytest.raises(BadConfig, match=r"out \(directory of the simulation\) cannot be written"):
        simulate_dsa110(tmp_path / "out", preset("tiny"))


@pytest.mark.parametrize(
    "changes",
    [{"integration_s": 1e300}, {"cadence_s": float("inf")}, {"integration_s": float("nan")}, {"observations": 10**9}],
)
def test_times_beyond_any_calendar_are_refused_by_their_field(changes):
    with pytest.raises(BadConfig, match=next(iter(changes))):
        preset("tiny", **changes)
