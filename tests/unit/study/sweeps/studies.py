"""Small studies of real GEMMs, and figures made by hand."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from stcsim.study.sweeps.figures import Figures
from stcsim.study.sweeps.grid import Grid
from stcsim.study.sweeps.reading import load_study
from stcsim.study.sweeps.rows import columns_of, rows_of
from stcsim.study.sweeps.store import Store

TWELVE = """
arch: [a100, h100]
gemm: {m: [64, 128, 256], n: 64, k: 256}
axes: {l2.bandwidth_bytes_per_clk: [x1, x1.5]}
"""


def study_in(folder: Path, text: str = TWELVE) -> Path:
    """Write a study and return its file."""
    path = folder / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def grid_in(folder: Path, text: str = TWELVE) -> Grid:
    return Grid(load_study(study_in(folder, text)))


def lines_of(grid: Grid, path: Path) -> list[str]:
    """Return all rows of a study as text."""
    with Store(path) as store:
        return [",".join(str(row[name]) for name in columns_of(grid.study)) for row in rows_of(grid, store)]


def figures(**known: object) -> Figures:
    """Return figures of which all that is not said is nothing."""
    return Figures(**{field.name: None for field in fields(Figures)} | known)  # type: ignore[arg-type]
