"""What a microbenchmark of one tensor-core instruction would measure: completion latency, and FMA/clk/SM by warps and ILP.

A benchmark loop keeps ``ilp`` independent instructions of every warp in flight; each round waits for the results of the round
before. Warps are dealt to the four sub-cores, each with its own tensor core (``mma``), or four at a time to all of them
(``wgmma``). Figures come from the leaves of an ``Arch``, and from ``timing.hardware`` where they hold for every measured GPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stcsim.arch import Arch
from stcsim.errors import UnsupportedError
from stcsim.isa import DTYPES
from stcsim.isa.instructions import Instruction, available, require
from stcsim.timing.hardware import HALF_DEPTH_CYCLES, MIN_ISSUE_CYCLES, ROUND_CYCLES, SUB_CORES, WGMMA_FLOOR_CYCLES

OPERANDS = ("ss", "rs")
"""Where a ``wgmma`` has A: shared memory or registers. B is always in shared memory."""
GRID_WARPS, GRID_ILP = (1, 2, 4, 8, 16, 32), (1, 2, 3, 4)
"""What is tried of ``mma`` where nothing was asked for; one warpgroup is enough for ``wgmma``, whose queue is always full."""


@dataclass(frozen=True, slots=True)
class Point:
    """One loop: ``warps`` of an SM with ``ilp`` independent instructions each.

    Attributes:
        round_cycles: one turn of the loop, which the papers call the latency at this point.
        fma_per_clk_per_sm: logical MACs, so that 2:4 counts its zeros too.
        share_of_peak: of the nominal rate.
        bound: ``"latency"``, or the resource that sets the issue interval.
    """

    warps: int
    ilp: int
    round_cycles: float
    fma_per_clk_per_sm: float
    share_of_peak: float
    bound: str


@dataclass(frozen=True, slots=True)
class Microbench:
    """One instruction on one GPU with its operands in one place.

    Attributes:
        operands: ``"ss"`` or ``"rs"``; ``"registers"`` for ``mma``.
        macs: logical multiply-accumulates, the zeros of 2:4 included.
        latency_cycles: completion of one instruction: 1 warp (warpgroup), ILP 1.
        interval_cycles: between two instructions, of one sub-core for ``mma``, of the SM for ``wgmma``.
        limit: what sets the interval: ``"tensor"``, ``"issue"`` or ``"smem"``.
        peak_fma_per_clk_per_sm: nominal, twice the dense rate for 2:4.
    """

    instruction: str
    arch: str
    operands: str
    macs: int
    latency_cycles: float
    interval_cycles: float
    limit: str
    peak_fma_per_clk_per_sm: float
    points: tuple[Point, ...]


def microbench(
    instruction: Instruction, arch: Arch, warps: int | None = None, ilp: int | None = None, operands: str | None = None
) -> list[Microbench]:
    """Predict one instruction at one point, or over a grid of what is left open; ``wgmma`` with A in either place, or in one.

    Raises:
        UnsupportedError: when the GPU lacks the instruction, or no SM could run the loop.
    """
    _check(instruction, arch, warps, ilp, operands)
    warpgroups = instruction.kind == "wgmma"
    every_warps = (SUB_CORES,) if warpgroups else tuple(each for each in GRID_WARPS if each <= arch.sm.max_warps)
    every_ilp = (1,) if warpgroups else GRID_ILP
    places = ("registers",) if not warpgroups else OPERANDS if operands is None else (operands,)
    tried = every_warps if warps is None else (warps,)
    return [_measure(instruction, arch, place, tried, every_ilp if ilp is None else (ilp,)) for place in places]


def dense_rate(instruction: Instruction, arch: Arch) -> float | None:
    """Return the dense FMA/clk/SM of the instruction's types, ``None`` where the GPU has no hardware for them.

    FP16 accumulation runs at INT8's rate for as many bits: what some products halve is FP32 accumulation only (GA102 and Ada
    whitepapers, appendix A).
    """
    rates, element = arch.tensor_core.fma_per_clk_per_sm, DTYPES[instruction.a]
    rate, of_int8 = rates.of(element.rate), rates.of("int8")
    if rate is None or of_int8 is None or instruction.d != "fp16":
        return rate
    return of_int8 * 8 / element.bits


def _measure(
    instruction: Instruction, arch: Arch, operands: str, every_warps: Sequence[int], every_ilp: Sequence[int]
) -> Microbench:
    """Return the instruction with its points."""
    rate = dense_rate(instruction, arch)
    assert rate is not None, "checked at the door"
    peak = rate * (instruction.k / instruction.products)
    timing = _mma(instruction, arch, rate) if instruction.kind == "mma" else _wgmma(instruction, arch, rate, operands)
    latency, interval, limit = timing
    macs = instruction.m * instruction.n * instruction.k
    points = []
    for warps in every_warps:
        for ilp in every_ilp:
            cycles = _round(instruction.kind, latency, interval, warps, ilp)
            started = ilp * (warps // SUB_CORES if instruction.kind == "wgmma" else warps)
            fma = started * macs / cycles
            waits = -(-warps // SUB_CORES) * ilp * interval < latency
            points.append(Point(warps, ilp, cycles, fma, fma / peak, "latency" if waits else limit))
    return Microbench(instruction.name, arch.name, operands, macs, latency, interval, limit, peak, tuple(points))


def _round(kind: str, latency: float, interval: float, warps: int, ilp: int) -> float:
    """Return the cycles of one round: a warp waits for its own results, and for its turn on the busiest sub-core."""
    turns = -(-warps // SUB_CORES) * ilp * interval
    if kind == "wgmma":  # one queue for the whole SM
        return turns
    return max(turns, max(latency, ilp * interval) + (ROUND_CYCLES if ilp > 1 else 0))


def _mma(instruction: Instruction, arch: Arch, rate: float) -> tuple[float, float, str]:
    """Return latency and interval of a warp-level instruction on its sub-core, and what sets the interval."""
    core = arch.tensor_core
    work = instruction.m * instruction.n * instruction.products / rate * SUB_CORES
    work /= core.issue_efficiency * core.mma_sync_efficiency
    shortest = max(MIN_ISSUE_CYCLES, (core.sparse_min_issue_cycles or 0) if instruction.sparse else 0)
    interval = max(work, shortest)
    latency = core.latency_cycles
    if instruction.products < _full_depth(instruction, arch):
        latency -= max(HALF_DEPTH_CYCLES, work)
    return max(latency, interval), interval, "tensor" if work >= shortest else "issue"


def _full_depth(instruction: Instruction, arch: Arch) -> int:
    """Return the k of the deepest dense ``mma`` of the same inputs, whose latency the GPU's file states."""
    types = (instruction.a, instruction.b)
    return max(each.k for each in available(_capability(arch)) if _is_dense_mma(each) and (each.a, each.b) == types)


