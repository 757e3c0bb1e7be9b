"""The environment of a process is closed and typed."""

from __future__ import annotations

import pytest

from contimg.errors import BadConfig
from contimg.limits import ProtocolLimits
from contimg.settings import Settings, limits_of, variables


def test_nothing_set_means_the_defaults():
    settings = Settings.from_environment({})
    assert (settings.shard, settings.port, settings.nats_url) == ("main", 0, "")
    assert limits_of(settings, {}) == ProtocolLimits()


def test_an_empty_variable_counts_as_unset():
    assert Settings.from_environment({"CONTIMG_PORT": "", "CONTIMG_SHARD": ""}).shard == "main"


def test_values_are_typed():
    given = {"CONTIMG_PORT": "8080", "CONTIMG_NATS_PASSWORD": "secret", "CONTIMG_SCAN_S": "2.5"}
    settings = Settings.from_environment(given)
    assert settings.port == 8080
    assert settings.scan_s == 2.5
    assert settings.nats_password.get_secret_value() == "secret"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("CONTIMG_NAST_URL", "CONTIMG_NATS_URL"),
        ("CONTIMG_STAGE_BAES", "CONTIMG_STAGE_BASE"),
        ("CONTIMG_LIMIT_ACK_WAIT", "CONTIMG_LIMIT_ACK_WAIT_S"),
        ("CONTIMG_RAW_MS_DIRS", "CONTIMG_RAW_MS_DIR"),
    ],
)
def test_a_misspelt_variable_is_refused_and_the_nearest_named(name, near):
    with pytest.raises(BadConfig, match=f"{name} is unknown; did you mean '{near}'"):
        Settings.from_environment({name: "x"})


def test_variables_of_others_are_no_business_of_ours():
    assert Settings.from_environment({"HOME": "/", "XCONTIMG_PORT": "7"}).port == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONTIMG_PORT", "http"),
        ("CONTIMG_PORT", "70000"),
        ("CONTIMG_SHARD", "Main Shard"),
        ("CONTIMG_LOG_LEVEL", "loud"),
        ("CONTIMG_TIME_SCALE", "0"),
        ("CONTIMG_JOBS", "-1"),
    ],
)
def test_a_wrong_value_is_named_with_its_variable(name, value):
    with pytest.raises(BadConfig, match=f"{name} = '{value}'"):
        Settings.from_environment({name: value})


def test_a_secret_never_stands_in_text():
    settings = Settings.from_environment({"CONTIMG_NATS_PASSWORD": "secret", "CONTIMG_S3_SECRET_KEY": "hidden"})
    assert "secret'" not in repr(settings)
    assert "hidden" not in settings.model_dump_json()


def test_times_are_scaled_and_single_limits_set():
    settings = Settings.from_environment({"CONTIMG_TIME_SCALE": "0.1"})
    limits = limits_of(settings, {"CONTIMG_LIMIT_ACK_WAIT_S": "3", "CONTIMG_LIMIT_REPLICAS": "3"})
    assert limits.tick_s == pytest.approx(1.5)
    assert (limits.ack_wait_s, limits.replicas) == (3.0, 3)
    assert limits.message_bytes == ProtocolLimits().message_bytes


@pytest.mark.parametrize("text", ["soon", "-1", "0", "nan", "inf", "1.5"])
def test_a_limit_that_is_no_positive_number_is_refused(text):
    with pytest.raises(BadConfig, match="CONTIMG_LIMIT_REPLICAS"):
        limits_of(Settings(), {"CONTIMG_LIMIT_REPLICAS": text})


def test_every_variable_says_what_it_is_for():
    listed = variables()
    assert len({name for name, _, _ in listed}) == len(listed)
    assert [name for name, _, meaning in listed if not meaning] == []
