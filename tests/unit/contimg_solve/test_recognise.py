from __future__ import annotations

import pytest
from bare_files import bare

from contimg.radio.recognise import calibration_input as recognise


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("x.ms/", ("raw_ms", "", "x")),
        ("g_bpcal/", ("calibration_table", "bpcal", "tables")),
        ("x.fits", None),
    ],
)
def test_what_a_bare_file_is_to_this_stage(tmp_path, name, kind):
    assert recognise(bare(tmp_path, name)) == kind
