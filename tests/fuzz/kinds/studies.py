"""Studies (YAML): sound ones damaged as trees and as texts, or changed gently; they are read, and some cells looked at."""

from __future__ import annotations

import copy
import random
from itertools import islice
from typing import Any

from tests.fuzz import damage
from tests.fuzz.case import Case

_SOUND = (
    """
title: sound
arch: [a100, t4]
marks: h100
trace: [bert-base, resnet34]
batch: [1, 8]
axes:
  sm.count: [x1, +8, -8, 80..160:40]
  l2.bandwidth_bytes_per_clk: [x1, x1.5]
constraints: [power.board_limit_w <= 400, fits]
objectives: [max speedup, min best_uj]
""",
    """
arch: l40s
gemm: {m: 64..512, n: 64, k: [256, 1024]}
dtype: [fp16, int8]
library: [cusparselt, none]
pattern: [2:4, 1:4]
variants:
  as it is: {}
  large L2: {l2.capacity_mib: 80, l2.shared_fraction: 1}
""",
)
_WORDS = (
    *(
        "x2",
        "x0",
        "×1.5",
        "+8",
        "-1",
        "x",
        "+",
        "1..64",
        "8..4",
        "1:4",
        "3:4",
        "a100",
        "4096x4096xk",
        "fp8",
        "fits",
        "max",
        "none",
    ),
    *("sm.count", "l2.capacity_mib", "tensor_core.sparse_kept", "speedup <= 2", "min best_us", "sustained", "null", "..", ""),
)
_NUMBERS = (0, 1, -8, 8, 0.5, 1e-9, 2**31, 2**70, 1e300, True, None)
_LOOKED_AT = 20
"""Cells of each study whose rows are made."""


def setup() -> dict[str, Any]:
    """Read the sound studies."""
    from stcsim.yaml_text import read_yaml

    return {"texts": _SOUND, "trees": [read_yaml(text, "sound", as_written=True) for text in _SOUND]}


def _gentle(rng: random.Random, tree: Any) -> Any:
    """Exchange leaves for others that some leaf may have."""
    made = copy.deepcopy(tree)
    for _ in range(rng.randint(1, 4)):
        node, key = rng.choice([(node, key) for node, key in damage.places(made) if not isinstance(node[key], dict | list)])
        node[key] = rng.choice(_WORDS) if rng.random() < 0.7 else rng.choice(_NUMBERS)
    return made


def make(state: dict[str, Any], rng: random.Random, index: int) -> Case:
    """Damage a study, read it and look at some of its cells."""
    import yaml

    which = rng.randrange(len(state["texts"]))
    part = rng.choices(("as it is", "gentle", "tree", "text"), (5, 45, 30, 20))[0]
    if part == "text":
        data = damage.text(rng, state["texts"][which])
    else:
        made = {"tree": damage.tree, "gentle": _gentle, "as it is": lambda _, same: same}[part](rng, state["trees"][which])
        try:
            data = yaml.safe_dump(made, sort_keys=False, allow_unicode=rng.random() < 0.5).encode("utf-8", "surrogatepass")
        except (yaml.YAMLError, RecursionError, ValueError):
            data = b"{}"

    def call() -> Any:
        from stcsim.study.sweeps.grid import Grid
        from stcsim.study.sweeps.reading import load_study
        from stcsim.study.sweeps.rows import rows_of

        grid = Grid(load_study("./s.yaml"))
        return len(grid), list(islice(grid, _LOOKED_AT)), list(islice(rows_of(grid, None), _LOOKED_AT))

    def check(found: Any) -> list[str]:
        count, cells, rows = found
        wrong = [] if len(rows) == len(cells) <= count else ["another number of rows than of cells | "]
        if {row["state"] for row in rows} - {"waiting", "error"}:
            wrong.append("a cell that nobody ran is done | ")
        return wrong

    return Case(part, f"study {which}, {damage.shown(data, 1500)}", call, check, {"s.yaml": data})
