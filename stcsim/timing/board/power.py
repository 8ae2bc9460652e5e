"""Clock and power: what a kernel's work costs in joules, and how far the clock falls to hold the board's limit.

A kernel that is launched over and over draws, on average, ``idle + energy / time``. Energy of the cores (MACs, shared
memory, L2) grows with the clock, because voltage does: its power goes with ``clock ** clock_exponent``. DRAM has its own supply.
The clock is the highest, up to ``clock.sustained_mhz``, that keeps the average within a limit: under lasting load
``power.board_limit_w``, in a short burst ``power.burst_ratio`` times as much (``timing.board.duration``). This reproduces what
throttling does to large GEMMs; it knows no temperature.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from stcsim.arch import Arch
from stcsim.isa import DType
from stcsim.timing.board.duration import Duration
from stcsim.timing.lowering.cut import Cut
from stcsim.timing.lowering.tiling import stage_bytes
from stcsim.timing.offers.candidates import Candidate
from stcsim.timing.rates import smem_read_bytes

_LOWEST_SHARE = 0.2  # of boost: no GPU clocks lower under load, whatever its limit
_STEPS = 60  # most steps to the clock; eight are usual
_CLOSE = 1e-9  # relative difference at which they end


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules of one launch beyond idling: of the cores at boost clock (MACs, shared memory, L2), and of DRAM at any clock."""

    mac_j: float = 0.0
    smem_j: float = 0.0
    l2_j: float = 0.0
    dram_j: float = 0.0

    @property
    def core_j(self) -> float:
        """All that grows with the clock."""
        return self.mac_j + self.smem_j + self.l2_j

    def __add__(self, other: Energy) -> Energy:
        """Return the energy of both."""
        return Energy(self.mac_j + other.mac_j, self.smem_j + other.smem_j, self.l2_j + other.l2_j, self.dram_j + other.dram_j)


@dataclass(frozen=True, slots=True)
class Load:
    """What one launch, or one pass of a network, asks of the board.

    Attributes:
        spent: energy beyond idling.
        cycles: of the SM clock.
        fixed_us: microseconds that no clock changes: launches, waits for DRAM.
    """

    spent: Energy
    cycles: float
    fixed_us: float

    def time_us(self, clock_mhz: float) -> float:
        """Return its time at a clock."""
        return self.fixed_us + self.cycles / clock_mhz


def energy(candidate: Candidate, data: str = "randn") -> Energy:
    """Return the energy of a simulated kernel from what it did: MACs, and bytes at each level.

    A 2:4 kernel executes the kept MACs only, each at ``sparse_mac_ratio`` of a dense one; pixels outside the image are zeros
    and switch nothing. ``data`` is ``"randn"``, or
    ``"low-power"`` (zeros, constants): then little toggles in the cores.
    """
    plan, timing = candidate.plan, candidate.timing
    assert plan is not None and timing is not None
    dram_bytes = timing.dram_read_bytes + plan.dram_write_bytes
    return _spent(candidate, data, timing.l2_read_bytes + timing.write_bytes, dram_bytes)


def least_energy(candidate: Candidate, data: str = "randn") -> Energy:
    """Return what a kernel spends at least, before it is simulated."""
    known = candidate.estimate
    return _spent(candidate, data, known.l2_bytes, known.least_dram_bytes)


def _spent(candidate: Candidate, data: str, l2_bytes: float, dram_bytes: float) -> Energy:
    arch, problem, kernel, tiling = candidate.cut
    power = arch.power
    ctas_iterations = tiling.m_tiles * tiling.n_tiles * problem.batch * tiling.k_iters * tiling.unit_ctas
    macs = ctas_iterations * kernel.cta_m * kernel.cta_n * kernel.cta_k(problem.dtype) * tiling.filled
    macs *= _executed_share(candidate.cut)
    smem_bytes = ctas_iterations * (smem_read_bytes(problem, kernel) + stage_bytes(kernel, problem))
    switching = power.low_switching_ratio if data == "low-power" else 1.0
    return Energy(
        mac_j=1e-12 * switching * macs * power.tensor_pj_per_mac * _mac_ratio(arch, problem.dtype),
        smem_j=1e-12 * switching * smem_bytes * power.smem_pj_per_byte,
        l2_j=1e-12 * switching * l2_bytes * power.l2_pj_per_byte,
        dram_j=1e-12 * power.dram_pj_per_byte * dram_bytes,
    )


def _executed_share(cut: Cut) -> float:
    """Return the energy of a kernel's MACs over that of as many dense ones: 2:4 multiplies the kept ones only, each dearer."""
    dtype = cut.problem.dtype
    return cut.arch.power.sparse_mac_ratio * dtype.sparse_kept / dtype.sparse_group if cut.kernel.sparse else 1.0


def _mac_ratio(arch: Arch, dtype: DType) -> float:
    """Return the energy of a MAC of ``dtype`` over that of a 16-bit one."""
    ratio = arch.power.half_width_ratio if dtype.is_float else arch.power.integer_mac_ratio
    return float(ratio ** math.log2(16 / dtype.bits))


