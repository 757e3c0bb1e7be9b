"""Stage group: ``group_<id>.json``."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from contimg.errors import BadInput
from contimg.stage import ProductDraft, Run, Stage, StageContext, StageResult
from contimg_group import rules
from contimg_group.params import GroupParams

__all__ = ["Group"]


class Group(Stage[GroupParams]):
    """Members, calibrators and the rules verified, frozen in one file."""

    def run(self, context: StageContext[GroupParams]) -> StageResult:
        """Write the definition of the group.

        Raises
        ------
        contimg.errors.BadInput
            If no member is converted or the declinations are mixed.
        """
        runs = {run.manifest.unit: run for run in context.runs("raw_ms")}
        members = [runs[record.id] for record in context.members if record.id in runs]
        if not members:
            raise BadInput(f"group {context.unit} has no converted member; see why convert failed (contimg why)")
        figures = rules.check([_member(run) for run in members], context.params)
        broken = rules.sentences(figures)
        for sentence in broken:
            context.log.warning("rule of the group broken", group=context.unit, sentence=sentence)
        absent = [record.id for record in context.members if record.id not in runs]
        pointed = [runs[record.id] for record in context.calibrators if record.id in runs]
        calibrators = [entry for run in members for entry in _transits(run)] + [_pointed(run) for run in pointed]
        text = _definition(context, members, calibrators) | {
            "absent": absent,
            "rules": [figure.model_dump(mode="json") for figure in figures],
            "broken": broken,
        }
        name = f"group_{context.unit}.json"
        (context.workdir / name).write_text(json.dumps(text, indent=1) + "\n", encoding="utf-8")
        draft = ProductDraft("group", f"group_{context.unit}", name, (f"{context.date}/{name}",))
        info = {key: text[key] for key in ("start", "end", "dec_deg", "absent", "broken")}
        return StageResult((draft,), figures, info | {"members": [run.manifest.unit for run in members]})


def _definition(
    context: StageContext[GroupParams], members: list[Run], calibrators: list[dict[str, Any]]
) -> dict[str, Any]:
    infos = [run.manifest.info for run in members]
    decs = [_dec(info) for info in infos]
    return {
        "group": context.unit,
        "telescope": infos[0]["telescope"],
        "start": infos[0]["start"],
        "end": max(info["end"] for info in infos),
        "dec_deg": sum(decs) / len(decs),
        "members": [_entry(run) for run in members],
        "calibrators": calibrators,
    }


def _dec(info: dict[str, Any]) -> float:
    return float(info["dec_deg"] if info.get("app_dec_deg") is None else info["app_dec_deg"])


def _member(run: Run) -> rules.Member:
    info = run.manifest.info
    return rules.Member(run.manifest.unit, datetime.fromisoformat(info["start"]), _dec(info))


def _entry(run: Run) -> dict[str, Any]:
    """Return timestamp, name of the measurement set below the home of raw_ms, and task."""
    product = run.manifest.products[0]
    name = product.names[0] if product.names else product.path
    return {"timestamp": run.manifest.unit, "ms": name, "task": run.manifest.task}


def _transits(run: Run) -> list[dict[str, Any]]:
    """Return the calibrators that transit inside a member."""
    return [
        {
            "name": found["name"],
            "transit": found["transit"],
            "apparent_flux_jy": found["apparent_flux_jy"],
            "member": run.manifest.unit,
            "role": run.manifest.info["role"],
        }
        for found in run.manifest.info.get("calibrators", [])
    ]


def _pointed(run: Run) -> dict[str, Any]:
    """Return a calibrator that was pointed at in a recording of its own."""
    info = run.manifest.info
    nothing = {"transit": None, "apparent_flux_jy": None, "member": None}
    return {"name": info["source"], **nothing, "role": info["role"], **_entry(run)}
