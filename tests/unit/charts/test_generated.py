"""The generated parts of the chart are what the code says now; mend with: python tests/support/chart_files.py."""

from __future__ import annotations

import pytest
import yaml
from chart import find, rendered
from chart_files import generated

from contimg.access import users
from contimg.models.spec import Scope, specs
from contimg_operator.crd import definitions
from contimg_operator.rights import RULES


@pytest.mark.parametrize("path", sorted(generated()), ids=lambda path: path.name)
def test_no_generated_file_has_drifted(path):
    assert path.read_text() == generated()[path]


def test_definitions_arrive_unchanged_and_are_kept():
    for definition in definitions().values():
        found = find(rendered(), "CustomResourceDefinition", definition["metadata"]["name"])
        assert found["spec"] == yaml.safe_load(yaml.safe_dump(definition["spec"]))
        assert found["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_definitions_can_be_left_out_or_given_up():
    kinds = {item["kind"] for item in rendered("locked-down")}
    assert "CustomResourceDefinition" not in kinds
    found = find(rendered("tests"), "CustomResourceDefinition", "surveys.contimg.dsa110.org")
    assert not found["metadata"].get("annotations")


def test_the_operator_may_do_what_its_code_does_and_nothing_cluster_wide():
    assert find(rendered(), "Role", "contimg-operator")["rules"] == RULES
    kinds = {item["kind"] for item in rendered("production")}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding"}


def test_every_user_of_the_bus_has_a_password():
    secret = find(rendered(), "Secret", "contimg-bus")["data"]
    assert set(secret) == {user.name for user in users("main", specs().values())} | {"cluster"}
    assert len(set(secret.values())) == len(secret)


def test_the_nine_stages_are_deployed_with_operator_and_keeper():
    found = {item["metadata"]["name"].removeprefix("contimg-") for item in rendered() if item["kind"] == "Deployment"}
    nine = {"ingest", "convert", "group", "solve", "apply", "image", "mosaic", "crossmatch", "publish"}
    assert found == nine | {"operator", "keeper"}


def test_a_stage_has_its_time_limit_to_end_a_task():
    for name in ("convert", "solve"):
        spec = find(rendered(), "Deployment", f"contimg-{name}")["spec"]["template"]["spec"]
        assert spec["terminationGracePeriodSeconds"] == specs()[name].time_limit_s + 30
    assert specs()["ingest"].scope is Scope.WATCHER
