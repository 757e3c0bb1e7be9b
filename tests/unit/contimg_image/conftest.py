from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from visibility_sim import Observation, Source, random_array, write_ms

from contimg.radio.ms.read import open_recording
from contimg_image.visibilities import read_visibilities


@pytest.fixture(scope="session")
def small_ms(tmp_path_factory):
    """20 antennas, 3 channels, 8 times; 1 Jy to the north-east, 0.4 Jy to the south-west."""
    sources = (Source(150.2, 34.15, 1.0), Source(149.9, 33.9, 0.4))
    freq = 1.4e9 + 5e5 * np.arange(3)
    obs = Observation(random_array(20, 500.0), freq_hz=freq, sources=sources, noise_jy=0.02)
    return write_ms(obs, tmp_path_factory.mktemp("ms") / "small.ms")


@pytest.fixture(scope="session")
def small_recording(small_ms: Path):
    return open_recording(small_ms)


@pytest.fixture(scope="session")
def small_vis(small_recording):
    return read_visibilities(small_recording, channel_average=1)
