"""What a release ships never changes under one name: pipelines on a cluster are immutable."""

from __future__ import annotations

import json
from pathlib import Path

from contimg.models.identity import digest
from contimg.models.instrument import pipelines

FROZEN = Path(__file__).parents[2] / "data" / "resources" / "pipelines.json"


def test_a_pipeline_whose_content_changes_gets_a_new_name():
    """A pipeline that is new is added to the file; one that is there is never changed there."""
    now = {
        name: digest(each.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True))
        for name, each in pipelines().items()
    }
    assert now == json.loads(FROZEN.read_text())
