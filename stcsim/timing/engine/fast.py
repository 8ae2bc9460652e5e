"""The fast engine: flattens a plan and runs the compiled rounds of ``kernels_fast`` over it.

Twin of ``timing.engine.reference.simulate``; must agree exactly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stcsim.errors import UnsupportedError
from stcsim.timing.engine import kernels_fast
from stcsim.timing.engine.kernels_fast import (
    A_DRAM_TICKS,
    EPILOGUE_TICKS,
    FILL_TICKS,
    GIVEN_UP,
    GPU_COLUMNS,
    INGRESS_TICKS,
    L2_TICKS,
    MAX_TICK,
    NEVER,
    SLOT_COLUMNS,
    STAMP,
    TABLES,
    TOO_LONG,
    UNIT_COLUMNS,
    Constants,
    run_rounds,
)
from stcsim.timing.plan import ISSUE, PARTS, REDUCTION, TICKS_PER_CYCLE, GemmTiming, IntArray, TilePlan, are_held


def simulate(plan: TilePlan) -> GemmTiming:
    """Run ``plan`` and return its timing. Twin of ``timing.engine.reference.simulate``; must agree exactly.

    Raises:
        UnsupportedError: when the plan runs for 2**56 ticks or more.
    """
    timing = simulate_until(plan, MAX_TICK)
    assert timing is not None
    return timing


def simulate_until(plan: TilePlan, give_up_ticks: int) -> GemmTiming | None:
    """Return the timing of ``plan``, or ``None`` as soon as it is certain to take longer than ``give_up_ticks``.

    It may be returned although it takes longer. Raises as :func:`simulate`.
    """
    gpu, parts = np.zeros(GPU_COLUMNS, np.int64), np.zeros(len(PARTS), np.int64)
    tiles = np.stack([plan.m_index, plan.n_index, plan.k_start, plan.k_count, plan.kind])
    constants = _constants(plan, give_up_ticks - plan.tail_ticks)
    ended = run_rounds(constants, _tables(plan), tiles, _chunks(plan), *_workplace(plan), gpu, parts)
    if ended == TOO_LONG:
        raise UnsupportedError("simulation", f"a kernel of fewer than {MAX_TICK // TICKS_PER_CYCLE} cycles", "a longer one")
    return None if ended == GIVEN_UP else _timing(plan, gpu, parts)


def is_compiled() -> bool:
    """Return whether the kernels' machine code is already on disk (else the first call compiles, for seconds)."""
    if not hasattr(run_rounds, "stats"):  # NUMBA_DISABLE_JIT: nothing to compile
        return True
    folder, source = Path(run_rounds.stats.cache_path), Path(kernels_fast.__file__)
    return any(index.stat().st_mtime >= source.stat().st_mtime for index in folder.glob(f"{source.stem}.run_rounds-*.nbi"))


def warm_up() -> None:
    """Compile the kernels, or load them from disk, by running a plan without tiles."""
    gpu, parts = np.zeros(GPU_COLUMNS, np.int64), np.zeros(len(PARTS), np.int64)
    tables, tiles, chunks, order = (np.zeros(shape, np.int64) for shape in (TABLES, (5, 0), (0, 2), (1,)))
    slots, rings, units = (np.zeros(shape, np.int64) for shape in ((1, SLOT_COLUMNS), (1, 1), (1, UNIT_COLUMNS)))
    run_rounds(Constants(*(1 for _ in Constants._fields)), tables, tiles, chunks, order, slots, rings, units, gpu, parts)


def _timing(plan: TilePlan, gpu: IntArray, parts: IntArray) -> GemmTiming:
    """Add what the loop leaves out because it is the same for every iteration or slot."""
    iterations, counts = plan.tile_iterations, plan.out_counts
    parts[ISSUE] += iterations * plan.iteration_ticks
    parts[REDUCTION] += plan.slots * plan.tail_ticks
    return GemmTiming(
        total_ticks=int(gpu[kernels_fast.LAST_END]) + plan.tail_ticks,
        part_ticks=tuple(parts.tolist()),
        tensor_busy_ticks=iterations * plan.tensor_ticks,
        smem_busy_ticks=plan.of_loads("fill_ticks")
        + iterations * plan.smem_read_ticks
        + int((counts * plan.out_smem_ticks).sum()),
        ingress_busy_ticks=plan.of_loads("ingress_ticks") + int((counts * plan.out_ingress_ticks).sum()),
        l2_busy_ticks=plan.of_loads("l2_ticks") + int((counts * plan.out_l2_ticks).sum()),
        dram_busy_ticks=int(gpu[kernels_fast.DRAM_BUSY]),
        l2_read_bytes=plan.of_loads("l2_bytes"),
        dram_read_bytes=int(gpu[kernels_fast.DRAM_READ]),
        write_bytes=plan.write_bytes,
    )


def _constants(plan: TilePlan, give_up_ticks: int) -> Constants:
    step = max(plan.tensor_ticks, plan.warp_ticks, plan.smem_read_ticks) + plan.iteration_ticks
    shortest, longest = int(plan.k_count.min(initial=0)), int(plan.k_count.max(initial=0))
    known = [int(getattr(plan, name)) for name in Constants._fields[:-3]]
    implied = step, step * shortest if shortest == longest else 0, give_up_ticks
    return Constants._make((*known, *implied))


def _tables(plan: TilePlan) -> IntArray:
    """Return the plan's tables flat, one a row, with A's and B's shares of a booking added up for every pair of classes."""
    tables = np.zeros(TABLES, np.int64)
    for server, row in (("fill", FILL_TICKS), ("ingress", INGRESS_TICKS), ("l2", L2_TICKS)):
        a, b = getattr(plan, f"a_{server}_ticks"), getattr(plan, f"b_{server}_ticks")
        tables[row, :8] = (a[:, None, :] + b[None, :, :]).reshape(8)
    loads = [getattr(plan, f"{operand}_{cost}") for cost in ("dram_ticks", "dram_bytes") for operand in "ab"]
    out = [plan.out_smem_ticks, plan.out_ingress_ticks, plan.out_l2_ticks, plan.out_dram_ticks, plan.out_bytes]
    for row, table in enumerate(loads + out, start=A_DRAM_TICKS):
        tables[row, : table.size] = table.reshape(-1)
    tables[EPILOGUE_TICKS, :12] = np.repeat(plan.epilogue_ticks, 4)
    return tables


def _chunks(plan: TilePlan) -> IntArray:
    """Return the L2 before the first load: warm operands were just touched, the others never."""
    chunks = np.zeros((plan.a_chunks + plan.b_chunks, 2), np.int64)
    chunks[: plan.a_chunks, STAMP] = np.where(are_held(plan.a_chunks, plan.a_held), 0, NEVER)
    chunks[plan.a_chunks :, STAMP] = np.where(are_held(plan.b_chunks, plan.b_held), 0, NEVER)
    return chunks


def _workplace(plan: TilePlan) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Return what the rounds write on: the order of slots, the slots, their loads under way, the units' servers."""
    shapes = (plan.slots,), (plan.slots, SLOT_COLUMNS), (plan.slots, max(plan.stages - 1, 1)), (plan.units, UNIT_COLUMNS)
    order, slots, rings, units = (np.zeros(shape, np.int64) for shape in shapes)
    return order, slots, rings, units
