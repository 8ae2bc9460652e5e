"""Keeps predictions as they are: ``python -m tests.golden.predictions`` writes them anew, and the diff shows what changed.

A change here is no error; an unannounced one is. Say in the CHANGELOG why the numbers moved. Each case says what it guards. They
were chosen among more so that every family of kernels and both sides are there, and that each mechanism of the timing model that
moved any case (``stcsim evidence ablation`` lists them) moves one of these.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import stcsim

FILE = Path(__file__).with_name("predictions.json")

Figures = list[str | float]


@dataclass(frozen=True)
class Case:
    """What is asked, ``GPU type MxNxK side`` or ``network GPU type``, what it guards, and the answer.

    Attributes:
        prediction: kernel, cycles and DRAM bytes read of a GEMM; microseconds of a network, dense and best of both.
    """

    case: str
    guards: str
    prediction: Figures


def stored() -> list[Case]:
    return [Case(**each) for each in json.loads(FILE.read_text(encoding="utf-8"))]


def predicted(case: str) -> Figures:
    words = case.split()
    if len(words) == 3:
        network, gpu, dtype = words
        totals = stcsim.run(stcsim.load_trace(network), stcsim.load_arch(gpu), dtype=dtype).totals
        return [round(totals.dense_us or 0, 3), round(totals.best_us, 3)]
    gpu, dtype, shape, side = words
    m, n, k = map(int, shape.split("x"))
    row = stcsim.gemm(m, n, k, stcsim.load_arch(gpu), dtype=dtype).rows[0]
    kernel = row.sparse if side == "2:4" else row.dense
    assert kernel is not None
    return [kernel.kernel, kernel.cycles, kernel.bytes["dram_read"]]


if __name__ == "__main__":
    now = [replace(each, prediction=predicted(each.case)) for each in stored()]
    FILE.write_text("[\n" + ",\n".join(json.dumps(asdict(each)) for each in now) + "\n]\n", encoding="utf-8")
