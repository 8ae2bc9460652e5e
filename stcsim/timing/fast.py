"""The fast engine: flattens a plan and runs the compiled event loop of ``kernels_fast`` over it.

Twin of ``timing.reference.simulate``; must agree exactly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stcsim.errors import UnsupportedError
from stcsim.timing import kernels_fast
from stcsim.timing.kernels_fast import (
    A_DRAM_TICKS,
    EPILOGUE_TICKS,
    FILL_TICKS,
    INGRESS_TICKS,
    L2_TICKS,
    MAX_TICK,
    NEVER,
    SLOT_BITS,
    STAMP,
    TABLES,
    Constants,
    run_events,
)
from stcsim.timing.plan import ISSUE, PARTS, REDUCTION, TICKS_PER_CYCLE, GemmTiming, IntArray, TilePlan


def simulate(plan: TilePlan) -> GemmTiming:
    """Run ``plan`` and return its timing. Twin of ``timing.reference.simulate``; must agree exactly.

    Raises:
        UnsupportedError: when the plan runs for 2**44 ticks or more, or has 2**18 slots or more.
    """
    if plan.slots >= 1 << SLOT_BITS:
        raise UnsupportedError("simulation", f"fewer than {1 << SLOT_BITS} resident CTAs", str(plan.slots))
    counters, parts = np.zeros(kernels_fast.COUNTERS, np.int64), np.zeros(len(PARTS), np.int64)
    tiles = np.stack([plan.m_index, plan.n_index, plan.k_start, plan.k_count, plan.kind])
    if not run_events(_constants(plan), _tables(plan), tiles, _chunks(plan), counters, parts):
        raise UnsupportedError("simulation", f"a kernel of fewer than {MAX_TICK // TICKS_PER_CYCLE} cycles", "a longer one")
    return _timing(plan, counters, parts)


def is_compiled() -> bool:
    """Return whether the kernels' machine code is already on disk (else the first call compiles, for seconds)."""
    if not hasattr(run_events, "stats"):  # NUMBA_DISABLE_JIT: nothing to compile
        return True
    folder, source = Path(run_events.stats.cache_path), Path(kernels_fast.__file__)
    return any(index.stat().st_mtime >= source.stat().st_mtime for index in folder.glob(f"{source.stem}.run_events-*.nbi"))


def warm_up() -> None:
    """Compile the kernels, or load them from disk, by running a plan without tiles."""
    counters, parts = np.zeros(kernels_fast.COUNTERS, np.int64), np.zeros(len(PARTS), np.int64)
    tables, tiles, chunks = (np.zeros(shape, np.int64) for shape in (TABLES, (5, 0), (2, 0)))
    run_events(Constants(*(1 for _ in Constants._fields)), tables, tiles, chunks, counters, parts)


def _timing(plan: TilePlan, counters: IntArray, parts: IntArray) -> GemmTiming:
    """Add what the loop leaves out because it is the same for every iteration or slot."""
    iterations = plan.tile_iterations
    parts[ISSUE] += iterations * plan.iteration_ticks
    parts[REDUCTION] += plan.slots * plan.tail_ticks
    return GemmTiming(
        total_ticks=int(counters[kernels_fast.LAST_END]) + plan.tail_ticks,
        part_ticks=tuple(int(part) for part in parts),
        tensor_busy_ticks=iterations * plan.tensor_ticks,
        smem_busy_ticks=int(counters[kernels_fast.SMEM_BUSY]) + iterations * plan.smem_read_ticks,
        ingress_busy_ticks=int(counters[kernels_fast.INGRESS_BUSY]),
        l2_busy_ticks=int(counters[kernels_fast.L2_BUSY]),
        dram_busy_ticks=int(counters[kernels_fast.DRAM_BUSY]),
        l2_read_bytes=int(counters[kernels_fast.L2_READ]),
        dram_read_bytes=int(counters[kernels_fast.DRAM_READ]),
        write_bytes=int(plan.out_bytes[plan.out_classes].sum()),
    )


def _constants(plan: TilePlan) -> Constants:
    return Constants(*(int(getattr(plan, name)) for name in Constants._fields))


def _tables(plan: TilePlan) -> IntArray:
    """Return the plan's tables flat, one a row, with A's and B's shares of a booking added up for every pair of classes."""
    tables = np.zeros(TABLES, np.int64)
    for server, row in (("fill", FILL_TICKS), ("ingress", INGRESS_TICKS), ("l2", L2_TICKS)):
        a, b = getattr(plan, f"a_{server}_ticks"), getattr(plan, f"b_{server}_ticks")
        tables[row, :8] = (a[:, None, :] + b[None, :, :]).reshape(8)
    loads = [getattr(plan, f"{operand}_{cost}") for cost in ("dram_ticks", "l2_bytes", "dram_bytes") for operand in "ab"]
    out = [plan.out_smem_ticks, plan.out_ingress_ticks, plan.out_l2_ticks, plan.out_dram_ticks, plan.out_bytes]
    for row, table in enumerate(loads + out, start=A_DRAM_TICKS):
        tables[row, : table.size] = table.reshape(-1)
    tables[EPILOGUE_TICKS, :12] = np.repeat(plan.epilogue_ticks, 4)
    return tables


def _chunks(plan: TilePlan) -> IntArray:
    """Return the L2 before the first load: warm operands were just touched, the others never."""
    chunks = np.zeros((2, plan.a_chunks + plan.b_chunks), np.int64)
    chunks[STAMP, : plan.a_chunks] = 0 if plan.a_warm else NEVER
    chunks[STAMP, plan.a_chunks :] = 0 if plan.b_warm else NEVER
    return chunks
