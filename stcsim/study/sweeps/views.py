"""Rows of a study as figures show them: some of them, apart by all that is not drawn, as a plane or as a Pareto front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stcsim.errors import StcsimError, closest, quoted
from stcsim.study.sweeps.criteria import Objective, front
from stcsim.study.sweeps.figures import NUMBERS
from stcsim.study.sweeps.rows import GIVEN, Row, columns_of, design_columns
from stcsim.study.sweeps.spec import SIZES, Study

OF_SOURCE = ("trace", "batch", "seq", *SIZES)
"""Columns that say what is run: what is better is told of one network, never between two."""
_PLAIN = ("arch", "variant", "trace", "dtype", "library")
"""Columns whose values need no name before them."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One figure over two columns, the other columns held.

    Attributes:
        title: what is held, of that which other planes hold otherwise.
        values: for each place on y, and on x within; ``None`` where there is no figure.
        spans: half of the interval of each, over the figure itself; likewise.
    """

    title: str
    values: tuple[tuple[float | None, ...], ...]
    spans: tuple[tuple[float | None, ...], ...]

    @property
    def is_empty(self) -> bool:
        """Whether it has no figure at all."""
        return all(value is None for line in self.values for value in line)


@dataclass(frozen=True, slots=True)
class Planes:
    """A figure over two columns of a study.

    Attributes:
        x: name of the column to the right.
        y: name of the column upward; empty where there is one line alone.
        value: name of the figure.
        xs: places on x, as they are written.
        ys: likewise on y.
        planes: one for each way in which the other columns are held.
    """

    x: str
    y: str
    value: str
    xs: tuple[str, ...]
    ys: tuple[str, ...]
    planes: tuple[Plane, ...]


@dataclass(frozen=True, slots=True)
class Front:
    """Rows of one network or GEMM, and which of them nothing beats.

    Attributes:
        title: what is run, where there are several.
        rows: those that meet all constraints.
        best: places of the Pareto front of the grid among them; GPUs beside the grid are not in it.
        marks: places of GPUs as they are, in the grid or beside it.
    """

    title: str
    rows: tuple[Row, ...]
    best: tuple[int, ...]
    marks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Fronts:
    """The Pareto fronts of a study.

    Attributes:
        objectives: what is better.
        fronts: one for each network or GEMM.
        columns: those in which its rows differ, to be shown beside the objectives.
    """

    objectives: tuple[Objective, ...]
    fronts: tuple[Front, ...]
    columns: tuple[str, ...]


def where_of(texts: Sequence[str], study: Study) -> dict[str, str]:
    """Return conditions such as ``"trace=bert-large"`` by column.

    Raises:
        StcsimError: for a text without ``=``, or a column that there is not.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise StcsimError("where", "a column and its value, e.g. trace=bert-large", quoted(text))
        found[_column(name.strip(), "where", study)] = value.strip()
    return found


def chosen(rows: Iterable[Row], conditions: Mapping[str, str]) -> list[Row]:
    """Return the rows that meet all conditions; a leaf may be named by its value or by what the file has for it.

    Raises:
        StcsimError: when none does.
    """
    found = [row for row in rows if all(value in _spellings(row, name) for name, value in conditions.items())]
    if not found:
        wanted = ", ".join(f"{name}={value}" for name, value in conditions.items())
        raise StcsimError("where", "at least one cell", f"none with {wanted}" if wanted else "none")
    return found


def shown_columns(rows: Sequence[Row], study: Study, figures: Iterable[str]) -> tuple[str, ...]:
    """Return the columns in which rows differ by a choice of the study, then those that are asked for.

    Raises:
        StcsimError: for a column that there is not.
    """
    asked = [_column(name, "columns", study) for name in figures]
    return tuple(dict.fromkeys((*_varying(rows, study), *asked)))


def planes_of(rows: Sequence[Row], study: Study, x: str, y: str, value: str) -> Planes:
    """Return a figure over two columns.

    Args:
        rows: those to draw.
        study: that they are of.
        x: name of a column.
        y: name of another.
        value: name of a figure.

    Raises:
        StcsimError: for a column that there is not or that does not vary, or no row that has the figure.
    """
    if value not in NUMBERS:
        raise StcsimError("value", "a figure such as speedup, best_us or best_uj", f"{quoted(value)}{closest(value, NUMBERS)}")
    for option, name in (("x", x), ("y", y)):
        _column(name, option, study)
    if x == y:
        raise StcsimError("y", "another column than --x", quoted(y))
    grid = [row for row in rows if None not in (_label(row, x), _label(row, y))]
    if not any(row["feasible"] and row[value] is not None for row in grid):
        raise StcsimError("value", "a cell that is done and meets the constraints", f"none with {value} over {x} and {y}")
    xs, ys = (tuple(dict.fromkeys(str(_label(row, name)) for row in grid)) for name in (x, y))
    held = [name for name in _varying(grid, study) if name not in (x, y)]
    apart: dict[str, dict[tuple[str, str], Row]] = {}
    for row in grid:
        title = _title(row, held, drawn=(x, y))
        apart.setdefault(title, {})[str(_label(row, x)), str(_label(row, y))] = row
    planes = [_plane(title, cells, xs, ys, value) for title, cells in apart.items()]
    return Planes(x, y, value, xs, ys, tuple(plane for plane in planes if not plane.is_empty))


