"""Every command of the quick start, in its order, as a new user would type it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from commands import clean_environment

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "quickstart.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    blocks = [text for language, text in BLOCK.findall(page.read_text()) if not language]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("./run") and "PATH=" not in line]


def test_every_command_works(tmp_path: Path) -> None:
    text = PAGE.read_text()
    (tmp_path / "tiny.yaml").write_text(next(block for language, block in BLOCK.findall(text) if language == "yaml"))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    bases = {"CONTIMG_STAGE_BASE": str(tmp_path / "s"), "CONTIMG_DATA_BASE": str(tmp_path / "d")}
    options = {"cwd": tmp_path, "env": clean_environment(PATH=path, **bases), "capture_output": True, "text": True}
    found = commands(PAGE)
    assert len(found) >= 10
    done = subprocess.run(["bash", "-exc", "\n".join(found)], timeout=1500, check=False, **options)
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    assert (tmp_path / "byhand").is_dir()
    assert list((tmp_path / "work/data/products/mosaics").glob("*/*.fits"))


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page} links to {target}"
