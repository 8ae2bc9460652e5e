"""What a GPU could have more of: eight resources, each the leaves of the arch file that stand for it."""

from __future__ import annotations

from functools import reduce
from typing import Any

from stcsim.arch import Arch

MORE = ("tensor", "smem", "ingress", "l2", "dram", "latency", "launch", "power")
"""Names of the resources: tensor rate, shared-memory port, ingress to the SM, L2 and DRAM bandwidth, latency of L2 and DRAM,
launch overhead, power limit of the board."""

_GROWS: dict[str, tuple[str, ...]] = {
    "tensor": ("tensor_core.issue_efficiency",),  # stands for the rates of all types
    "smem": ("shared_memory.bandwidth_bytes_per_clk",),
    "ingress": ("l2.port_bytes_per_clk_per_sm",),
    "l2": ("l2.bandwidth_bytes_per_clk",),
    "dram": ("dram.bandwidth_gb_per_s",),
    "power": ("power.board_limit_w",),
}
_SHRINKS: dict[str, tuple[str, ...]] = {
    "latency": (
        "l2.near_latency_cycles",
        "l2.far_latency_cycles",
        "dram.latency_cycles",
        "kernel.load_latency_cycles",
    ),
    "launch": ("launch.graph_us", "launch.stream_us", "launch.early_us"),
}


def with_more(arch: Arch, resource: str, factor: float) -> Arch:
    """Return ``arch`` with ``factor`` times as much of a resource: so much higher a rate or limit, so much shorter a wait."""
    for path in _GROWS.get(resource, ()):
        arch = _changed(arch, path, factor)
    for path in _SHRINKS.get(resource, ()):
        arch = _changed(arch, path, 1 / factor)
    return arch


def _changed(arch: Arch, path: str, factor: float) -> Arch:
    """Return ``arch`` with one leaf times ``factor``, beyond what a file may say if need be (an efficiency above 1)."""
    *branches, leaf = path.split(".")
    tree: list[Any] = [reduce(getattr, branches[:depth], arch) for depth in range(len(branches) + 1)]
    value = getattr(tree[-1], leaf)
    changed = tree[-1].model_copy(update={leaf: None if value is None else value * factor})
    for parent, name in zip(reversed(tree[:-1]), reversed(branches), strict=True):
        changed = parent.model_copy(update={name: changed})
    result: Arch = changed
    return result
