from datetime import UTC, datetime

import numpy as np
import pytest

from contimg.errors import BadConfig
from contimg.instruments import telescope
from contimg.instruments.dsa110.simulate.config import Drawn, SimulationConfig, Source, preset
from contimg.instruments.dsa110.simulate.sky import airy, directions, fluxes, instants, observation_starts, sky_of
from contimg.radio.beams import drift_beam, power_beam
from contimg.radio.calibrators import transits_inside
from contimg.radio.coordinates import hour_angle_dec, jd, separation
from contimg.radio.fluxscale import perley_butler_2017

DSA = telescope("dsa110")
SITE = DSA.location


def sky(config):
    return sky_of(config, observation_starts(config, SITE), SITE)


def test_calibrator_crosses_the_meridian_in_the_middle_of_its_observation():
    config = preset("small-group")
    start = jd(observation_starts(config, SITE)[4])
    end = start + config.length_s / 86400
    (seen,) = transits_inside(start, end, config.dec_deg, DSA)
    assert seen.name == "2355+498"
    assert jd(seen.transit) == pytest.approx((start + end) / 2, abs=0.1 / 86400)


def test_no_other_listed_calibrator_disturbs_the_packaged_group():
    config = preset("small-group")
    starts = observation_starts(config, SITE)
    seen = transits_inside(jd(starts[0]) - 0.05, jd(starts[-1]) + 0.05, config.dec_deg, DSA)
    assert [each.name for each in seen] == ["2355+498"]


def test_short_observations_keep_the_cadence():
    config = SimulationConfig(observations=3, integrations=6, cadence_s=309.2376)
    steps = np.diff([each.timestamp() for each in observation_starts(config, SITE)])
    assert steps == pytest.approx([309.2376, 309.2376], abs=1e-5)


def test_restarts_open_a_gap():
    config = SimulationConfig(start=datetime(2026, 1, 1, tzinfo=UTC), observations=4, restarts=(0, 2))
    steps = np.diff([each.timestamp() for each in observation_starts(config, SITE)])
    assert steps == pytest.approx([309.2376, 708.2376, 309.2376], abs=1e-3)


def test_directions_agree_with_the_code_under_test():
    """Different routes: frames of astropy here, SOFA routines in contimg.radio."""
    sources = (Source(name="a", ra_deg=350, dec_deg=50, flux_jy=1), Source(name="b", ra_deg=1, dec_deg=48, flux_jy=1))
    times = instants(datetime(2026, 1, 25, 23, 0, tzinfo=UTC), [0.0, 600.0, 1200.0])
    vectors = directions(sources, times, SITE)
    assert vectors.shape == (3, 2, 3)
    ha, dec = hour_angle_dec(np.radians([350, 1]), np.radians([50, 48]), times.jd[:, None], DSA)
    np.testing.assert_allclose(vectors[..., 2], np.sin(dec), atol=1e-9)
    np.testing.assert_allclose(np.arctan2(-vectors[..., 1], vectors[..., 0]), ha, atol=1e-8)


def test_airy_agrees_with_the_beam_under_test():
    theta = np.linspace(0, 0.1, 50)
    freq = np.array([1.31e9, 1.49e9])
    np.testing.assert_allclose(
        airy(np.cos(theta), freq, 4.65), power_beam("airy", theta[:, None], freq, 4.65), atol=1e-9
    )


def test_drift_through_the_beam_agrees_too():
    source = (Source(name="a", ra_deg=343.8, dec_deg=16.6, flux_jy=1),)
    times = instants(datetime(2026, 1, 25, 22, 26, tzinfo=UTC), np.arange(0, 300, 60.0))
    dec = np.radians(16.3)
    mine = airy(directions(source, times, SITE) @ [np.cos(dec), 0, np.sin(dec)], np.array([1.4e9]), 4.65)
    theirs = drift_beam("airy", 4.65, np.radians([343.8]), np.radians([16.6]), times.jd, [1.4e9], dec, DSA)
    np.testing.assert_allclose(mine, theirs, atol=1e-8)


def test_spectra_are_power_laws_about_1400_mhz():
    sources = (Source(name="a", ra_deg=0, dec_deg=0, flux_jy=2.0, spectral_index=-0.7),)
    assert fluxes(sources, np.array([1.4e9, 2.8e9])) == pytest.approx(np.array([[2.0, 2.0 * 2**-0.7]]))


def test_primary_calibrator_follows_the_flux_scale():
    config = SimulationConfig(dec_deg=16.6, calibrator="3C138", start=datetime(2026, 1, 25, tzinfo=UTC))
    source = sky(config)[0]
    band = np.array([1.3113e9, 1.4e9, 1.4987e9])
    np.testing.assert_allclose(fluxes((source,), band)[0], perley_butler_2017("3C138", band), rtol=1e-3)


def test_listed_neighbours_are_on_the_sky():
    names = [each.name for each in sky(preset("small-group", drawn=None))]
    assert names[0] == "2355+498"
    assert {"2354+458", "2322+509"} <= set(names)


def test_drawn_sources_keep_to_their_rules():
    config = preset("small-group")
    drawn = [each for each in sky(config) if each.name.startswith("S")]
    assert len(drawn) == config.drawn.count
    flux = np.array([each.flux_jy for each in drawn])
    assert flux.min() >= 0.05
    assert flux.max() <= 1.0
    ra, dec = np.radians([(each.ra_deg, each.dec_deg) for each in sky(config)]).T
    apart = np.degrees(separation(ra[:, None], dec[:, None], ra, dec)) + 10 * np.eye(len(ra))
    assert apart.min() * 60 >= 10 - 1e-6
    assert np.ptp((np.degrees(ra[-120:]) + 180) % 360) > 12, "the strip crosses right ascension 0"


def test_counts_follow_the_slope():
    config = SimulationConfig(drawn=Drawn(count=1500, min_flux_jy=0.01, max_flux_jy=10, separation_arcmin=0))
    flux = np.array([each.flux_jy for each in sky(config)])
    # N(> S) of dN/dS ~ S^-1.7 between the limits
    share = (0.1**-0.7 - 10**-0.7) / (0.01**-0.7 - 10**-0.7)
    assert (flux > 0.1).mean() == pytest.approx(share, abs=0.03)


def test_same_seed_same_sky():
    assert sky(preset("tiny")) == sky(preset("tiny"))
    assert sky(preset("tiny")) != sky(preset("tiny", seed=2))


def test_impossible_skies_are_refused():
    with pytest.raises(BadConfig, match="do not fit into the strip"):
        sky(SimulationConfig(drawn=Drawn(count=50, half_width_deg=0.1, margin_deg=0, separation_arcmin=30)))
    with pytest.raises(BadConfig, match="sky is empty"):
        sky(SimulationConfig())
    with pytest.raises(BadConfig, match="did you mean"):
        sky(SimulationConfig(calibrator="2355+49"))
