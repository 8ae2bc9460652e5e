"""The list of evidence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from stcsim.study.evidence.index import Evidence

_ELSEWHERE = (
    "Times are of one core; --jobs shares them out. Beside these, `stcsim validate` holds the model against measured GEMMs, "
    "`stcsim reproduce` against published case studies, and `stcsim check` the datapath against PyTorch."
)
_MINUTE_S = 60
_LONG_S = 100  # from here on seconds say too much


def evidence_list(evidence: Sequence[Evidence]) -> RenderableType:
    """Return each name with the question it answers, what it needs, and how long it takes."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for each in evidence:
        table.add_row(Text(each.name, "bold"), Text.assemble(each.question, "\n", (_terms(each), "dim")))
    return Group(table, Text(_ELSEWHERE, "dim"))


def _terms(each: Evidence) -> str:
    takes = f"takes {_time(each.takes_s)}" + (f", {_time(each.quick_s)} with --quick" if each.quick_s else "")
    return f"needs {each.needs}; {takes}" if each.needs else takes


def _time(seconds: int) -> str:
    return f"{seconds} s" if seconds < _LONG_S else f"{round(seconds / _MINUTE_S)} min"
