"""FinalizeLevel2Metadata: the rows of this observation, inside the file: they are a function of the task alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from contimg.instruments.comap.modules import FinalizeArgs
from contimg.instruments.comap.site import BINS
from contimg_comap_level2.work import Module, Work

__all__ = ["FinalizeLevel2Metadata"]

_COLUMNS = {"white_noise": "sigma_white", "red_noise": "sigma_red", "noise_index": "alpha", "auto_rms": "auto_rms"}
_KINDS = {"filtered": "binned_filtered_data", "unfiltered": "binned_data"}


class FinalizeLevel2Metadata(Module[FinalizeArgs]):
    """One row per feed (1-19) and bin (2 · band + bin), named columns."""

    def run(self, work: Work) -> None:
        """Write the columns."""
        bands = work.level1.shape[1]
        rows = [(feed, 2 * band + number) for _, feed in work.rows for band in range(bands) for number in range(BINS)]
        columns: dict[str, NDArray[np.float64]] = {}
        for prefix, name in _KINDS.items():
            for column, statistic in _COLUMNS.items():
                path = f"level2_noise_stats/{name}/{statistic}"
                if path in work.out.file:
                    columns[f"{prefix}_{column}"] = _mean(work.out.array(path), rows)
        good = np.isfinite(columns.get("filtered_auto_rms", np.full(len(rows), np.nan)))
        group = self.args.group_name
        work.out.put(f"{group}/pixel", np.array([feed for feed, _ in rows]))
        work.out.put(f"{group}/frequency_band", np.array([place for _, place in rows]))
        work.out.put(f"{group}/is_good", good)
        work.out.put(f"{group}/comment", np.where(good, b"", b"no noise statistics").astype("S32"))
        for name, values in columns.items():
            work.out.put(f"{group}/{name}", values)
        work.out.mark(group, {"n_scans": len(work.found_scans())})


def _mean(values: NDArray[np.float64], rows: list[tuple[int, int]]) -> NDArray[np.float64]:
    """Return the mean over scans of each row, NaN left out."""
    chosen = np.array([values[feed - 1, place // 2, place % 2] for feed, place in rows])
    count = np.isfinite(chosen).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(count > 0, np.nansum(chosen, axis=1) / np.maximum(count, 1), np.nan))
