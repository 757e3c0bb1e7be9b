"""What a bare file or directory is, by its name and shape; for stages that are run by hand."""

from __future__ import annotations

from pathlib import Path

__all__ = ["calibration_input", "calibration_table", "fits_map", "measurement_set"]

_CAL_ROLES = ("2gcal", "gpcal", "bpcal")


def measurement_set(path: Path) -> str | None:
    """Return the unit of a measurement set, its name without ``_cal`` and ``.ms``; None if the path is none."""
    if not ((path / "ANTENNA").is_dir() and (path / "FIELD").is_dir()) or calibration_table(path):
        return None
    return path.name.removesuffix(".ms").removesuffix("_cal")


def calibration_table(path: Path) -> str | None:
    """Return the role of a calibration table or of the record of its choice; None if the path is neither."""
    if path.name.endswith("_calsel.json"):
        return "calsel"
    return next((role for role in _CAL_ROLES if path.name.endswith(f"_{role}")), None)


def fits_map(path: Path, roles: tuple[str, ...], main: str) -> tuple[str, str] | None:
    """Return role and unit of a FITS map; None if the path is none.

    Parameters
    ----------
    path
        File, e.g. ``<unit>_residual.fits``.
    roles
        Endings of the name that tell a role.
    main
        Role of a map without such an ending.
    """
    if path.suffix != ".fits" or not path.is_file():
        return None
    role = next((role for role in roles if path.stem.endswith(f"_{role}")), "")
    return role or main, path.stem.removesuffix(f"_{role}") if role else path.stem


def calibration_input(path: Path) -> tuple[str, str, str] | None:
    """Return data type, role and unit of what solve and apply read: raw measurement sets and calibration tables."""
    if role := calibration_table(path):
        return "calibration_table", role, "tables"
    unit = measurement_set(path)
    return ("raw_ms", "", unit) if unit else None
