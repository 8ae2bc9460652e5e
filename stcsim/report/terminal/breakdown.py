"""Where the time and the energy of a run go, as bars."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from stcsim.report.units import NOTHING, bar, energy_text, percent, time_text
from stcsim.report.words import ENERGIES, PARTS
from stcsim.result import RunResult
from stcsim.result.parts import times_by_side

_LABEL_COLUMNS = max(map(len, PARTS.values()))
_FIGURE_COLUMNS = 17
_MAX_BAR = 24
_GAP = "  "


@dataclass(frozen=True, slots=True)
class Bars:
    """Amounts by part, as bars on one scale, one column of bars for each side.

    Attributes:
        head: what is shown.
        words: of each part.
        sides: amounts by part of each side.
        text: of an amount, given the largest.
    """

    head: str
    words: Mapping[str, str]
    sides: Mapping[str, Mapping[str, float]]
    text: Callable[[float, float], str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw one bar a part and side."""
        spare = options.max_width - _LABEL_COLUMNS - len(self.sides) * (len(_GAP) + _FIGURE_COLUMNS)
        columns = max(0, min(_MAX_BAR, spare // len(self.sides)))
        head = "".join(f"{_GAP}{side:<{columns + _FIGURE_COLUMNS}}" for side in self.sides)
        yield Text(f"{self.head:<{_LABEL_COLUMNS}}{head}".rstrip(), "dim", no_wrap=True)
        longest = {
            part: max(parts.get(part, 0.0) for parts in self.sides.values()) for each in self.sides.values() for part in each
        }
        most = max(longest.values(), default=0.0) or 1.0
        for part in sorted(longest, key=lambda part: -longest[part]):
            yield self._line(part, columns, most)

    def _line(self, part: str, columns: int, most: float) -> Text:
        line = Text(f"{self.words.get(part, part):<{_LABEL_COLUMNS}}", no_wrap=True)
        for parts in self.sides.values():
            amount = parts.get(part, 0.0)
            share = amount / (sum(parts.values()) or 1.0)
            line.append(_GAP + bar(amount / most, columns), "cyan")
            figures = f"{self.text(amount, most):>10} {percent(share):>5} " if amount else f"{NOTHING:>10}"
            line.append(f"{figures:<{_FIGURE_COLUMNS}}")
        line.rstrip()
        return line


def time_bars(result: RunResult) -> Bars:
    """Return where the time of a run goes, all launches."""
    return Bars("time goes to", PARTS, times_by_side(result), time_text)


def energy_bars(result: RunResult) -> Bars:
    """Return where the energy of a run goes, all launches."""
    totals = result.totals
    sides = {"dense": totals.dense_energy_parts_uj, result.pattern: totals.sparse_energy_parts_uj}
    if len(result.rows) > 1 and totals.dense_us is not None and totals.sparse_us is not None:
        sides = {"dense": totals.dense_energy_parts_uj, "best of both": totals.best_energy_parts_uj}
    shown = {side: parts for side, parts in sides.items() if parts is not None}
    return Bars("energy goes to", ENERGIES, shown, lambda uj, _: energy_text(uj))
