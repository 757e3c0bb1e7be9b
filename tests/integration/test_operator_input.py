"""Good and bad resources: one set of files for the API server's rules, the operator and ``contimg run``."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from apiserver import needs_programs, with_definitions
from operator_site import OperatorSite, group

from contimg.errors import BadConfig
from contimg.host.yamlfile import load_resources

pytestmark = [pytest.mark.integration, pytest.mark.cluster, needs_programs]

DATA = Path(__file__).parents[1] / "data"
EXPECTED = yaml.safe_load((DATA / "resources" / "apply.yaml").read_text())
REJECT = sorted((DATA / "resources" / "reject").glob("*.yaml"))
BAD = [*sorted((DATA / "groups" / "bad").glob("*.yaml")), *REJECT]
ACCEPT = sorted((DATA / "resources" / "accept").glob("*.yaml"))
GOOD = [path for path in sorted((DATA / "groups" / "good").glob("*.yaml")) if path.stem in {"count", "window"}]
"""Of the others one has a time without a zone, which an API server does not take, and one another resource."""
IN_TIME_S = 10.0
VERSION = "apiVersion: contimg.dsa110.org/v1alpha1\n"


def text_of(path: Path) -> str:
    """Return a file as it must be to be applied."""
    text = path.read_text()
    return text if "apiVersion:" in text else VERSION + text


def expecting(what: str) -> list[Path]:
    return [path for path in BAD if what in EXPECTED[path.stem]]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with with_definitions(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture(scope="module")
def site(server, tmp_path_factory):
    with OperatorSite(server, tmp_path_factory.mktemp("site"), "bad") as running:
        running.until(lambda: running.get("dsa110-continuum", "cpl"))
        yield running


def test_every_file_has_its_sentence():
    assert sorted(EXPECTED) == sorted(path.stem for path in BAD)
    assert len(BAD) >= 60
    assert len(expecting("taken")) <= 3


@pytest.mark.parametrize("path", [*ACCEPT, *GOOD], ids=lambda path: path.stem)
def test_what_is_good_is_taken_by_both(path, server):
    load_resources(path)
    done = server.kubectl("apply", "--dry-run=server", "-f", "-", text=text_of(path), check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", expecting("refused"), ids=lambda path: path.stem)
def test_it_is_refused_when_it_is_applied(path, server):
    done = server.kubectl("apply", "--dry-run=server", "-f", "-", text=text_of(path), check=False)
    assert done.returncode == 1
    assert EXPECTED[path.stem]["refused"] in done.stderr


@pytest.mark.parametrize("path", expecting("taken"), ids=lambda path: path.stem)
def test_the_reader_of_kubectl_is_lenient(path, server):
    done = server.kubectl("apply", "--dry-run=server", "-f", "-", text=text_of(path), check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", expecting("run"), ids=lambda path: path.stem)
def test_a_run_refuses_it_too(path):
    with pytest.raises(BadConfig) as caught:
        load_resources(path)
    assert EXPECTED[path.stem]["run"] in str(caught.value)


@pytest.mark.parametrize("path", expecting("stalled"), ids=lambda path: path.stem)
def test_what_only_the_operator_can_know_is_told_by_the_status(path, site):
    wish = yaml.safe_load(text_of(path))
    name = wish["metadata"]["name"] = path.stem
    kind = wish["kind"]
    if kind == "Pipeline":
        wish["metadata"]["name"] = "mine"
        site.apply(wish)
        kind, wish = "ObservationGroup", group(name, ["2026-01-25T22:26:00"], pipeline="mine")
    site.apply(wish)
    site.until(lambda: site.status(name, kind), IN_TIME_S)
    status = site.status(name, kind)
    assert status["phase"] == "Stalled"
    assert EXPECTED[path.stem]["stalled"] in status["message"]
    if kind == "Survey":
        assert status["reason"] == "BadConfig"
        return
    condition = site.condition(name, "Stalled")
    assert (condition["status"], condition["reason"]) == ("True", "BadConfig")
    assert condition["observedGeneration"] == 1
    assert site.condition(name, "Succeeded")["status"] == "Unknown"


def test_a_cured_group_goes_on_by_itself(site):
    site.apply(group("cured", ["2026-01-25T22:26:00"], pipeline="dsa110-continum"))
    site.until(lambda: site.condition("cured", "Stalled").get("status") == "True", IN_TIME_S)
    site.apply(group("cured", ["2026-01-25T22:26:00"]))
    site.until(lambda: site.condition("cured", "Stalled").get("status") == "False", IN_TIME_S)
    assert site.status("cured")["observedGeneration"] == 2


def test_a_status_that_somebody_else_wrote_is_put_right(site):
    site.apply(group("spoilt", ["2026-01-25T22:26:00"], pipeline="dsa110-continum"))
    said = site.until(lambda: site.status("spoilt"))
    for nonsense in ({"phase": "Published", "message": "all is well"}, {"phase": "Nonsense", "progress": "7/0"}):
        spoilt = {"status": nonsense | {"observedGeneration": 7, "conditions": []}}
        words = ["patch", "og", "spoilt", "--subresource=status", "--type=merge", "-p", yaml.safe_dump(spoilt)]
        site.kubectl(*words)
        site.until(lambda: site.status("spoilt").get("phase") == said["phase"], IN_TIME_S)
        assert site.condition("spoilt", "Stalled")["reason"] == "BadConfig"
