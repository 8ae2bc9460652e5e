"""The pruning list: which layers to prune, by groups of alike ones, what each brings, and the names one a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from stcsim.report.phrases import broken
from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.units import bytes_text, percent, time_decimals
from stcsim.result import PruneGroup, RunResult

_GAP = "  "
_EXPLAINED = (
    "loses: what the network would lose, clock included, if this group alone went back to dense; "
    "so far: what is saved with it and all above; each line ends in what --keep-dense takes"
)


@dataclass(frozen=True, slots=True)
class PruneTable:
    """The groups that are 2:4 in the best-of-both network, those first without which it loses most.

    Patterns are never cut: one that finds no room beside its figures stands on lines of its own.
    """

    result: RunResult

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw one line for each group."""
        groups = self._groups()
        yield self.heading()
        columns, left_out = self._columns(groups), ""
        if sum(map(_width, columns)) + len(_GAP) * (len(columns) - 1) > options.max_width:
            left_out = f"; no room for {columns.pop()[0].strip()}"
        widths = list(map(_width, columns))
        indent = sum(widths) + len(_GAP) * len(widths)
        rows = zip(*columns, strict=True)
        lines = (_GAP.join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows)
        yield Text(f"{next(lines)}{_GAP}layers", "dim")
        for line, group in zip(lines, groups, strict=True):
            yield from self._named(line, group, indent, options.max_width)
        yield from (Text(line, "dim") for line in broken(_EXPLAINED + left_out, options.max_width))

    def heading(self) -> Text:
        """Return how many layers are pruned, and what that saves."""
        count = sum(group.pruned for group in self._groups())
        return Text(f"prune {f'these {count} layers' if count > 1 else 'this layer'}: {_in_all(self.result)}", "bold")

    def table(self) -> FittedTable:
        """Return the groups with all columns, patterns last."""
        groups = self._groups()
        columns = [Column(header, tuple(map(Text, cells)), justify="right") for header, *cells in self._columns(groups)]
        patterns = Column("layers", tuple(Text(" ".join(group.patterns)) for group in groups))
        return FittedTable((*columns, patterns), foot=_EXPLAINED)

    def _groups(self) -> list[PruneGroup]:
        return [group for group in self.result.groups if group.pruned]

    @staticmethod
    def _named(line: str, group: PruneGroup, indent: int, width: int) -> Iterator[Text]:
        patterns = list(group.patterns)
        if cell_len(line + _GAP + patterns[0]) <= width:
            line += _GAP + patterns.pop(0)
        else:
            indent = 3
        yield Text(line)
        for pattern in patterns:
            yield Text(" " * (indent if indent + cell_len(pattern) <= width else 3) + pattern, overflow="fold")

    @staticmethod
    def _columns(groups: Sequence[PruneGroup]) -> list[list[str]]:
        saved_us = max(group.running_us for group in groups)
        decimals = time_decimals(saved_us)
        return [
            ["", *(str(at) for at in range(1, len(groups) + 1))],
            ["n", *map(_count, groups)],
            ["loses µs", *(f"{group.saved_us:,.{decimals}f}" for group in groups)],
            ["so far µs", *(f"{group.running_us:,.{decimals}f}" for group in groups)],
            ["%", *(_share(group.running_us, saved_us) for group in groups)],
            ["weights", *map(_weights, groups)],
        ]


def prune_names(result: RunResult) -> list[str]:
    """Return the names of the layers that are 2:4 in the best-of-both network, in the order of the list."""
    pruned = {row.name for row in result.rows if row.is_pruned}
    return [name for group in result.groups for name in group.layers if name in pruned]


def _in_all(result: RunResult) -> str:
    totals = result.totals
    assert totals.dense_us is not None
    saved_us = totals.dense_us - totals.best_us
    return f"{saved_us:,.{time_decimals(saved_us)}f} of {totals.dense_us:,.{time_decimals(totals.dense_us)}f} µs saved"


def _count(group: PruneGroup) -> str:
    return str(group.pruned) if group.pruned == len(group.layers) else f"{group.pruned} of {len(group.layers)}"


def _share(running_us: float, saved_us: float) -> str:
    return percent(running_us / saved_us).removesuffix(" %") if saved_us > 0 else "0"


def _weights(group: PruneGroup) -> str:
    return bytes_text(group.weight_bytes, group.compressed_bytes) if group.weight_bytes else "shared"


def _width(cells: Sequence[str]) -> int:
    return max(map(cell_len, cells))
