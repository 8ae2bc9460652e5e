"""A sensitivity as a table, and the words that its table and its figure share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.phrases import Phrases
from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.trust import evidence_lines
from stcsim.report.units import NOTHING, percent_text, time_text

if TYPE_CHECKING:
    from stcsim.study.whatif.sensitivity import LeafEffect, Quantity, Sensitivity, Step

_NAMES_SHOWN = 6
_HARDLY_ANOTHER = 0.01


def quantity_names(found: Sensitivity) -> dict[Quantity, str]:
    """Return what each quantity is called that the GPU and the network have."""
    if found.base.speedup is None:
        return {"dense": "dense time"}
    return {"dense": "dense time", "sparse": f"{found.pattern} time", "speedup": f"{found.pattern} speedup"}


def share_text(found: Sensitivity) -> str:
    """Return by how much each leaf was changed: ``"10 %"``."""
    return percent_text(found.share) if found.share < 0.1 else f"{100 * found.share:g} %"


def idle_text(found: Sensitivity) -> str:
    """Return how many leaves move nothing, and the first of them; empty where all move something."""
    if not found.idle:
        return ""
    names = ", ".join(found.idle[:_NAMES_SHOWN]) + (", …" if len(found.idle) > _NAMES_SHOWN else "")
    return f"{len(found.idle)} of {len(found.leaves)} numbers move nothing: {names}"


def odd_steps_text(found: Sensitivity) -> str:
    """Return which steps were of another size, as integers and the ends of ranges have it; empty where there are none."""
    odd = [
        f"{leaf.path} to {step.value:,.6g} ({effect_text(step.value / leaf.value - 1)})"
        for leaf in found.movers
        for step in leaf.steps
        if leaf.value and abs(abs(step.value / leaf.value - 1) - found.share) > _HARDLY_ANOTHER
    ]
    return f"steps of another size, as ranges and integers have it: {', '.join(odd)}" if odd else ""


def sensitivity_table(found: Sensitivity) -> RenderableType:
    """Return a row for each leaf that moves anything, those with most effect first, and a line that counts the others."""
    movers = found.movers
    columns = [
        Column("number of the GPU", tuple(Text(leaf.path) for leaf in movers), elastic="start"),
        Column("value", tuple(Text(value_text(leaf)) for leaf in movers), 2, justify="right"),
    ]
    for quantity, name in quantity_names(found).items():
        for sign in "−+":
            steps = [leaf.less if sign == "−" else leaf.more for leaf in movers]
            cells = tuple(_effect(step, quantity) for step in steps)
            columns.append(Column(f"{name}\n{sign}{share_text(found)}", cells, 1 if quantity == "sparse" else 0, justify="right"))
    notes = [Phrases("", text, 0, "dim") for text in (idle_text(found), odd_steps_text(found), *_refusals(found)) if text]
    evidence = evidence_lines({found.arch: found.trust}) if found.trust else []
    head = Text(f"{found.title} on {found.arch}: {_base_text(found)}; each number ±{share_text(found)}", "bold")
    lacks = [Text(found.partial.sentence, "bold yellow")] if found.partial else []
    return Group(head, *lacks, FittedTable(tuple(columns)), *notes, *evidence)


def value_text(leaf: LeafEffect) -> str:
    """Return the value of a leaf with its unit: ``"40 MiB"``."""
    return f"{leaf.value:,.6g} {leaf.unit}".rstrip()


def effect_text(effect: float) -> str:
    """Return a share with its sign: ``"+3.2 %"``."""
    return "0" if abs(effect) < 5e-4 else f"{100 * effect:+.1f} %".replace("-", "−")


def _base_text(found: Sensitivity) -> str:
    base = found.base
    if base.sparse is None or base.speedup is None:
        return f"dense {time_text(base.dense)}"
    return f"dense {time_text(base.dense)}, {found.pattern} {time_text(base.sparse)} ({base.speedup:.2f}×)"


def _effect(step: Step | None, quantity: Quantity) -> Text:
    effect = None if step is None else step.effects.get(quantity)
    if effect is None:
        return Text(NOTHING, "dim")
    is_gain = effect > 0 if quantity == "speedup" else effect < 0
    text = effect_text(effect)
    return Text(text, "dim" if text == "0" else "green" if is_gain else "red")


def _refusals(found: Sensitivity) -> Sequence[str]:
    """Return which steps were not taken, and why."""
    return [f"not taken: {sentence}" for sentence in found.refused]
