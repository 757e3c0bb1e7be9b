"""Stage level2: the modules of the list, in one file that appears when all are done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any

from contimg import __version__
from contimg.errors import BadConfig, BadInput
from contimg.instruments.comap.modules import DEFAULT_CALLS, MODULES, Call, checked
from contimg.instruments.comap.site import source_group
from contimg.radio.level1 import open_level1, read_level1_header
from contimg.radio.level2 import create_level2
from contimg.stage import ProductDraft, Stage, StageContext, StageResult
from contimg_comap_level2.params import SPEC, Level2Params, ModuleCall
from contimg_comap_level2.sweep import sweep
from contimg_comap_level2.work import BlockModule, Module, Work

__all__ = ["Level2Stage", "calls_of"]

_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)


def calls_of(params: Level2Params) -> list[Call]:
    """Return the modules to run, with complete arguments.

    Raises
    ------
    BadConfig
        If a module or an argument is wrong, or the task was planned with another version of a module.
    """
    wanted = params.modules or tuple(ModuleCall(name=name, args=args) for name, args in DEFAULT_CALLS.items())
    for call in wanted:
        if call.name in MODULES and MODULES[call.name].version != call.version:
            mine = MODULES[call.name].version
            text = f"module {call.name} has version {mine} here, the task was planned with {call.version}"
            raise BadConfig(f"{text}; plan it again")
    return [checked(call.name, call.args) for call in wanted]


def _module(call: Call) -> Module[Any]:
    module, _, name = MODULES[call.name].target.partition(":")
    made: Module[Any] = getattr(import_module(f"contimg_comap_level2.{module}"), name)(call.args)
    return made


class Level2Stage(Stage[Level2Params]):
    """Raw power into time streams."""

    def run(self, context: StageContext[Level2Params]) -> StageResult:
        """Make the level-2 file of one observation.

        Raises
        ------
        BadInput
            If level 1 cannot be used.
        BadConfig
            If the list of modules is wrong.
        """
        calls = calls_of(context.params)
        path = _level1(context)
        header = read_level1_header(path)
        name = f"Level2_{path.name}"
        provenance = {
            "version": __version__,
            "task": context.task,
            "recipe_version": SPEC.recipe_version,
            "modules": [{"name": call.name, "args": call.args.model_dump(mode="json")} for call in calls],
        }
        with open_level1(path) as level1, create_level2(context.workdir / name, provenance) as out:
            work = Work(level1, out, context.log, context.report)
            run_all([_module(call) for call in calls], work)
            for number, call in enumerate(calls):
                out.mark(f"level2/modules/{number:02d}_{call.name}", {"args": call.args.model_dump_json()})
            feeds = [feed for _, feed in work.rows]
        for sentence in work.told:
            context.log.warning("level2", sentence=sentence)
        start, end = (_EPOCH + timedelta(days=mjd) for mjd in (header.start_mjd, header.end_mjd))
        source = header.source.replace("/", "_") or "unknown"
        draft = ProductDraft("level2", name.removesuffix(".hd5"), name, (f"{start:%Y-%m}/{source}/level2/{name}",))
        info = {
            "start": start.isoformat(),
            "end": end.isoformat(),
            "source": header.source,
            "source_group": source_group(header.source, header.comment),
            "scans": len(work.found_scans()),
            "feeds": feeds,
            "told": work.told,
        }
        return StageResult((draft,), tuple(work.figures), info, f"{start:%Y-%m-%d}")


def _level1(context: StageContext[Level2Params]) -> Any:
    if len(context.raw) != 1:
        raise BadInput(f"observation {context.unit} has {len(context.raw)} level-1 files, not 1; give exactly one")
    path = context.raw[0]
    if not path.exists():
        raise BadInput(f"level-1 file {path} is missing; put it back or leave the observation out", reason="missing")
    return path


def run_all(modules: list[Module[Any]], work: Work) -> None:
    """Run the modules in order; neighbours that take blocks share one pass over level 1."""
    waiting: list[BlockModule[Any]] = []
    for module in modules:
        if isinstance(module, BlockModule):
            waiting.append(module)
            continue
        if waiting:
            sweep(work, waiting)
            waiting = []
        module.run(work)
    if waiting:
        sweep(work, waiting)
