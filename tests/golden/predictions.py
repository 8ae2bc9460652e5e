"""Keeps predictions as they are: `python -m tests.golden.predictions` writes them anew, and the diff shows what changed.

A change here is no error; an unannounced one is. Say in the CHANGELOG why the numbers moved.
"""

from __future__ import annotations

import json
from pathlib import Path

import stcsim

FILE = Path(__file__).with_name("predictions.json")
GEMMS = ((4096, 4096, 4096), (1024, 64, 4096), (11008, 16, 4096), (512, 49, 4608), (100, 100, 100))
CASES = (("a100", "fp16"), ("a100", "int8"), ("h100", "bf16"), ("h100", "fp8"), ("a40", "fp16"), ("t4", "int8"))
NETWORKS = (("resnet34", "a100", "fp16"), ("resnet34", "a40", "int8"), ("bert-base", "h100", "fp16"))


def predictions() -> dict[str, list[object]]:
    """Return kernel, cycles and DRAM bytes of single GEMMs, and totals of networks, by what was asked."""
    found: dict[str, list[object]] = {}
    for name, dtype in CASES:
        arch = stcsim.load_arch(name)
        for m, n, k in GEMMS:
            row = stcsim.gemm(m, n, k, arch, dtype=dtype).rows[0]
            for mode, side in (("dense", row.dense), ("2:4", row.sparse)):
                if side:
                    found[f"{name} {dtype} {m}x{n}x{k} {mode}"] = [side.kernel, side.cycles, side.bytes["dram_read"]]
    for network, name, dtype in NETWORKS:
        totals = stcsim.run(stcsim.load_trace(network), stcsim.load_arch(name), dtype=dtype).totals
        found[f"{network} {name} {dtype}"] = [round(totals.dense_us or 0, 3), round(totals.best_us, 3)]
    return found


if __name__ == "__main__":
    lines = (f"{json.dumps(key)}: {json.dumps(value)}" for key, value in predictions().items())
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
