from __future__ import annotations

import numpy as np
import pytest

from contimg.errors import BadConfig
from contimg_convert.manual import apply_manual, read_manual

TEXT = """\
# what people know
33, 2026-01-25T22:26:00/2026-01-25T22:26:05, 0-3, receiver warm

*, *, 10, transmitter   # a comment
117, *, *, not in these data
"""


def test_flags_exactly_what_is_written(data, tmp_path):
    path = tmp_path / "2026-01-25.txt"
    path.write_text(TEXT)
    before = data.flag.copy()
    apply_manual(data, read_manual(path))
    wanted = before.copy()
    wanted[:, 10] = True
    rows = ((data.antenna1 == 2) | (data.antenna2 == 2)) & (data.time_jd < data.time_jd[0] + 1e-6)
    wanted[rows, :4] = True
    assert rows.sum() == 6
    assert np.array_equal(data.flag, wanted)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("33, *, *", "needs the four fields"),
        ("33, yesterday, *, why", "'yesterday' is not START/END"),
        ("33, *, a-b, why", "channels 'a-b' are not"),
    ],
)
def test_line_that_is_not_understood_is_named(tmp_path, line, words):
    path = tmp_path / "flags.txt"
    path.write_text(f"# first\n{line}\n")
    with pytest.raises(BadConfig, match=rf"flags\.txt, line 2: .*{words}"):
        read_manual(path)
