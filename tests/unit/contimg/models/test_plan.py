"""Names and keys of published products."""

import pytest

from contimg.models.manifest import Product
from contimg.models.plan import plan_item, published_name, s3_key


def product(type_, path, *names):
    return Product(type=type_, id="x", path=path, names=names, sha256="a" * 64, bytes=3)


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (product("mosaic", "m.fits", "2026-01-25/m.fits"), "2026-01-25/m.fits"),
        (product("group", "group_g.json", "2026-01-25/group_g.json"), "2026-01-25/group_g.json"),
        (product("image", "t.fits", "2026-01-25/t.fits"), "2026-01-25/g/t.fits"),
        (product("calibrated_ms", "t_cal.ms", "science/2026-01-25/t_cal.ms"), "2026-01-25/g/t_cal.ms"),
        (product("calibration_table", "g_bpcal"), "2026-01-25/g_bpcal"),
    ],
)
def test_names_lie_below_the_date_and_members_below_their_group(made, name):
    assert published_name(made, "g", "2026-01-25") == name


def test_two_groups_never_publish_one_image_name():
    made = product("image", "t.fits", "2026-01-25/t.fits")
    assert published_name(made, "g1", "2026-01-25") != published_name(made, "g2", "2026-01-25")


def test_key_is_type_date_task_file():
    made = product("mosaic", "m.fits", "2026-01-25/m.fits")
    assert s3_key(made, "b" * 32, "2026-01-25", directory=False) == f"mosaics/2026-01-25/{'b' * 32}/m.fits"
    table = product("calibration_table", "g_bpcal")
    assert s3_key(table, "b" * 32, "2026-01-25", directory=True) == f"caltables/2026-01-25/{'b' * 32}/g_bpcal.tar"


def test_item_carries_what_verifies_it():
    item = plan_item(product("mosaic", "m.fits"), "b" * 32, "g", "2026-01-25", directory=False)
    assert (item.sha256, item.bytes, item.task) == ("a" * 64, 3, "b" * 32)
