import pytest

from contimg.errors import BadConfig
from contimg.host.yamlfile import dumps
from contimg.instruments import stations
from contimg.instruments.dsa110.simulate import PRESETS, SimulationConfig, load_config, preset
from contimg.radio.calibrators import find


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid_and_use_true_stations(name):
    config = preset(name)
    active = {each.number for each in stations("dsa110") if each.active}
    assert set(config.stations or active) <= active
    assert find(config.calibrator).flux_jy >= 2.0


def test_defaults_are_the_true_instrument():
    config = SimulationConfig()
    assert (config.integrations, config.channels_per_subband, config.sefd_jy) == (24, 48, 6500.0)
    assert config.integrations * config.integration_s == pytest.approx(309.2376, abs=1e-4)
    assert config.stations is None


def test_preset_with_changes():
    assert preset("tiny", integrations=2).integrations == 2
    assert preset("tiny").integrations == 4


def test_yaml_round_trip(tmp_path):
    config = preset("small-group", missing_subbands={3: (0, 15)})
    path = tmp_path / "sim.yaml"
    path.write_text(dumps(config.model_dump(mode="json")))
    assert load_config(path) == config


def test_yaml_may_start_from_a_preset(tmp_path):
    path = tmp_path / "sim.yaml"
    path.write_text("preset: tiny\nobservations: 3\nmissing_subbands: {1: [7]}\n")
    config = load_config(path)
    assert config.observations == 3
    assert config.missing_subbands == {1: (7,)}
    assert config.stations == preset("tiny").stations


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("observation: 3\n", r"sim\.yaml: observation = 3: .*did you mean 'observations'"),
        ("observations: many\n", "observations = 'many'"),
        ("channels_per_subband: 5\n", "5 does not divide 384"),
        ("transit_in: 1\n", "transit_in 1 is not one of the 1 observations"),
        ("stations: [1, 118]\n", "stations must be"),
        ("stations: [1, 2, 2]\n", "stations must be"),
        ("stations: [1, 2]\ndead_stations: [3]\n", r"dead_stations \[3\] are not among"),
        ("cadence_s: 300\n", "cadence_s 300 is shorter than an observation of 309.238 s"),
        ("missing_subbands: {1: [0]}\n", "missing_subbands: 1"),
        ("late_subbands: {0: [16]}\n", "late_subbands: 0"),
        ("- 1\n", "expected a mapping of fields, found list"),
        ("a: [\n", "not valid YAML"),
        ("preset: tinny\n", "did you mean 'tiny'"),
    ],
)
def test_wrong_fields_are_refused_in_one_sentence(tmp_path, text, message):
    path = tmp_path / "sim.yaml"
    path.write_text(text)
    with pytest.raises(BadConfig, match=message) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(BadConfig, match="does not exist; name a YAML file"):
        load_config(tmp_path / "no.yaml")
