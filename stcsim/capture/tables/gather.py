"""The operations of a table, equal lines found by their text, so that a line seen before costs a look-up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stcsim.capture.tables.layouts import Layout, Product, column_name, layout_of
from stcsim.capture.tables.text import Table
from stcsim.errors import TraceError
from stcsim.trace import Conv2d
from stcsim.trace.model import inside

MOST_LINES = 1_000
"""Lines of a table that stay operations of their own; of a longer one, equal lines become one."""

_COMMENT = "#"
_UNNAMED = "gemm"
"""What an operation is called until its sizes are known, in a table without names."""


@dataclass(slots=True)
class _Group:
    """Lines of the same sizes: their operation under the name of the first, and how many there are."""

    op: Product
    lines: int = 0


@dataclass(frozen=True, slots=True)
class Gathered:
    """What a table holds.

    Attributes:
        ops: its operations.
        lines: how many lines they stand for.
        layout: the kind of table; ``None`` of one without column names.
    """

    ops: tuple[Product, ...]
    lines: int
    layout: Layout | None

    @property
    def dtype(self) -> str:
        """The element type that most lines ask for; empty where none does."""
        asked: Counter[str] = Counter()
        for op in self.ops:
            asked[getattr(op, "dtype", "")] += 1
        return max((name for name in asked if name), key=lambda name: asked[name], default="")


def gather(table: Table) -> Gathered:
    """Return the operations of a table, one for each line, or for each size where there are more than ``MOST_LINES``.

    Raises:
        TraceError: naming the line and the column of the first cell that cannot be used.
    """
    lines = iter(table)
    head = next((cells for cells in lines if any(map(str.strip, cells))), None)
    if head is None:
        return Gathered((), 0, None)
    layout, fields = _columns(f"line {table.line}", head)
    groups: dict[tuple[str, ...], _Group] = {}
    each: list[tuple[str, _Group]] = []
    at, total = fields.index("name") if "name" in fields else -1, 0
    for cells in lines:
        name = cells[at].strip() if -1 < at < len(cells) else ""
        key = tuple(cells) if layout.by_name or not name else (*cells[:at], *cells[at + 1 :])
        group = groups.get(key)
        if group is None:
            if not any(map(str.strip, cells)):
                continue
            group = groups[key] = _Group(_op(f"line {table.line}", layout, fields, cells))
        group.lines, total = group.lines + 1, total + 1
        if total <= MOST_LINES:
            each.append((name or group.op.name, group))
    if total <= MOST_LINES:
        return Gathered(tuple(group.op.changed(name=name) for name, group in each), total, layout)
    return Gathered(tuple(_together(groups.values())), total, layout)


def _columns(where: str, head: list[str]) -> tuple[Layout, list[str]]:
    """Return the kind of a table and the field of each of its columns; a comma at the end begins none."""
    names = [column_name(cell) for cell in head]
    while not names[-1]:
        names.pop()
    layout = layout_of(names)
    return layout, layout.fields(where, names)


def _op(where: str, layout: Layout, fields: list[str], cells: list[str]) -> Product:
    """Return the operation of one line; empty cells and a comment behind the last column do not count."""
    cells = [cell.strip() for cell in cells]
    while len(cells) > len(fields) and (not cells[-1] or cells[-1].startswith(_COMMENT)):
        cells.pop()
    if len(cells) != len(fields):
        raise TraceError(where, f"{len(fields)} cells ({', '.join(fields)})", str(len(cells)))
    row = dict(zip(fields, cells, strict=True))
    if "name" in row and not row["name"]:
        raise TraceError(f"{where}: name", "a name", "an empty cell")
    with inside(where, joint=": "):
        op = layout.build(row.get("name", _UNNAMED), row)
    return op if "name" in row else op.changed(name=_sizes(op))


def _sizes(op: Product) -> str:
    """Return the name of a line that has none: its sizes."""
    return f"{op.c}x{op.h}x{op.w}" if isinstance(op, Conv2d) else f"{op.m}x{op.n}x{op.k}"


def _together(groups: Iterable[_Group]) -> Iterator[Product]:
    """Yield one operation for all lines that differ in name or spelling only, with the launches of all of them."""
    lines: dict[Product, int] = {}
    first: dict[Product, str] = {}
    for group in groups:
        sizes = group.op.model_copy(update={"name": ""})
        first.setdefault(sizes, group.op.name)
        lines[sizes] = lines.get(sizes, 0) + group.lines
    for sizes, count in lines.items():
        name = first[sizes] + (f" and {count - 1:,} more" if count > 1 else "")
        yield sizes.changed(name=name, count=sizes.count * count)
