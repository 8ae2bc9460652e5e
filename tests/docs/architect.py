"""The worked studies of ``docs/studies.md`` that take minutes: kept with the case studies, and shown as tables."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from tests.docs.markdown import table
from tests.docs.pages import FIGURES
from tests.docs.workshop import Workshop

FIVE = "five.yaml"
"""A study that a page defines."""
KNOBS = "tensor,smem,l2,l2-size,dram,sm,clock,power,launch"
_NETWORKS, _GPUS = ("bert-large", "resnet50"), ("a100", "h100")
_SIDES = {"dense": "dense_us", "2:4": "sparse_us"}
_AS_IS, _MORE = "x1", "x1.5"
_SHOWN = 3
"""Changes that the table has of each network and GPU: those that come nearest."""

Document = dict[str, Any]


def worked(workshop: Workshop, folder: Path) -> Document:
    """Run both studies, some five minutes, and draw the first one's figure.

    Args:
        workshop: where commands run.
        folder: of the workshop.
    """
    return {"five": _five(workshop, folder), "nearest": [*_nearest(workshop, folder)]}


def _five(workshop: Workshop, folder: Path) -> list[Document]:
    workshop.printed_by(f"stcsim study run {FIVE} --workers 2")
    workshop.printed_by(f"stcsim study export {FIVE} --csv five.csv")
    plot = f"stcsim study plot {FIVE} --x sm.count --y l2.bandwidth_bytes_per_clk --value sparse_speedup --figure study-five.png"
    workshop.printed_by(plot)
    shutil.copyfile(folder / "study-five.png", FIGURES / "study-five.png")
    with (folder / "five.csv").open(encoding="utf-8", newline="") as lines:
        return [
            {
                "network": row["trace"],
                "sms": row["given.sm.count"],
                "l2": row["given.l2.bandwidth_bytes_per_clk"],
                **{column: float(row[column]) for column in _SIDES.values()},
            }
            for row in csv.DictReader(lines)
        ]


def _nearest(workshop: Workshop, folder: Path) -> Iterator[Document]:
    for network, gpu in product(_NETWORKS, _GPUS):
        question = f"{network} --arch {gpu} --batch 32 --target 'sparse_speedup >= 2' --vary {KNOBS} --alone"
        workshop.printed_by(f"stcsim whatif {question} --json nearest.json")
        found = json.loads((folder / "nearest.json").read_text(encoding="utf-8"))
        answers = [
            {"of": each["varied"][0], "factors": [change["factor"] for change in each["changes"]], "figure": each["figure"]}
            for each in found["answers"]
        ]
        best = sorted(answers, key=lambda each: -each["figure"])[:_SHOWN]
        yield {"network": network, "gpu": found["gpu"], "figure": found["figure"], "best": best}


def five_table(document: Document) -> str:
    """Return what half as much again of SMs, of L2 bandwidth and of both brings each network, dense and 2:4."""
    cells = {(row["network"], row["sms"], row["l2"]): row for row in document["five"]}
    lines = []
    for network, (side, column) in product(dict.fromkeys(row["network"] for row in document["five"]), _SIDES.items()):
        before = cells[network, _AS_IS, _AS_IS][column]
        changed = ((_MORE, _AS_IS), (_AS_IS, _MORE), (_MORE, _MORE))
        gains = [f"{before / cells[network, sms, l2][column]:.2f}×" for sms, l2 in changed]
        lines.append((network, side, f"{before:,.0f}", *gains))
    return table(("network", "side", "as it is, µs", "SMs × 1.5", "L2 bandwidth × 1.5", "both"), lines)


def nearest_table(document: Document) -> str:
    """Return the single changes that bring 2:4 nearest to twice as fast, within four times of each number."""
    lines = []
    for case in document["nearest"]:
        best = [f"{each['of']} {_factor(each['factors'])}: {each['figure']:.2f}×" for each in case["best"]]
        lines.append((case["network"], case["gpu"], f"{case['figure']:.2f}×", *best))
    return table(("network", "GPU", "2:4 as it is", "nearest", "second", "third"), lines)


def _factor(factors: list[float]) -> str:
    return f"× {factors[0]:.2f}" if factors else "unchanged"
