from __future__ import annotations

import numpy as np

from contimg.instruments.vla.site import vla


def test_it_agrees_with_the_itrf_position_of_casa():
    place = vla().location
    itrf = [axis.value for axis in (place.x, place.y, place.z)]
    np.testing.assert_allclose(itrf, [-1601185.365, -5041977.547, 3554875.870], atol=0.02)


def test_it_points():
    assert not vla().drift_scan
    assert vla().stations == ()
