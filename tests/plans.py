"""Small plans for tests: everything costs nothing unless a scene says otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stcsim.timing.plan import PARTS, WHOLE, GemmTiming, TilePlan

OPERAND_TABLES = tuple(
    f"{operand}_{cost}"
    for operand in "ab"
    for cost in ("fill_ticks", "ingress_ticks", "l2_ticks", "dram_ticks", "l2_bytes", "dram_bytes")
)
OUT_TABLES = ("out_smem_ticks", "out_ingress_ticks", "out_l2_ticks", "out_dram_ticks", "out_bytes")

Table = int | Sequence["Table"]
Tile = tuple[int, int, int, int]


def table(value: Table, *shape: int) -> np.ndarray:
    """Return a table of that shape; one number, or one (2, 2) table, stands for all that it leaves open."""
    return np.broadcast_to(np.asarray(value, dtype=np.int64), shape).copy()


def make_plan(tiles: Sequence[Tile] = ((0, 0, 0, 1),), **overrides: Any) -> TilePlan:
    """Return a plan for tiles ``(m_index, n_index, k_start, k_count)``, all whole.

    Unless overridden: one unit, one slot, two stages, ample and cold L2, no edges, all costs 0 but those that must be at
    least 1: prologue 100 (so that tile times read as 100 and something), tensor 10, epilogue 1, L2 latency 1.
    """
    m_index, n_index, k_start, k_count = np.array(tiles, dtype=np.int64).reshape(-1, 4).T.copy()
    k_iters = overrides.pop("k_iters", int((k_start + k_count).max(initial=1)))
    a_period, b_period = overrides.pop("a_period", k_iters), overrides.pop("b_period", k_iters)
    numbers = dict(
        units=1, slots_per_unit=1, stages=2, m_edge=10**6, n_edge=10**6, a_held=0, b_held=0, d_held=0, l2_capacity_bytes=10**6,
        a_chunks=int(m_index.max(initial=0) + 1) * a_period, b_chunks=int(n_index.max(initial=0) + 1) * b_period,
        tensor_ticks=10, warp_ticks=0, smem_read_ticks=0, iteration_ticks=0, prefetch=False, prologue_ticks=100,
        next_prologue_ticks=0, tail_ticks=0, l2_latency_ticks=1, dram_latency_ticks=0,
    )  # fmt: skip
    for operand in "ab":
        overrides.setdefault(f"{operand}_dram_bytes", overrides.get(f"{operand}_l2_bytes", 0))
    tables = {name: table(overrides.pop(name, 0), 2, 2) for name in OPERAND_TABLES}
    tables |= {name: table(overrides.pop(name, 0), 3, 2, 2) for name in OUT_TABLES}
    tables["epilogue_ticks"] = table(overrides.pop("epilogue_ticks", 1), 3)
    tables["kind"] = table(overrides.pop("kind", WHOLE), len(m_index))
    return TilePlan(
        m_index=m_index, n_index=n_index, k_start=k_start, k_count=k_count,
        k_iters=k_iters, a_period=a_period, b_period=b_period, **(numbers | overrides), **tables,
    )  # fmt: skip


def parts(timing: GemmTiming) -> dict[str, int]:
    """Return the parts of the breakdown that are not 0, by name."""
    return {name: ticks for name, ticks in zip(PARTS, timing.part_ticks, strict=True) if ticks}
