"""Clock and power: what a kernel's work costs in joules, and how far the clock falls to hold the board's limit.

A kernel that is launched over and over draws, on average, ``idle + energy / time``. Energy of the cores (MACs, shared
memory, L2) grows with the clock, because voltage does: its power goes with ``clock ** clock_exponent``. DRAM has its own supply.
The clock is the highest, up to ``clock.sustained_mhz``, that keeps the average within ``power.board_limit_w``. This reproduces
what throttling does to large GEMMs; it knows no temperature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from stcsim.arch import Arch
from stcsim.isa import DType
from stcsim.timing.lower import smem_read_bytes
from stcsim.timing.plan import TilePlan
from stcsim.timing.problem import Problem
from stcsim.timing.select import Candidate
from stcsim.timing.tiling import stage_bytes

_LOWEST_SHARE = 0.2  # of boost: no GPU clocks lower under load, whatever its limit
_STEPS = 40  # halvings of the clock interval: far below 1 kHz


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules of one launch beyond idling: of the cores at boost clock, and of DRAM at any clock."""

    core_j: float
    dram_j: float


def energy(arch: Arch, problem: Problem, candidate: Candidate, data: str = "randn") -> Energy:
    """Return the energy of a simulated kernel from what it did: MACs, and bytes at each level.

    A 2:4 kernel executes the kept MACs only, each at ``sparse_mac_ratio`` of a dense one; pixels outside the image are zeros
    and switch nothing. ``data`` is ``"randn"``, or
    ``"low-power"`` (zeros, constants): then little toggles in the cores.
    """
    kernel, plan, timing, power = candidate.kernel, candidate.plan, candidate.timing, arch.power
    assert plan is not None and timing is not None
    ctas_iterations = plan.tile_iterations * candidate.tiling.unit_ctas
    macs = ctas_iterations * kernel.cta_m * kernel.cta_n * kernel.cta_k(problem.dtype) * candidate.tiling.filled
    if kernel.sparse:
        macs *= power.sparse_mac_ratio * problem.dtype.sparse_kept / problem.dtype.sparse_group
    smem_bytes = ctas_iterations * (smem_read_bytes(problem, kernel) + stage_bytes(kernel, problem))
    core_pj = (
        macs * power.tensor_pj_per_mac * _mac_ratio(arch, problem.dtype)
        + smem_bytes * power.smem_pj_per_byte
        + (timing.l2_read_bytes + timing.write_bytes) * power.l2_pj_per_byte
    )
    if data == "low-power":
        core_pj *= power.low_switching_ratio
    return Energy(1e-12 * core_pj, 1e-12 * power.dram_pj_per_byte * (timing.dram_read_bytes + _dram_write_bytes(plan)))


def _mac_ratio(arch: Arch, dtype: DType) -> float:
    """Return the energy of a MAC of ``dtype`` over that of a 16-bit one."""
    ratio = arch.power.integer_mac_ratio if dtype.acc == "int32" else arch.power.half_width_ratio
    return float(ratio ** math.log2(16 / dtype.bits))


def _dram_write_bytes(plan: TilePlan) -> int:
    """Return the bytes written whose way goes on to DRAM: not those of partial sums."""
    return int(np.where(plan.out_dram_ticks > 0, plan.out_bytes, 0)[plan.out_classes].sum())


def watts(arch: Arch, spent: Energy, clock_mhz: float, time_us: float) -> float:
    """Return the average board power of a kernel launched every ``time_us`` at ``clock_mhz``."""
    scale: float = (clock_mhz / arch.clock.boost_mhz) ** (arch.power.clock_exponent - 1)
    return arch.power.idle_w + 1e6 * (spent.core_j * scale + spent.dram_j) / time_us


def held_clock_mhz(arch: Arch, spent: Energy, cycles: float, launch_us: float) -> float:
    """Return the highest clock up to the sustained one at which a kernel of ``cycles`` holds the board limit."""
    highest = arch.clock.sustained_mhz

    def within(clock_mhz: float) -> bool:
        return watts(arch, spent, clock_mhz, launch_us + cycles / clock_mhz) <= arch.power.board_limit_w

    if within(highest):
        return highest
    low, high = min(highest, _LOWEST_SHARE * arch.clock.boost_mhz), highest
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) else (low, middle)
    return low


def mean_clock_mhz(arch: Arch, steady_mhz: float, launch_us: float, launches: int | None) -> float:
    """Return the mean clock of ``launches`` launches in a row from the highest clock on; forever (``None``) is the steady clock.

    The clock falls exponentially towards the steady one: short benchmarks end before the limit has taken hold.
    """
    highest, response_us = arch.clock.sustained_mhz, 1e3 * arch.power.response_ms
    if launches is None or steady_mhz >= highest or response_us == 0:
        return steady_mhz
    spans = launches * launch_us / response_us
    return steady_mhz + (highest - steady_mhz) * -math.expm1(-spans) / spans
