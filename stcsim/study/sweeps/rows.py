"""The rows of a study: what each cell is, whether it counts, and its figures, in one order and under fixed names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from stcsim.arch.tree import EXPECTED
from stcsim.study.sweeps.figures import FIGURES
from stcsim.study.sweeps.grid import Cell, Grid
from stcsim.study.sweeps.hardware import Hardware
from stcsim.study.sweeps.spec import OPTIONS, SIZES, Study
from stcsim.study.sweeps.store import Store

Row = dict[str, object]

GIVEN = "given."
"""Stands before a leaf in the name of the column that says what the file has for it, such as x1.5."""
_RELATIVE = ("x", "×", "+", "-")


def columns_of(study: Study) -> tuple[str, ...]:
    """Return the names of all columns, the same whatever is done."""
    given = (GIVEN + name for name in _relative_axes(study))
    return (*design_columns(study), *given, "unchanged", "mark", "state", "error", "feasible", *FIGURES)


def design_columns(study: Study) -> tuple[str, ...]:
    """Return the names of the columns that say what a cell is: the GPU and its leaves, what is run, and how."""
    axes = [axis.name for axis in study.axes]
    named = [each.name for each in study.constraints] + [each.name for each in study.objectives]
    sources = study.sources
    networks = ("trace", "batch", *(("seq",) if sources.lengths != (None,) else ())) if sources.traces else ()
    sizes = SIZES if sources.gemms else ()
    return tuple(dict.fromkeys(("arch", *axes, *filter(EXPECTED.__contains__, named), *networks, *sizes, *OPTIONS)))


def _relative_axes(study: Study) -> Iterator[str]:
    """Yield the leaves that some place of their axis changes relative to what the GPU has."""
    for axis in study.axes:
        if "." in axis.name and any(each.label.lower().startswith(_RELATIVE) for each in axis.changes):
            yield axis.name


def rows_of(grid: Grid, store: Store | None) -> Iterator[Row]:
    """Yield one row for each cell that constraints on GPUs allow, in the order of the grid."""
    columns = columns_of(grid.study)
    for cell in grid:
        what = {**place_of(cell.hardware, grid.study), **cell.source.columns, **cell.options}
        row = {**what, **_answer(cell, grid.study, store)}
        yield {name: row.get(name) for name in columns}


def place_of(hardware: Hardware, study: Study) -> Row:
    """Return what a GPU of a study is: its name, where it stands on each axis, and the leaves that the study names."""
    unchanged = not hardware.changed and hardware.error is None
    row: Row = {"arch": hardware.arch, "unchanged": unchanged, "mark": hardware.is_mark}
    row |= {**hardware.places, **{GIVEN + name: label for name, label in hardware.places.items()}}
    return row | {name: _value(hardware, name) for name in design_columns(study) if name in EXPECTED}


def _value(hardware: Hardware, leaf: str) -> object:
    value = None if hardware.error else hardware.value(leaf)
    return " ".join(map(str, value)) if isinstance(value, tuple) else value


def _answer(cell: Cell, study: Study, store: Store | None) -> Row:
    """Return what became of a cell, its figures, and whether it meets all constraints."""
    if cell.error is not None:
        return {"state": "error", "error": str(cell.error)}
    answer = store.answer(cell.key) if store else None
    if answer is None:
        return {"state": "waiting"}
    if answer.figures is None:
        return {"state": "error", "error": answer.error}
    figures = asdict(answer.figures)
    feasible = all(each.holds(figures[each.name]) for each in study.constraints if not each.of_gpu)
    return {"state": "done", "feasible": feasible, **figures}
