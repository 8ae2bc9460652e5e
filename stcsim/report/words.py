"""Words for what a result holds as keys: parts of a time, resources, parts of an energy, what a kernel finds in L2."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from stcsim.result.parts import MEMORY

#: The keys of a breakdown.
PARTS = {
    "launch": "launch gaps",
    "tensor": "tensor pipe",
    "smem": "smem port",
    "issue": "issue, barriers",
    "ingress": "ingress to SM",
    "l2": "L2",
    "dram": "DRAM",
    "latency": "latency",
    "prologue": "prologue",
    "epilogue": "epilogue",
    "reduction": "reduction",
    "tail": "tail (idle SMs)",
    MEMORY: "memory steps",
}

#: The resources of which more may help.
RESOURCES = {
    "tensor": "tensor rate",
    "smem": "smem port",
    "ingress": "ingress to SM",
    "l2": "L2 bandwidth",
    "dram": "DRAM bandwidth",
    "latency": "latency",
    "launch": "launch",
    "power": "power limit",
}

#: The parts of an energy.
ENERGIES = {"mac": "MACs", "smem": "shared memory", "l2": "L2", "dram": "DRAM", "idle": "idle power"}

_IN_L2 = {"": "–", "a": "weights", "b": "input", "ab": "weights, input"}


def in_l2_text(found: Sequence[str]) -> str:
    """Return what kernels find in L2, each of ``found`` as ``LayerRow.in_l2``; the most frequent where they differ."""
    (most, count), *others = Counter(found).most_common()
    return _IN_L2[most] + (f" ({count} of {len(found)})" if others else "")
