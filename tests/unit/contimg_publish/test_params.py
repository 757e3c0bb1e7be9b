"""Every limit of the parameters of stage publish, on both of its sides."""

import pytest

from contimg.errors import BadConfig
from contimg.models.spec import Scope, effective, load
from contimg.stage import Stage
from contimg_publish.params import SPEC, PublishParams


def test_defaults_are_those_of_the_contract():
    assert PublishParams().model_dump() == {"report_pictures": 24, "report_sources": 25}


@pytest.mark.parametrize(
    ("name", "value"),
    [("report_pictures", 0), ("report_pictures", 200), ("report_sources", 0), ("report_sources", 1000)],
)
def test_limit_itself_is_allowed(name, value):
    assert effective(SPEC, {name: value})[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [("report_pictures", -1), ("report_pictures", 201), ("report_sources", -1), ("report_sources", 1001)],
)
def test_beyond_the_limit_is_refused_with_name_and_value(name, value):
    with pytest.raises(BadConfig) as caught:
        effective(SPEC, {name: value})
    assert f"stage 'publish', parameter '{name}' = {value}" in str(caught.value)


def test_spec_leads_to_the_stage():
    assert issubclass(load(SPEC.runner), Stage)
    assert (SPEC.name, SPEC.scope, SPEC.home) == ("publish", Scope.GROUP, "metadata")
