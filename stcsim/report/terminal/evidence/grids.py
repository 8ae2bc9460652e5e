"""Evidence from grids of predictions: advice, more hardware, and what is said to help most."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.terminal.columns import FittedTable
from stcsim.report.terminal.evidence.columns import figures, texts

if TYPE_CHECKING:
    from stcsim.study.evidence.advice import Advice
    from stcsim.study.evidence.monotony import Monotony
    from stcsim.study.evidence.reasons import Reason, Reasons


def advice_text(found: Advice, claim_us: float) -> RenderableType:
    """Return what was wrong, and the worst figures; claims less than ``claim_us`` off do not count."""
    lines = (
        f"at most {100 * found.faster:.3f} % faster was another choice than best of both",
        f"at most {100 * found.claim:.1f} % off was a claimed saving that was over {claim_us:g} µs off",
    )
    heading = f"{len(found.misses)} misses in {found.checks:,} checks of {found.networks:,} networks"
    return Group(*(Text(miss, "red") for miss in found.misses), Text(heading, "bold"), *map(Text, lines))


def monotony_table(found: Monotony, gpus: Sequence[str], slower: float) -> RenderableType:
    """Return how often, and by how much at worst, more of each resource was slower by more than ``slower``, relative."""
    rows = found.resources
    columns = (
        texts("more of", (each.resource for each in rows)),
        figures("checks", (f"{each.checks:,}" for each in rows)),
        figures(f"slower by over\n{100 * slower:g} %", (str(each.slower) for each in rows)),
        figures("share", (f"{100 * each.slower / each.checks:.2f} %" for each in rows)),
        figures("worst", (f"{100 * each.worst:+.2f} %" for each in rows)),
        texts("which", (each.which for each in rows), 1),
    )
    heading = f"{found.gemms} GEMMs (seed {found.seed}) and {len(found.networks)} networks on each of {', '.join(gpus)}"
    return Group(Text(heading, "bold"), FittedTable(columns))


def reasons_text(found: Reasons, gpus: Sequence[str]) -> RenderableType:
    """Return wrong reasons, how often the reason was right, and what was named."""
    said = (
        f"the reason is right for {found.right} of {len(found.found)} sides of {found.gemms} GEMMs "
        f"(seed {found.seed}, {', '.join(gpus)})"
    )
    named = "named: " + ", ".join(f"{name} {count}" for name, count in found.named.items())
    return Group(*(_wrong(each) for each in found.found if not each.is_right), Text(said, "bold"), Text(named))


def _wrong(reason: Reason) -> Text:
    saved = ", ".join(f"{name} {100 * share:.2f} %" for name, share in reason.saved.items())
    return Text(f"{reason.what}: {reason.named or 'nothing'}, but {saved}", "red")
