"""The same network dense and best-of-both: which kernel each layer has in either, and the one clock each network holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from stcsim.isa import DType
from stcsim.replay.kernels import Kernels, Layer
from stcsim.timing.memory_op import Traffic, network_clock_mhz
from stcsim.trace import Conv2d, Gemm, Memory

_ROUNDS = 2

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Planned:
    """One kernel of a network, ready to be timed.

    Attributes:
        op: with ``fused``, the names of the operations that run in its kernel. element: its type.
        dense, sparse: what to time of a layer, ``None`` for a side that is not asked for or may not be.
        not_sparse_because: why it may not be 2:4 although that was asked for.
        moved: what a memory operation moves, ``None`` for a layer.
    """

    op: Gemm | Conv2d | Memory
    element: DType
    fused: tuple[str, ...] = ()
    dense: Layer | None = None
    sparse: Layer | None = None
    not_sparse_because: str | None = None
    moved: Traffic | None = None


@dataclass(frozen=True, slots=True)
class Sides:
    """Both networks.

    Attributes:
        sparse_is_best: for each kernel whether best-of-both runs it 2:4.
        dense_clock_mhz: ``None`` where some layer was not asked for dense. best_clock_mhz: of best-of-both.
        highest_clock_mhz: what both hold where the board's power limit does not bind.
    """

    sparse_is_best: tuple[bool, ...]
    dense_clock_mhz: float | None
    best_clock_mhz: float
    highest_clock_mhz: float


def sides(kernels: Kernels, steps: Sequence[Planned], progress: Progress | None = None) -> Sides:
    """Choose the faster side of each layer as a tool does, timing it alone; then find the clocks of both networks.

    Args:
        progress: called with (layers done, layers in all).
    """
    best, done, layers = [], 0, sum(step.moved is None for step in steps)
    for step in steps:
        best.append(_sparse_is_faster(kernels, step))
        done += step.moved is None
        if progress is not None and step.moved is None:
            progress(done, layers)
    whole = all(step.dense or step.moved for step in steps)
    mixed = [step.sparse if faster else step.dense for step, faster in zip(steps, best, strict=True)]
    best_mhz = _clock_mhz(kernels, steps, mixed)
    dense_mhz = _clock_mhz(kernels, steps, [step.dense for step in steps]) if whole else None
    return Sides(tuple(best), dense_mhz, best_mhz, kernels.setup.arch.clock.sustained_mhz)


def _sparse_is_faster(kernels: Kernels, step: Planned) -> bool:
    if step.sparse is None or step.dense is None:
        return step.sparse is not None
    return kernels.layer(step.sparse).time_us < kernels.layer(step.dense).time_us


def _clock_mhz(kernels: Kernels, steps: Sequence[Planned], layers: Iterable[Layer | None]) -> float:
    """Return the clock of the network whose layers run as ``layers``; a memory operation has ``None`` there.

    Cycles depend on the clock a little, as DRAM keeps its pace: they are counted again at the clock found first.
    """
    arch = kernels.setup.arch
    launched = [(layer or step.moved, step.op.count) for step, layer in zip(steps, layers, strict=True)]
    if len(launched) == 1 and isinstance(launched[0][0], Layer):
        return kernels.layer(launched[0][0]).clock_mhz
    clock_mhz = arch.clock.sustained_mhz
    for _ in range(_ROUNDS):
        loads = [(kernels.load(work, clock_mhz), count) for work, count in launched if work is not None]
        clock_mhz = network_clock_mhz(arch, loads)
        if clock_mhz >= arch.clock.sustained_mhz:
            break
    return clock_mhz
