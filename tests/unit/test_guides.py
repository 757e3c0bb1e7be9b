"""The guides are true: every block of commands is of a known kind, and those that need no pods are run here."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from apiserver import KUBE, ApiServer
from guides import GUIDES, KINDS, block, blocks

from contimg.cli.main import COMMANDS
from contimg.host.yamlfile import load_resources

ROOT = Path(__file__).parents[2]
PAGES = sorted(path.stem for path in GUIDES.glob("*.md"))
FENCE = re.compile(r"^```(.*)$", re.MULTILINE)
"""Every other one opens a block."""
DATA = ("yaml",)
needs_helm = pytest.mark.skipif(
    not os.environ.get("CI")
    and not all((KUBE / name).exists() for name in ("helm", "kube-apiserver", "etcd", "kubectl")),
    reason=f"helm and the programs of Kubernetes are not in {KUBE}",
)


@pytest.mark.parametrize("page", PAGES)
def test_blocks_say_where_they_are_run(page):
    words = set(FENCE.findall((GUIDES / f"{page}.md").read_text())[::2])
    assert words <= {*(f"sh {kind}" for kind in KINDS), *DATA}
    assert blocks(page, "cluster")


@pytest.mark.parametrize("page", PAGES)
def test_commands_parse_and_name_what_there_is(page):
    for kind in KINDS:
        for text in blocks(page, kind):
            done = subprocess.run(["bash", "-n"], input=text, text=True, capture_output=True, check=False)
            assert (done.returncode, done.stderr) == (0, ""), text
            assert set(re.findall(r"kubectl contimg (\w+)", text)) <= set(COMMANDS)
            for path in re.findall(r"-f (docs/\S+)", text):
                assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("name", ["group", "pipeline", "survey"])
def test_samples_are_taken_by_the_laptop(name):
    (found,) = load_resources(ROOT / f"docs/samples/{name}.yaml")
    assert type(found.resource).__name__ in {"ObservationGroup", "Pipeline", "Survey"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with ApiServer(tmp_path_factory.mktemp("guides") / "api") as running:
        yield running


@pytest.fixture(scope="module")
def shell(server, tmp_path_factory):
    """Run a block as a new user does: in a checkout, with kubectl, helm and the command line on the path."""
    place = tmp_path_factory.mktemp("checkout")
    for name in ("charts", "docs"):
        (place / name).symlink_to(ROOT / name)
    path = f"{KUBE}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "KUBECONFIG": str(server.kubeconfig), "HOME": str(place)}

    def run(text):
        return subprocess.run(
            ["bash", "-exc", text], cwd=place, env=env, capture_output=True, text=True, timeout=300, check=False
        )

    run.place = place
    return run


@pytest.fixture(scope="module")
def operated(shell):
    """What the operator's commands that need no pods printed, with the values of the page."""
    (shell.place / "values.yaml").write_text(block("operators", "yaml"))
    printed = []
    for number, text in enumerate(blocks("operators", "server")):
        if number == 2:  # something to save
            shell("kubectl apply -n contimg -f docs/samples/group.yaml -f docs/samples/survey.yaml")
        printed.append(shell(text))
    return printed


def checked(done):
    """Check that all commands succeeded."""
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@needs_helm
def test_the_operators_commands_that_need_no_pods(server, operated):
    assert len(operated) == 4
    for done in operated:
        checked(done)
    assert server.get("og", "strip", "contimg") is not None
    assert server.get("svy", "night", "contimg") is not None


@needs_helm
def test_samples_are_taken_by_the_api_server_and_come_back_the_same(operated, shell):
    """What was applied shows no difference."""
    for name in ("group", "pipeline", "survey"):
        file = f"docs/samples/{name}.yaml"
        words = ("apply --dry-run=server", "apply", "diff")
        checked(shell("\n".join(f"kubectl {word} -f {file}" for word in words)))
    assert "Side of a pixel" in checked(shell("kubectl explain og.spec.stages.image.cell_arcsec"))


@needs_helm
def test_what_the_notes_and_the_guide_call_roles_is_there(operated, server):
    rules = {name: server.get("role", f"contimg-{name}", "contimg")["rules"] for name in ("view", "edit", "records")}
    verbs = {
        name: [rule["verbs"] for rule in found if "pods/exec" in rule["resources"]] for name, found in rules.items()
    }
    assert verbs == {"view": [], "edit": [], "records": [["create", "get"]]}