def joules(arch: Arch, spent: Energy, clock_mhz: float) -> float:
    """Return what ``spent`` is at a clock, beyond idling."""
    return spent.core_j * core_scale(arch, clock_mhz) + spent.dram_j


def core_scale(arch: Arch, clock_mhz: float) -> float:
    """Return the energy of the cores at a clock over that at boost clock."""
    scale: float = (clock_mhz / arch.clock.boost_mhz) ** (arch.power.clock_exponent - 1)
    return scale


def watts(arch: Arch, spent: Energy, clock_mhz: float, time_us: float) -> float:
    """Return the average board power of a kernel launched every ``time_us`` at ``clock_mhz``."""
    return arch.power.idle_w + 1e6 * joules(arch, spent, clock_mhz) / time_us


def energy_parts_uj(arch: Arch, spent: Energy, clock_mhz: float, time_us: float) -> dict[str, float]:
    """Return the board's energy over ``time_us`` by part, microjoules; ``idle`` is what a GPU draws that does nothing."""
    scale = 1e6 * core_scale(arch, clock_mhz)
    return {
        "mac": scale * spent.mac_j,
        "smem": scale * spent.smem_j,
        "l2": scale * spent.l2_j,
        "dram": 1e6 * spent.dram_j,
        "idle": arch.power.idle_w * time_us,
    }


def clock_under(arch: Arch, load: Load, duration: Duration) -> float:
    """Return the mean SM clock, MHz, at which ``load`` runs again and again over ``duration``."""
    steady_mhz = held_clock_mhz(arch, load)
    highest_mhz = arch.clock.sustained_mhz
    if steady_mhz >= highest_mhz:
        return steady_mhz
    share = duration.burst_share(load.time_us(highest_mhz), 1e3 * arch.power.response_ms)
    if share == 0:
        return steady_mhz
    return steady_mhz + (held_clock_mhz(arch, load, burst_limit_w(arch)) - steady_mhz) * share


def burst_limit_w(arch: Arch) -> float:
    """Return the power that the board lets pass in a short burst."""
    return arch.power.board_limit_w * arch.power.burst_ratio


def held_clock_mhz(arch: Arch, load: Load, limit_w: float | None = None) -> float:
    """Return the highest clock up to the sustained one at which ``load``, again and again, holds a limit, the board's if none."""
    lowest, highest = _lowest_mhz(arch), arch.clock.sustained_mhz
    limit_w = arch.power.board_limit_w if limit_w is None else limit_w
    if _spare_j(arch, load, highest, limit_w) >= 0:
        return highest
    if _spare_j(arch, load, lowest, limit_w) <= 0:
        return lowest
    return _root(lambda clock_mhz: _spare_j(arch, load, clock_mhz, limit_w), lowest, highest)


def _lowest_mhz(arch: Arch) -> float:
    """Return the clock that is not gone below, even where the limit is broken."""
    return min(arch.clock.sustained_mhz, _LOWEST_SHARE * arch.clock.boost_mhz)


def _spare_j(arch: Arch, load: Load, clock_mhz: float, limit_w: float) -> float:
    """Return the energy that a limit leaves over at a clock; it falls as the clock grows."""
    allowed_j = 1e-6 * (limit_w - arch.power.idle_w) * load.time_us(clock_mhz)
    return allowed_j - joules(arch, load.spent, clock_mhz)


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Return where ``falling``, above 0 at ``low`` and below it at ``high``, is 0: by secants, halving the end that stays."""
    at_low, at_high, side = falling(low), falling(high), 0
    middle = high
    for _ in range(_STEPS):
        before, middle = middle, (low * at_high - high * at_low) / (at_high - at_low)
        found = falling(middle)
        if abs(middle - before) <= _CLOSE * high or found == 0:
            break
        if found < 0:
            high, at_high, at_low, side = middle, found, at_low / 2 if side == -1 else at_low, -1
        else:
            low, at_low, at_high, side = middle, found, at_high / 2 if side == 1 else at_high, 1
    return middle


def ends_within(arch: Arch, load: Load, time_us: float, limit_w: float) -> bool:
    """Whether ``load`` can take ``time_us`` or less at a clock that holds a limit, or at the lowest."""
    if load.time_us(arch.clock.sustained_mhz) > time_us:
        return False
    if load.time_us(_lowest_mhz(arch)) <= time_us:
        return True
    clock_mhz = load.cycles / (time_us - load.fixed_us) if time_us > load.fixed_us else math.inf
    return watts(arch, load.spent, clock_mhz, time_us) <= limit_w


def price_us_per_j(arch: Arch, load: Load, clock_mhz: float) -> float:
    """Return what a joule more, at boost clock, costs a load whose clock the board limit holds at ``clock_mhz``: microseconds.

    The time T(f) of all work falls with the clock f, its energy E(f) grows, and E = (limit - idle) T. Choosing what to run so
    that T is least under that constraint means, at every f, to choose what has the least t + price * e, where the price is the
    quotient of the two slopes, T' over E' (Lagrange): cycles / f over (exponent - 1) times the energy of the cores.
    """
    slope_j = (arch.power.clock_exponent - 1) * load.spent.core_j * core_scale(arch, clock_mhz)
    return load.cycles / clock_mhz / slope_j if slope_j > 0 else 0.0
