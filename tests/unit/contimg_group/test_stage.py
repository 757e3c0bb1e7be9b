from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from contimg.errors import BadInput
from contimg.models.manifest import Manifest, Product
from contimg.models.quality import Verdict
from contimg.models.spec import load
from contimg.stage import Run, StageContext
from contimg_group.params import SPEC, GroupParams
from contimg_group.stage import Group

START = datetime(2026, 1, 25, 22, tzinfo=UTC)
TRANSIT = {"name": "2253+161", "transit": "2026-01-25T22:07:24Z", "apparent_flux_jy": 9.9}


def run(tmp_path, number, **info):
    start = START + timedelta(minutes=5 * number)
    unit = f"{start:%Y-%m-%dT%H:%M:%S}"
    values = {
        "telescope": "dsa110",
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=5)).isoformat(),
        "ra_deg": 340.0,
        "dec_deg": 16.0,
        "app_dec_deg": 16.15,
        "source": "meridian",
        "role": "target",
        "calibrators": [],
    }
    product = Product(type="raw_ms", id=unit, path=f"{unit}.ms", names=(f"science/2026-01-25/{unit}.ms",))
    manifest = Manifest(
        task=f"{number:032x}",
        stage="convert",
        recipe_version=1,
        version="0",
        unit=unit,
        group="g",
        date="2026-01-25",
        params={},
        products=(product,),
        info=values | info,
        attempt=1,
        host="h",
        started=start,
        finished=start,
    )
    return Run(tmp_path / unit, manifest)


def context(tmp_path, members, calibrators=(), absent=(), **params):
    records = [SimpleNamespace(id=r.manifest.unit) for r in members] + [SimpleNamespace(id=name) for name in absent]
    return StageContext(
        unit="g1",
        group="g1",
        date="2026-01-25",
        params=GroupParams(**params),
        workdir=tmp_path,
        inputs={"raw_ms": [*members, *calibrators]},
        members=tuple(records),
        calibrators=tuple(SimpleNamespace(id=r.manifest.unit) for r in calibrators),
    )


def test_definition_of_a_drift_group(tmp_path):
    members = [run(tmp_path, n, calibrators=[TRANSIT] if n == 1 else []) for n in range(3)]
    result = Group().run(context(tmp_path, members))
    (draft,) = result.products
    assert draft.path == "group_g1.json"
    assert draft.names == ("2026-01-25/group_g1.json",)
    text = json.loads((tmp_path / draft.path).read_text())
    assert text["members"][1] == {
        "timestamp": "2026-01-25T22:05:00",
        "ms": "science/2026-01-25/2026-01-25T22:05:00.ms",
        "task": f"{1:032x}",
    }
    assert text["calibrators"] == [TRANSIT | {"member": "2026-01-25T22:05:00", "role": "target"}]
    assert (text["start"], text["end"]) == ("2026-01-25T22:00:00+00:00", "2026-01-25T22:15:00+00:00")
    assert text["dec_deg"] == pytest.approx(16.15)
    assert text["broken"] == []
    assert [rule["name"] for rule in text["rules"]] == ["group.size", "group.gap", "group.span", "group.dec_offset"]
    assert result.info["members"] == [r.manifest.unit for r in members]


def test_same_input_gives_the_same_bytes(tmp_path):
    members = [run(tmp_path, n) for n in range(3)]
    texts = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Group().run(context(tmp_path / name, members))
        texts.append((tmp_path / name / "group_g1.json").read_bytes())
    assert texts[0] == texts[1]


def test_pointed_group_lists_its_calibrator_recordings(tmp_path):
    nothing = {"app_dec_deg": None, "telescope": "vla"}
    members = [run(tmp_path, 1, **nothing), run(tmp_path, 5, **nothing)]
    calibrators = [run(tmp_path, 0, source="3C286", role="bandpass", dec_deg=30.5, **nothing)]
    rules = {"min_size": 1, "max_gap_s": 0, "max_span_min": 0}
    result = Group().run(context(tmp_path, members, calibrators, **rules))
    text = json.loads((tmp_path / "group_g1.json").read_text())
    assert text["dec_deg"] == pytest.approx(16.0)
    assert [entry["timestamp"] for entry in text["members"]] == [r.manifest.unit for r in members]
    (entry,) = text["calibrators"]
    assert (entry["name"], entry["role"], entry["timestamp"]) == ("3C286", "bandpass", "2026-01-25T22:00:00")
    assert all(figure.verdict is Verdict.PASS for figure in result.figures)


def test_member_that_was_not_converted_is_listed(tmp_path):
    members = [run(tmp_path, n) for n in range(3)]
    Group().run(context(tmp_path, members, absent=("2026-01-25T22:15:00",)))
    assert json.loads((tmp_path / "group_g1.json").read_text())["absent"] == ["2026-01-25T22:15:00"]


def test_no_member_at_all(tmp_path):
    with pytest.raises(BadInput, match="group g1 has no converted member"):
        Group().run(context(tmp_path, [], absent=("x",)))


def test_mixed_declinations(tmp_path):
    members = [run(tmp_path, 0), run(tmp_path, 1), run(tmp_path, 2, app_dec_deg=20.0)]
    with pytest.raises(BadInput, match="mixed declinations"):
        Group().run(context(tmp_path, members))


def test_spec_and_runner():
    assert load(SPEC.runner) is Group
    assert all(field.description for field in GroupParams.model_fields.values())
