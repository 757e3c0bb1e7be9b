import numpy as np
import pytest

from contimg.errors import BadConfig
from contimg.radio.fluxscale import is_primary, perley_butler_2017, primary_name, primary_names


@pytest.mark.parametrize(
    ("name", "ghz", "jy"),
    [
        ("3C286", 1.4127, 15.016),
        ("3C286", 1.4, 15.08),
        ("3C48", 1.4, 16.26),
        ("3C147", 1.4, 22.17),
        ("3C138", 1.4, 8.56),
        ("3C295", 1.4, 22.50),
        ("3C196", 1.4, 14.43),
    ],
)
def test_flux_densities_of_the_reference(name, ghz, jy):
    """contracts.md (CASA's 15.016 Jy) and dsa110.md, section 2.5."""
    assert perley_butler_2017(name, ghz * 1e9) == pytest.approx(jy, rel=5e-4)


def test_1_ghz_values_are_ten_to_the_first_coefficient():
    """Perley & Butler 2017, table 6."""
    for name, a0 in {"3C123": 1.8017, "3C286": 1.2481, "3C380": 1.2320}.items():
        assert perley_butler_2017(name, 1e9) == pytest.approx(10**a0)


@pytest.mark.casa
def test_sources_that_do_not_vary_agree_with_the_table_of_casa():
    casadata = pytest.importorskip("casadata")
    from casacore.tables import table  # noqa: PLC0415 - only where casadata is

    path = f"{next(iter(casadata.__path__))}/__data__/nrao/VLA/standards/PerleyButler2017Coeffs"
    x = np.log10([0.35, 1.4, 3.0])
    with table(path, ack=False) as opened:
        for name in ("3C123", "3C196", "3C286", "3C295", "3C380"):
            theirs = 10 ** np.polynomial.polynomial.polyval(x, opened.getcell(f"{name}_coeffs", 0))
            np.testing.assert_allclose(perley_butler_2017(name, 10**x * 1e9), theirs, rtol=1e-6)


@pytest.mark.parametrize("alias", ["3C286", "3c286", "1331+305", "1331+30500002_0", "J1331+3030", "1328+307", "3C 286"])
def test_every_name_of_3c286(alias):
    assert primary_name(alias) == "3C286"
    assert is_primary(alias)


@pytest.mark.parametrize("other", ["1445+099", "1445+09900002_0", "1331+3051", "2253+161", "", "3C28"])
def test_other_sources_are_not_on_the_scale(other):
    assert not is_primary(other)
    assert primary_names(other) == ()


def test_unknown_source_is_refused_with_the_nearest():
    with pytest.raises(BadConfig, match="did you mean '3C286'"):
        perley_butler_2017("3C28", 1.4e9)


def test_shape_is_kept():
    assert perley_butler_2017("3C48", np.full((2, 3), 1.4e9)).shape == (2, 3)
