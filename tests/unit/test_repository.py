"""The repository keeps its own rules: nothing of a machine in it, pins complete, the same skeleton everywhere."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [ROOT / name for name in ("shared", "services", "operator") if (ROOT / name).is_dir()]
MODULES = sorted(path for source in SOURCES for path in source.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
STAGES = ("convert", "group", "solve", "apply", "image", "mosaic", "crossmatch", "publish", "level2", "destripe")
PACKAGES = {stage: f"contimg_{stage}" for stage in ("ingest", *STAGES)} | {
    stage: f"contimg_comap_{stage}" for stage in ("level2", "destripe")
}
SKELETON = {"__init__.py", "params.py", "stage.py", "__main__.py"}
FRAGMENT = re.compile(r"(\d+|\+[\w-]+)\.(feature|bugfix|doc|removal|misc)(\.\d+)?\.md")
# Written in pieces, so that this file does not find itself.
FORBIDDEN = {
    "a package registry's host": r"pypi\.(org|python)|python" + r"hosted|anaconda\.(org|com)|registry\.np" + r"mjs",
    "an absolute path of one machine": r"(?<![\w.])/(work|tmp/wo" + r"rk|root|home/\w+)/(?=[\w.])",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE " + r"KEY-----",
    "a token": r"\b(AKIA[0-9A-Z]{16}|gh[pousr]_\w{36,}|xox[baprs]-[\w-]{10,}|glpat-[\w-]{20})\b",
    "a password in a URL": r"\w+://[^\s/:@{}<>$\"']+:[^\s/:@{}<>$\"']+@[\w.-]+",
}


def tracked() -> list[Path]:
    """Return what is or may be committed: everything git does not ignore."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def texts() -> list[tuple[Path, str]]:
    found = []
    for path in tracked():
        content = path.read_bytes()
        if b"\0" not in content:
            found.append((path.relative_to(ROOT), content.decode(errors="replace")))
    return found


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what):
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, f"{what}:\n" + "\n".join(found)


def test_nothing_is_committed_that_a_test_left_behind():
    """CASA drops scratch tables and logs into the directory it was started in."""
    litter = re.compile(r"(^|/)(TempLattice\w*|__pycache__|[^/]+\.(log|last|pyc|nbi|nbc|sqlite3))(/|$)")
    command = ["git", "-C", str(ROOT), "ls-files", "--cached"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    found = [name for name in names if litter.search(name) and (ROOT / name).exists()]
    assert not found, found


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a package registry's host", "--index-url https://py" + "pi.org/simple"),
        ("an absolute path of one machine", "open('/tmp/" + "work/demo2/x')"),
        ("an absolute path of one machine", "source /ro" + "ot/.bashrc"),
        ("a private key", "-----BEGIN RSA PRIVATE " + "KEY-----"),
        ("a token", "AKIA" + "ABCDEFGHIJKLMNOP"),
        ("a password in a URL", "nats://me:" + "secret@host:4222"),
    ],
)
def test_what_is_forbidden_is_found(what, line):
    assert re.search(FORBIDDEN[what], line)


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().split()
    return {canonical(name): version for name, _, version in (line.partition("==") for line in lines)}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_constraints_are_exact_pins_without_addresses():
    for line in (ROOT / "constraints.txt").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line


def test_constraints_cover_every_direct_dependency():
    known = pins()
    wanted = [*PROJECT["project"]["dependencies"]]
    wanted += [item for extra in PROJECT["project"]["optional-dependencies"].values() for item in extra]
    for requirement in wanted:
        if requirement.startswith("contimg["):
            continue
        name, _, version = requirement.partition("==")
        assert version, f"{requirement} is not pinned"
        assert known.get(canonical(name)) == version, requirement


def test_fragments_of_changes_are_valid():
    fragments = [path for path in (ROOT / "changes").iterdir() if not path.name.startswith(".")]
    assert fragments
    for path in fragments:
        assert FRAGMENT.fullmatch(path.name), path.name
        text = path.read_text()
        assert text.strip(), named(path)
        assert text == text.strip() + "\n", named(path)


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_module_has_a_docstring_and_a_sorted_all(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), f"{named(path)} has no docstring"
    names = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
    ]
    if path.name in {"__init__.py", "__main__.py"} or path.name.startswith("_"):
        return
    assert names, f"{named(path)} has no __all__"
    defined = {name.id for name in ast.walk(tree) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)}
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            defined.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            defined |= {alias.asname or alias.name for alias in node.names}
    # Constants, then classes, then functions, each by name: the order of ruff's RUF022.
    assert set(names[0]) <= defined, f"{named(path)} exports what it does not define"
    assert list(names[0]) == sorted(names[0], key=_isort_key), named(path)


def _isort_key(name: str) -> tuple[int, list[tuple[int, str]]]:
    kind = 0 if name.isupper() else 1 if name[:1].isupper() else 2
    return kind, [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name) if part]


@pytest.mark.parametrize("stage", STAGES)
def test_services_have_the_same_skeleton(stage):
    directory = ROOT / "services" / PACKAGES[stage]
    assert {path.name for path in directory.glob("*.py")} >= SKELETON
    assert ast.unparse(ast.parse((directory / "__init__.py").read_text())).count("\n") == 0, "a docstring only"
    assert f'start("{stage}"' in (directory / "__main__.py").read_text()
    params = ast.parse((directory / "params.py").read_text())
    classes = [node.name for node in params.body if isinstance(node, ast.ClassDef)]
    assert f"{stage.capitalize()}Params" in classes
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(params)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    allowed = ("__future__", "typing", "enum", "pydantic", "contimg.models")
    assert all(name.startswith(allowed) for name in imported), imported


def test_there_are_nine_services_and_those_of_comap():
    found = {path.name for path in (ROOT / "services").iterdir() if any(path.glob("*.py"))}
    assert found == set(PACKAGES.values())


def test_entry_points_load_and_are_the_ones_declared():
    for group, declared in PROJECT["project"]["entry-points"].items():
        installed = {point.name: point.value for point in entry_points(group=group)}
        assert installed == declared, f"{group}: run './run setup' again"
        for point in entry_points(group=group):
            loaded = point.load()
            if group == "contimg.stages":
                assert loaded.name == point.name
    for script, target in PROJECT["project"]["scripts"].items():
        module, _, name = target.partition(":")
        assert callable(getattr(import_module(module), name))
        assert (Path(sys.executable).parent / script).exists(), f"{script}: run './run setup' again"


def test_operator_is_no_package():
    """A package called ``operator`` would hide the one of the standard library."""
    assert not (ROOT / "operator" / "__init__.py").exists()


@pytest.mark.parametrize("path", sorted((ROOT / "docs" / "adr").glob("*.md")), ids=lambda path: path.name)
def test_decisions_have_a_date_and_a_status(path):
    head = "\n".join(path.read_text().splitlines()[:6])
    assert re.match(rf"# 0*{int(path.name[:4])}\b", head)
    assert re.search(r"^Date: \d{4}-\d{2}-\d{2}\. Status: (proposed|accepted|superseded by \d+)\.", head, re.MULTILINE)


def test_numbers_of_decisions_are_used_once():
    numbers = [path.name[:4] for path in (ROOT / "docs" / "adr").glob("*.md")]
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("script", ["run", ".ci/run"])
def test_scripts_are_executable_and_parse(script):
    path = ROOT / script
    assert os.access(path, os.X_OK)
    done = subprocess.run(["bash", "-n", str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
