"""A closed form beside the simulation: a lower bound that no engine may beat."""

from __future__ import annotations

from stcsim.timing.plan import TilePlan, held_chunks


def lower_bound_ticks(plan: TilePlan) -> dict[str, int]:
    """Ticks that no schedule of ``plan`` can beat, one figure per resource; the largest is the bound.

    ``tensor``, ``smem``: the work of all tiles shared evenly by the units. ``l2``: all loads and writes through the one server.
    ``dram``: every cold chunk once. ``chain``: the longest tile alone: prologue, first load, its iterations, epilogue.
    """
    iterations = plan.tile_iterations
    start = plan.prologue_ticks + plan.l2_latency_ticks
    end = int(plan.epilogue_ticks.min()) + plan.tail_ticks
    longest = int(plan.k_count.max()) * (max(plan.tensor_ticks, plan.warp_ticks, plan.smem_read_ticks) + plan.iteration_ticks)
    return {
        "tensor": start + -(-iterations * plan.tensor_ticks // plan.units) + plan.iteration_ticks + end,
        "smem": plan.prologue_ticks + -(-_port_ticks(plan) // plan.units) + plan.tail_ticks,
        "l2": plan.prologue_ticks + _sum_loads(plan, "l2") + plan.tail_ticks,
        "dram": plan.prologue_ticks + _compulsory_dram(plan) + plan.dram_latency_ticks if _compulsory_dram(plan) else 0,
        "chain": start + longest + end,
    }


def _sum_loads(plan: TilePlan, server: str) -> int:
    """Ticks all loads book at a server, taking every panel as the smallest class (so never too much)."""
    a, b = getattr(plan, f"a_{server}_ticks"), getattr(plan, f"b_{server}_ticks")
    return int(plan.tile_iterations * (a.min() + b.min()))


def _port_ticks(plan: TilePlan) -> int:
    return plan.tile_iterations * plan.smem_read_ticks + _sum_loads(plan, "fill")


def _compulsory_dram(plan: TilePlan) -> int:
    a = (plan.a_chunks - held_chunks(plan.a_chunks, plan.a_held)) * int(plan.a_dram_ticks.min())
    b = (plan.b_chunks - held_chunks(plan.b_chunks, plan.b_held)) * int(plan.b_dram_ticks.min())
    return a + b
