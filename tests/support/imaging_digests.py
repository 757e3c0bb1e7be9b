"""Print digests of what the gridder and the transforms make, on the processors named: ``imaging_digests.py 0,1``."""

from __future__ import annotations

import hashlib
import os
import sys

if len(sys.argv) > 1:
    os.sched_setaffinity(0, {int(number) for number in sys.argv[1].split(",")})  # before libraries count them

import numpy as np

from contimg_image.clean import Multiscale
from contimg_image.gridder import Gridder
from contimg_image.primary import Term
from contimg_image.restoring import Beam, restore

SIZE, ROWS, CHANNELS, CELL = 300, 4000, 16, np.radians(20 / 3600)


def main() -> None:
    """Make everything twice: a warm process gives what a cold one does."""
    rng = np.random.default_rng(5)
    uvw, freq = rng.normal(size=(ROWS, 3)) * 300, 1.4e9 + 1e6 * np.arange(CHANNELS)
    weight = rng.uniform(0.5, 1, (ROWS, CHANNELS)).astype(np.float32)
    data = (rng.normal(size=weight.shape) + 1j * rng.normal(size=weight.shape)).astype(np.complex64)
    term = Term(rng.normal(size=(SIZE, SIZE)).astype(np.float32) * 0.1, rng.normal(size=(ROWS, 1)).astype(np.float32))
    for _ in range(2):
        gridder = Gridder(uvw, freq, weight, SIZE, CELL, terms=(term,))
        psf, model = gridder.psf(), np.zeros((SIZE, SIZE), np.float32)
        residual = gridder.dirty(data)
        Multiscale(psf, 0.1, (0.0, 12.0)).run(residual, np.abs(residual) > 0, 0.0, 200, model)
        restored = restore(model, residual, Beam(60.0, 50.0, 20.0), CELL)
        for array in (psf, residual, model, gridder.predict(model), restored, weight):
            print(hashlib.sha256(array.tobytes()).hexdigest())


if __name__ == "__main__":
    main()
