"""Lists of layers for ``--pruned-as``: names, patterns, numbers and nonsense, and texts damaged."""

from __future__ import annotations

import random
from typing import Any

from tests.fuzz import damage, laws
from tests.fuzz.case import Case

_ENTRIES = (
    "*", "first", "last", "1-3", "0", "99", "3-1", "1-99999999999999999999", "*.conv*", "[", "[!a]*",
    "# only a comment", "a # b", "",
    "  ", "-", "--", ",", ",,", "1,2,first", "²", "٣", "١-٣", "FIRST", "\ufeff1", "9" * 5000 + "-" + "9" * 5000,
)  # fmt: skip


def setup() -> dict[str, Any]:
    """Take a network and a GPU."""
    import stcsim

    trace = stcsim.load_trace("resnet34")
    return {"trace": trace, "names": [op.name for op in trace.ops], "arch": stcsim.load_arch("a100")}


def make(state: dict[str, Any], rng: random.Random, index: int) -> Case:
    """Write a list, and match its lines with layers."""
    lines = [
        rng.choice((rng.choice(state["names"]), rng.choice(_ENTRIES), rng.choice(damage.TEXTS))) for _ in range(rng.randint(0, 6))
    ]
    text = rng.choice(("\n", "\n", "\r\n", "\r", "\u2028")).join(lines)
    part = rng.choices(("lines", "text"), (7, 3))[0]
    data = text.encode("utf-8", "surrogatepass") if part == "lines" else damage.text(rng, text)
    name = rng.choice(("l.txt", "l.txt", "l", "ü [b].list"))
    runs = rng.random() < 0.02

    def call() -> Any:
        import stcsim
        from stcsim.inspection import match_pruned

        match = match_pruned(state["trace"], name)
        return match, stcsim.run(state["trace"], state["arch"], pruned_as=match.pruned) if runs else None

    def check(found: Any) -> list[str]:
        match, result = found
        known = {op.name for op in state["trace"].ops if op.weight_elements}
        wrong = [] if {*match.pruned, *match.dense} == known else ["layers that are neither pruned nor dense | "]
        if set(match.pruned) & set(match.dense):
            wrong.append("layers that are both pruned and dense | ")
        return wrong + (laws.of_result(result, state["arch"]) if result else [])

    return Case(part, f"{name} {damage.shown(data, 1500)}", call, check, {name: data})
