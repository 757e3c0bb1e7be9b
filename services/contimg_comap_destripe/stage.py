"""Stage destripe: one map from the level-2 files of a group."""

from __future__ import annotations

from contimg.errors import BadInput
from contimg.models.quality import Figure, judge, worst
from contimg.stage import ProductDraft, Stage, StageContext, StageResult
from contimg_comap_destripe.gather import Gathered, gather
from contimg_comap_destripe.params import DestripeParams
from contimg_comap_destripe.solve import Solution, destripe
from contimg_comap_destripe.write import map_name, write

__all__ = ["DestripeStage"]


class DestripeStage(Stage[DestripeParams]):
    """Time streams into a map."""

    def run(self, context: StageContext[DestripeParams]) -> StageResult:
        """Make the map that this partition is.

        Raises
        ------
        BadInput
            If there is no level-2 file, or no data can be used.
        BadConfig
            If the grid is unknown.
        """
        runs = context.runs("level2")
        if not runs:
            raise BadInput(f"group {context.group} has no level-2 file; see why level2 failed (contimg why)")
        wanted, params = context.params.maps[context.options.map], context.params
        paths = sorted((run.manifest.unit, run.product("level2")) for run in runs)
        found = gather(paths, wanted, params, context.report)
        for sentence in found.left_out:
            context.log.warning("left out", sentence=sentence)
        solution = destripe(found.samples, wanted.lambda_ridge, params.tolerance, params.max_iterations)
        expected = context.options.expected or len(paths)
        figures = _figures(found, solution, expected, params.tolerance)
        name = map_name(wanted)
        cards = {
            "GROUPID": context.group,
            "RECIPE": context.task or "destripe/1",
            "QAVERD": worst([figure.verdict for figure in figures]).value,
        }
        write(context.workdir / f"{name}.fits", wanted, found, solution, cards)
        draft = ProductDraft("comap_map", f"{name}_{context.group}", f"{name}.fits", (_named(context, name),))
        info = {
            "map": name,
            "band": wanted.band,
            "members": found.obsids,
            "left_out": found.left_out[:100],
            "spikes": found.spikes,
        }
        return StageResult((draft,), figures, info, context.date)


def _named(context: StageContext[DestripeParams], name: str) -> str:
    return f"{context.date}/{context.group}/{name}.fits"


def _figures(found: Gathered, solution: Solution, expected: int, tolerance: float) -> tuple[Figure, ...]:
    hit = solution.hits > 0
    noise = float((solution.weight[hit] ** -0.5).mean()) if hit.any() else None
    return (
        judge("destripe.members", float(len(found.obsids)), degraded_below=float(expected)),
        judge("destripe.residual", solution.residual, failed_above=tolerance),
        judge("destripe.iterations", float(solution.iterations)),
        judge("destripe.samples", float(solution.hits.sum())),
        judge("destripe.noise", noise, "K"),
        judge("destripe.spikes", float(found.spikes)),
    )