def fronts_of(rows: Iterable[Row], study: Study, objectives: Sequence[Objective]) -> Fronts:
    """Return the Pareto front of each network or GEMM, of the rows of the grid that meet all constraints.

    Raises:
        StcsimError: when there is no objective, or no row that has all of their figures.
    """
    if not objectives:
        raise StcsimError("objectives", "at least one, e.g. objectives: [max speedup, min best_uj]", "none")
    for objective in objectives:
        _column(objective.name, "objectives", study)
    feasible = [row for row in rows if row["feasible"]]
    apart: dict[str, list[Row]] = {}
    held = [name for name in _varying(feasible, study) if name in OF_SOURCE]
    for row in feasible:
        apart.setdefault(_title(row, held), []).append(row)
    fronts = []
    for title, each in apart.items():
        marks = tuple(at for at, row in enumerate(each) if row["unchanged"])
        inside = [at for at, row in enumerate(each) if not row["mark"]]
        best = tuple(inside[at] for at in front([each[at] for at in inside], objectives))
        fronts.append(Front(title, tuple(each), best, marks))
    if not any(each.best for each in fronts):
        raise StcsimError("objectives", "cells that are done, meet the constraints and have these figures", "none")
    return Fronts(tuple(objectives), tuple(fronts), tuple(name for name in _varying(feasible, study) if name not in OF_SOURCE))


def _column(name: str, where: str, study: Study) -> str:
    known = columns_of(study)
    if name not in known:
        raise StcsimError(where, "a column of stcsim study export", f"{quoted(name)}{closest(name, known)}")
    return name


def _label(row: Row, name: str) -> str | None:
    """Return where a row stands in a column, as it is written in a figure: ``"x1.5"`` rather than the value of each GPU."""
    value = row.get(GIVEN + name, row[name])
    return None if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _spellings(row: Row, name: str) -> set[str]:
    return {text for each in (row[name], row.get(GIVEN + name), _label(row, name)) if (text := str(each)) != "None"}


def _varying(rows: Sequence[Row], study: Study) -> list[str]:
    """Return the columns of what cells are, not of what became of them, in which rows differ by a choice of the study."""
    axes = [axis.name for axis in study.axes]
    free = (name for name in design_columns(study) if "." not in name or name in axes)
    return [name for name in free if len({_label(row, name) for row in rows}) > 1]


def _title(row: Row, held: Sequence[str], drawn: Sequence[str] = ()) -> str:
    """Return what tells a row from those of other titles; a GEMM by all its sizes, with letters for those that are drawn."""
    said = [_said(row, name) for name in held if name not in SIZES and row[name] is not None]
    if any(name in SIZES and row[name] is not None for name in held):
        said.append("×".join(name if name in drawn else str(row[name]) for name in SIZES))
    return ", ".join(said)


def _said(row: Row, name: str) -> str:
    """Return a place in words: the names of GPUs and networks speak for themselves, numbers do not."""
    label = str(_label(row, name))
    return label if name in _PLAIN else f"{name.rpartition('.')[2]} {label}"


def _plane(title: str, cells: Mapping[tuple[str, str], Row], xs: Sequence[str], ys: Sequence[str], value: str) -> Plane:
    found = [[cells.get((x, y), {}) for x in xs] for y in ys]
    return Plane(
        title,
        tuple(tuple(_number(row, value) for row in line) for line in found),
        tuple(tuple(_span(row, value) for row in line) for line in found),
    )


def _number(row: Row, name: str) -> float | None:
    value = row.get(name) if row.get("feasible") else None
    return float(value) if isinstance(value, int | float) else None


def _span(row: Row, name: str) -> float | None:
    """Return half of the interval of a figure, over the figure."""
    value, low, high = (_number(row, each) for each in (name, f"{name}_low", f"{name}_high"))
    return (high - low) / 2 / value if value and low is not None and high is not None else None
