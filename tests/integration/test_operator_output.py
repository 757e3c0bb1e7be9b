"""What ``kubectl`` shows: golden files, in which times, ages and numbers of the server are masked."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

import pytest
from apiserver import needs_programs, with_definitions
from operator_site import OperatorSite, group, observation, observed

pytestmark = [pytest.mark.integration, pytest.mark.cluster, needs_programs]

DATA = Path(__file__).parents[1] / "data" / "resources"
GOLDEN = DATA / "golden"
TIMES = {"CONTIMG_TIME_SCALE": "0.1", "CONTIMG_LIMIT_RPC_S": "5"}
MASKS = (
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", "TIME"),
    (r"(Creation Timestamp:\s+)\S+", r"\1TIME"),
    (r"(Resource Version:\s+)\d+", r"\1NUMBER"),
    (r"(UID:\s+)\S+", r"\1UID"),
    (r"\b\d+s( +contimg-operator)", r"AGE\1"),
    (r"^(\S.*\s)(\d+m)?\d+s\s*$", r"\1AGE"),
    (r" +$", ""),
    (r"(?<=\S)   +", "   "),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A namespace in which a group is published, one refused, and a survey has formed another."""
    with ExitStack() as stack:
        server = stack.enter_context(with_definitions(tmp_path_factory.mktemp("api")))
        site = OperatorSite(server, tmp_path_factory.mktemp("site"), "shown", **TIMES)
        running = stack.enter_context(site)
        running.apply(group("a-good-one", observed(running.layout, 0, 1, 2)))
        running.apply(group("b-refused", ["2024-01-01T00:00:00"], shard="other"))
        running.apply(group("c-waiting", ["2026-01-25T22:26:00"]))
        observed(running.layout, *range(100, 108))
        start = observation(100).start.isoformat().replace("+00:00", "Z")
        rules = {"size": 4, "overlap": 1, "minSize": 3}
        spec = {"pipeline": "dsa110-continuum", "start": start, "groups": rules}
        head = {"apiVersion": "contimg.dsa110.org/v1alpha1", "kind": "Survey", "metadata": {"name": "night"}}
        running.apply(head | {"spec": spec})
        running.until(lambda: running.status("night", "svy").get("groups") == 2)
        for name in ("a-good-one", *formed(running)):
            running.wait(name)
        running.until(lambda: running.status("b-refused") and running.status("c-waiting"))
        running.until(lambda: "a run of 5" in str(running.status("night", "svy").get("ungrouped")))  # the latest look
        yield running


def formed(site: OperatorSite) -> list[str]:
    words = site.kubectl("get", "og", "-l", "contimg.dsa110.org/survey=night", "-o", "name").stdout.split()
    return [word.partition("/")[2] for word in words]


def masked(text: str) -> str:
    lines = text.splitlines()
    for pattern, word in MASKS:
        lines = [re.sub(pattern, word, line) for line in lines]
    return "\n".join(lines).rstrip() + "\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("get-og", "get og"),
        ("get-svy", "get svy"),
        ("get-cpl", "get cpl dsa110-continuum vla-continuum"),
        ("get-contimg", "get contimg -l contimg.dsa110.org/survey=night -o name"),
        ("describe-og", "describe og a-good-one"),
        ("describe-refused", "describe og b-refused"),
        ("describe-svy", "describe svy night"),
        ("explain-og", "explain og.spec"),
        ("explain-observations", "explain og.spec.observations"),
        ("explain-publish", "explain og.spec.stages.publish"),
        ("explain-size", "explain og.spec.stages.image.size"),
        ("explain-status", "explain og.status.conditions"),
        ("explain-svy", "explain svy.spec.groups"),
        ("wait", "wait --for=condition=Succeeded og/a-good-one --timeout=5s"),
        ("wait-not", "wait --for=condition=Succeeded og/c-waiting --timeout=0s"),
    ],
)
def test_it_is_as_in_the_golden_file(name, words, site):
    """A golden file that is removed is written anew by the test, which fails once: look at what it wrote."""
    done = site.kubectl(*words.split(), check=False)
    path, said = GOLDEN / f"{name}.txt", masked(done.stdout + done.stderr)
    if not path.exists():
        path.write_text(said)
        pytest.fail(f"{path.name} was written; look at it")
    assert said == path.read_text()


@pytest.mark.parametrize("way", [[], ["--server-side"]], ids=["client", "server"])
@pytest.mark.parametrize("path", sorted((DATA / "accept").glob("*.yaml")), ids=lambda path: path.stem)
def test_what_is_applied_has_no_difference_afterwards(path, way, site):
    text = path.read_text()
    if "kind: Pipeline" not in text and "suspend:" not in text:
        text = text.replace("spec:\n", "spec:\n  suspend: true\n", 1)
    dry = site.kubectl("apply", *way, "--dry-run=server", "-f", "-", text=text).stdout
    assert "(server dry run)" in dry
    name = site.kubectl("apply", *way, "-f", "-", "-o", "name", text=text).stdout.strip()
    if "pipeline" not in name:
        site.kubectl("wait", "--for=jsonpath={.status.phase}", name, "--timeout=20s")
    done = site.kubectl("diff", *way, "-f", "-", text=text, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    site.kubectl("delete", name)
