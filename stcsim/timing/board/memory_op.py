"""Steps that move data and hardly compute: as kernels of their own, and on the way in the kernel of a GEMM.

Both are timed in closed form on the memory model of the GEMMs: all bytes pass the L2 at its rate, those it does not hold pass
DRAM at the rate GEMM operands get. Arithmetic, the SMs' ports and partial last waves are left out: these kernels wait for memory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from stcsim.arch import Arch
from stcsim.result import KernelResult, MemoryResult, account
from stcsim.timing.board.power import Energy, Load, energy, energy_parts_uj
from stcsim.timing.board.setup import Setup, launch_us
from stcsim.timing.offers.candidates import Candidate
from stcsim.timing.rates import dram_bytes_per_us, l2_latency_cycles


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of one launch. ``read`` and ``written`` pass the L2; of these ``dram_read`` and ``dram_written`` pass DRAM too."""

    read: int = 0
    written: int = 0
    dram_read: int = 0
    dram_written: int = 0

    @property
    def l2_bytes(self) -> int:
        """All bytes."""
        return self.read + self.written

    @property
    def dram_bytes(self) -> int:
        """Those that pass DRAM."""
        return self.dram_read + self.dram_written


def traffic_energy(arch: Arch, moved: Traffic) -> Energy:
    """Return the energy of ``moved``."""
    power = arch.power
    return Energy(l2_j=1e-12 * power.l2_pj_per_byte * moved.l2_bytes, dram_j=1e-12 * power.dram_pj_per_byte * moved.dram_bytes)


def _l2_cycles(arch: Arch, moved: Traffic) -> float:
    return moved.l2_bytes / arch.l2.bandwidth_bytes_per_clk


def _dram_us(arch: Arch, amount: float) -> float:
    return amount / dram_bytes_per_us(arch)


def time_memory(setup: Setup, moved: Traffic) -> MemoryResult:
    """Return what a kernel of its own takes that moves ``moved``.

    Launch, the latency of a first load, then the slower of the L2 with all bytes and DRAM with its own. ``setup.clock_mhz`` is
    the SM clock, by default the highest that is held (these kernels stay below the board limit).
    """
    arch, clock_mhz = setup.arch, setup.clock_mhz or setup.arch.clock.sustained_mhz
    l2_us, dram_us = _l2_cycles(arch, moved) / clock_mhz, _dram_us(arch, moved.dram_bytes)
    latency_us = _latency_cycles(arch, moved) / clock_mhz
    breakdown = {"launch": launch_us(arch, setup.launch), "latency": latency_us}
    breakdown["l2" if l2_us >= dram_us else "dram"] = max(l2_us, dram_us)
    time_us = math.fsum(breakdown.values())
    parts_uj = energy_parts_uj(arch, traffic_energy(arch, moved), clock_mhz, time_us)
    return MemoryResult(
        clock_mhz=clock_mhz,
        bytes={
            "read": moved.read,
            "write": moved.written,
            "dram_read": moved.dram_read,
            "dram_write": moved.dram_written,
        },
        **account(time_us, breakdown, parts_uj),
    )


def _latency_cycles(arch: Arch, moved: Traffic) -> float:
    return arch.dram.latency_cycles if moved.dram_read else l2_latency_cycles(arch)


def memory_load(setup: Setup, moved: Traffic) -> Load:
    """Return what a launch of :func:`time_memory` asks of the board."""
    arch = setup.arch
    cycles, dram_us = _l2_cycles(arch, moved), _dram_us(arch, moved.dram_bytes)
    start_us, spent = launch_us(arch, setup.launch), traffic_energy(arch, moved)
    latency = _latency_cycles(arch, moved)
    if dram_us > cycles / arch.clock.sustained_mhz:
        return Load(spent, latency, start_us + dram_us)
    return Load(spent, latency + cycles, start_us)


def with_fused_reads(arch: Arch, chosen: Candidate, alone: KernelResult, extra: Traffic) -> KernelResult:
    """Return the kernel ``alone`` with the bytes that the steps fused into it read beside it, such as a residual.

    They are read as D is written: every CTA waits for them at the L2's rate; those that come from DRAM add time only where its
    rate makes the kernel longer, because a load for the epilogue can be issued while the main loop runs.
    """
    if not extra.l2_bytes:
        return alone
    l2_us, dram_us = _fused_us(arch, chosen, alone, extra)
    breakdown = alone.breakdown | {"l2": alone.breakdown["l2"] + l2_us, "dram": alone.breakdown["dram"] + dram_us}
    time_us = alone.time_us + l2_us + dram_us
    more_uj = energy_parts_uj(arch, traffic_energy(arch, extra), alone.clock_mhz, l2_us + dram_us)
    parts_uj = {part: energy_uj + more_uj[part] for part, energy_uj in alone.energy_parts_uj.items()}
    slower = alone.time_us / time_us
    return replace(
        alone,
        tops=alone.tops * slower,
        share_of_peak=alone.share_of_peak * slower,
        cycles=alone.cycles + (l2_us + dram_us) * alone.clock_mhz,
        bytes=alone.bytes
        | {"l2_read": alone.bytes["l2_read"] + extra.read, "dram_read": alone.bytes["dram_read"] + extra.dram_read},
        **account(time_us, breakdown, parts_uj),
    )


def gemm_load(setup: Setup, chosen: Candidate, alone: KernelResult, extra: Traffic) -> Load:
    """Return what a launch of :func:`with_fused_reads` asks of the board."""
    arch, spent = setup.arch, energy(chosen, setup.data)
    more, whole = traffic_energy(arch, extra), with_fused_reads(arch, chosen, alone, extra)
    waited_us = whole.breakdown["dram"]
    return Load(spent + more, whole.cycles - waited_us * whole.clock_mhz, whole.breakdown["launch"] + waited_us)


def _fused_us(arch: Arch, chosen: Candidate, alone: KernelResult, extra: Traffic) -> tuple[float, float]:
    """Return microseconds that ``extra`` adds for the L2 and, beyond these, for DRAM."""
    assert chosen.plan is not None
    l2_us = _l2_cycles(arch, extra) / alone.clock_mhz
    if not extra.dram_bytes:
        return l2_us, 0.0
    written = alone.bytes["write"] if chosen.plan.out_dram_ticks.any() else 0
    busy_us = _dram_us(arch, alone.bytes["dram_read"] + written + extra.dram_bytes)
    return l2_us, max(0.0, busy_us - (alone.time_us - alone.breakdown["launch"] + l2_us))