def _is_dense_mma(instruction: Instruction) -> bool:
    return instruction.kind == "mma" and not instruction.sparse


def _wgmma(instruction: Instruction, arch: Arch, rate: float, operands: str) -> tuple[float, float, str]:
    """Return latency and interval of a warpgroup's instruction on the SM, and what sets them.

    B, and A where it is in shared memory (2:4: its kept half), pass the port while the tensor cores work. The published latency
    (H800 PCIe, arXiv 2402.13499, tables VIII to X) is that of one instruction in a full queue.
    """
    element = DTYPES[instruction.a]
    work = instruction.m * instruction.n * instruction.products / rate
    a_bytes = element.bytes_of(instruction.m * instruction.products) if operands == "ss" else 0
    port = (element.bytes_of(instruction.n * instruction.k) + a_bytes) / arch.shared_memory.bandwidth_bytes_per_clk
    cycles, limit = max((work, "tensor"), (port, "smem"), (WGMMA_FLOOR_CYCLES, "issue"))
    return cycles, cycles / arch.tensor_core.issue_efficiency, limit


def _capability(arch: Arch) -> str:
    return f"sm_{arch.compute_capability.replace('.', '')}"


def _check(instruction: Instruction, arch: Arch, warps: int | None, ilp: int | None, operands: str | None) -> None:
    """Refuse what no microbenchmark on this GPU could run."""
    require(instruction, _capability(arch))
    arch.require(DTYPES[instruction.a].rate, instruction.sparse)
    most, warpgroup = arch.sm.max_warps, instruction.kind == "wgmma"
    if warpgroup and most < SUB_CORES:
        what = f"at least {SUB_CORES}, since {instruction.name} takes a warpgroup"
        raise UnsupportedError(f"{arch.name}: sm.max_warps", what, str(most))
    if warps is not None and not 1 <= warps <= most:
        raise UnsupportedError("warps", f"a whole number from 1 to {most}, which an SM of {arch.name} holds", str(warps))
    if warps is not None and warpgroup and warps % SUB_CORES:
        raise UnsupportedError("warps", f"a multiple of {SUB_CORES}, since {instruction.name} takes a warpgroup", str(warps))
    if ilp is not None and ilp < 1:
        raise UnsupportedError("ilp", "a whole number above 0", str(ilp))
    if operands is not None and not warpgroup:
        raise UnsupportedError("operands", "a wgmma, whose A may be in shared memory", instruction.name)
    if operands is not None and operands not in OPERANDS:
        raise UnsupportedError("operands", f"one of {', '.join(OPERANDS)}", f"'{operands}'")
