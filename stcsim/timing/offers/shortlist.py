"""The first of three sieves of a large menu: the closed form (``closed_form``) of all its kernels with all numbers of slices.

The second is ``estimate``, by the same closed form, the third the simulation. Here nothing is cut kernel by kernel, so this
sieve is rougher: metadata of 2:4 is counted for stages only, stream-K is taken to share iterations out evenly, and operands that
stay on the chip are loaded all the same. Only kernels with ``wgmma`` have so large a menu, so what those lack is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.arch import Arch
from stcsim.timing.catalogue.kernel import SPLITS, Kernel
from stcsim.timing.lowering.tiling import MOST_STAGES, cluster_units
from stcsim.timing.offers.closed_form import Walk, body_cycles, dram_cycles, rough_cycles, walk, worth_splitting
from stcsim.timing.plan import IntArray
from stcsim.timing.problem import Problem
from stcsim.timing.rates import Iteration, iteration, reduction_us, smem_reads, tensor_rate, written_element_bytes

KEPT = 240
"""Kernels, each with a number of k-slices, that the closed form looks at."""
KEPT_OF_EACH = 40
"""Kernels that it looks at with each number of slices, however well others do: so rough a time may favour one number."""

FloatArray = npt.NDArray[np.float64]
_SPLITS: FloatArray = np.array(SPLITS, np.float64)[:, None]


@dataclass(frozen=True, slots=True)
class _Menu:
    """Columns of a menu, one entry a kernel."""

    cta_m: IntArray
    cta_n: IntArray
    k_bytes: IntArray
    cluster_m: IntArray
    cluster_n: IntArray
    max_splits: IntArray
    pingpong: npt.NDArray[np.bool_]
    stream_k: npt.NDArray[np.bool_]
    staging_bytes: IntArray
    swizzle: IntArray
    sparse: npt.NDArray[np.bool_]
    a_reads: IntArray
    b_reads: IntArray


_DERIVED: dict[str, Callable[[Kernel], float]] = {
    "a_reads": lambda kernel: smem_reads(kernel)[0],
    "b_reads": lambda kernel: smem_reads(kernel)[1],
}
_seen: dict[int, tuple[tuple[Kernel, ...], _Menu]] = {}  # by identity: hashing a menu takes longer than using it
_MOST_SEEN = 8


def _columns(kernels: tuple[Kernel, ...]) -> _Menu:
    known = _seen.get(id(kernels))
    if known is None:
        if len(_seen) >= _MOST_SEEN:
            _seen.clear()
        known = _seen[id(kernels)] = kernels, _Menu(**{each.name: _column(kernels, each.name) for each in fields(_Menu)})
    return known[1]


def _column(kernels: tuple[Kernel, ...], name: str) -> npt.NDArray[Any]:
    derived = _DERIVED.get(name)
    return np.array([derived(kernel) if derived else getattr(kernel, name) or 0 for kernel in kernels])


def shortlist(arch: Arch, problem: Problem, kernels: tuple[Kernel, ...], kept: int = KEPT) -> list[tuple[Kernel, int]]:
    """Return the most promising of ``kernels`` (all ``wgmma``, dense or 2:4 alike), each with its k-slices.

    Best first; ties: fewer slices, then the menu's order. What does not fit an SM is not sorted out.
    """
    times = _times(arch, problem, kernels)
    of_each = np.sort(times)[:, min(KEPT_OF_EACH, times.shape[1]) - 1, None]
    keep, flat = (times <= of_each).ravel(), times.ravel()
    order = np.argsort(flat, kind="stable")
    keep[order[:kept]] = True
    found = order[keep[order] & np.isfinite(flat[order])]
    return [(kernels[at % len(kernels)], SPLITS[at // len(kernels)]) for at in found.tolist()]


def _times(arch: Arch, problem: Problem, kernels: tuple[Kernel, ...]) -> FloatArray:
    """Return rough cycles, [splits][kernel]; infinite where a library would not split so."""
    menu, prologue = _columns(kernels), arch.kernel.prologue_cycles
    cut, rate = _cut(arch, problem, menu), tensor_rate(arch, problem, kernels[0])
    body = body_cycles(arch, prologue, _iteration(arch, problem, menu, rate), _walk(problem, menu, cut))
    dram = dram_cycles(
        arch,
        problem,
        kernels[0].sparse,
        prologue=prologue,
        slots=cut.slots,
        m_tiles=cut.m_tiles,
        n_tiles=cut.n_tiles,
        group=np.minimum(menu.swizzle, cut.n_tiles),
    )
    clock_mhz = arch.clock.sustained_mhz
    reduced = np.array([[reduction_us(arch, problem, each) * clock_mhz] for each in SPLITS])
    pays = worth_splitting(arch, problem, menu.cta_m, menu.cta_n, menu.k_bytes * 8 // problem.dtype.bits, _SPLITS)
    offered = (_SPLITS <= np.minimum(menu.max_splits, cut.k_iters)) & ((_SPLITS == 1) | pays) & (cut.stages >= 2)
    times: FloatArray = np.where(offered, rough_cycles(body, dram, reduced), np.inf)
    return times


@dataclass(frozen=True, slots=True)
class _Cut:
    """How each kernel cuts the problem: [kernel], or [splits][kernel] where slices matter."""

    k_iters: FloatArray
    m_tiles: IntArray
    n_tiles: IntArray
    tiles: FloatArray
    slots: FloatArray
    resident: FloatArray
    stages: FloatArray


def _kept_share(problem: Problem, menu: _Menu) -> FloatArray:
    """Share of the bytes of A that its kept values are."""
    share: FloatArray = np.where(menu.sparse, 1 / problem.dtype.sparse_expansion, 1.0)
    return share


def _metadata_share(problem: Problem) -> float:
    """Bytes of metadata for each byte of A as it would be dense."""
    element = problem.dtype
    return element.metadata_bits / (element.sparse_group * element.bits) if element.sparse_group else 0.0


def _cut(arch: Arch, problem: Problem, menu: _Menu) -> _Cut:
    units, ctas = _units(arch, menu.cluster_m * menu.cluster_n), np.where(menu.pingpong, 2, 1)
    m_tiles, n_tiles = -(-problem.m // (menu.cta_m * menu.cluster_m)), -(-problem.n // (menu.cta_n * menu.cluster_n))
    tiles = m_tiles * n_tiles * problem.batch * _SPLITS
    free = int(arch.shared_memory.max_per_cta_kib * 1024) - menu.staging_bytes
    a_share = _kept_share(problem, menu) + np.where(menu.sparse, _metadata_share(problem), 0)
    stages = np.minimum(MOST_STAGES, free // ((menu.cta_m * a_share + menu.cta_n) * menu.k_bytes)) // ctas
    stages = np.where(menu.pingpong & (tiles <= units) & (stages >= 2), 2 * stages, stages)
    k_iters = np.ceil(problem.k / (menu.k_bytes * 8 // problem.dtype.bits))
    return _Cut(k_iters, m_tiles, n_tiles, tiles, units * ctas, np.minimum(ctas, np.ceil(tiles / units)), stages)


def _units(arch: Arch, unit_ctas: IntArray) -> FloatArray:
    """Return how many clusters of each size the GPU holds; next to none of sizes it does not have."""
    sizes, which = np.unique(unit_ctas, return_inverse=True)
    held = [cluster_units(arch, int(size)) if size <= arch.kernel.max_cluster_ctas else 0 for size in sizes]
    units: FloatArray = np.array(held, np.float64)[which]
    return np.where(units > 0, units, 1e-9)


def _iteration(arch: Arch, problem: Problem, menu: _Menu, rate: float) -> Iteration:
    """One main-loop iteration of each kernel's CTAs: metadata is left out, and A is loaded even where it is on the chip."""
    a_bytes, b_bytes = menu.cta_m * menu.k_bytes * _kept_share(problem, menu), menu.cta_n * menu.k_bytes
    tensor = menu.cta_m * menu.cta_n * (menu.k_bytes * 8 // problem.dtype.bits) / rate
    return iteration(
        arch,
        tensor=tensor,
        warps=tensor,
        sync=arch.kernel.k_iteration_cycles,
        read_bytes=a_bytes * menu.a_reads + b_bytes * menu.b_reads,
        fill_bytes=a_bytes + b_bytes,
        ingress_bytes=a_bytes + b_bytes,
        l2_bytes=a_bytes * menu.cluster_m + b_bytes * menu.cluster_n,
    )


def _walk(problem: Problem, menu: _Menu, cut: _Cut) -> Walk:
    """How the CTAs of each kernel follow each other: stream-K is taken to share all iterations out evenly."""
    return walk(
        tiles=cut.tiles,
        slots=cut.slots,
        resident=cut.resident,
        k_iters=np.ceil(cut.k_iters / _SPLITS),
        stages=cut.stages,
        elements=menu.cta_m * menu.cta_n * menu.cluster_m * menu.cluster_n,
        element_bytes=np.array([[written_element_bytes(problem, splits)] for splits in SPLITS]),
        whole_bytes=problem.out_bytes,
        pingpong=menu.pingpong,
        hides=True,
        stream_k=menu.stream_k,
        stream_k_waves=np.maximum(cut.tiles / cut.slots, 1 / cut.k_iters),
    )
