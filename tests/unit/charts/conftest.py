"""The chart's tests need helm; where the programs of the test cluster are not built they are skipped, never in CI."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from chart import helm, needs_helm
from chart_files import CHART


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(needs_helm)


def _changed(values, change):
    """Return values with a change; None takes a value away."""
    if not isinstance(change, dict) or not isinstance(values, dict):
        return change
    merged = values | {name: _changed(values.get(name), inner) for name, inner in change.items()}
    return {name: inner for name, inner in merged.items() if inner is not None}


@pytest.fixture
def wrong(tmp_path):
    """Return what helm says when the values of ``ci/local.yaml`` are changed for the worse."""
    good = yaml.safe_load((CHART / "ci" / "local.yaml").read_text())

    def refused(change):
        path = tmp_path / "values.yaml"
        path.write_text(yaml.safe_dump(_changed(good, yaml.safe_load(change))))
        done = helm("template", "contimg", str(CHART), "-f", str(path))
        assert done.returncode != 0, done.stdout
        return done.stderr

    return refused
