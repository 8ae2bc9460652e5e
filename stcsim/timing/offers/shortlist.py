"""The first of three sieves of a large menu: the closed form of ``estimate`` for all its kernels at once, in numpy.

The second is ``estimate`` itself, the third the simulation. Only kernels with ``wgmma``
have so large a menu, so what those lack is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.arch import Arch
from stcsim.timing.catalogue.kernel import SPLITS, Kernel
from stcsim.timing.hardware import WARPGROUP_M
from stcsim.timing.lowering.tiling import MOST_STAGES, cluster_units
from stcsim.timing.offers.estimate import OVERLAP, TIE
from stcsim.timing.plan import IntArray
from stcsim.timing.problem import Problem
from stcsim.timing.rates import dram_bytes_per_us, l2_capacity_bytes, l2_latency_cycles, reduction_us, tensor_rate

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
    warps_m: IntArray
    warps_n: IntArray
    cluster_m: IntArray
    cluster_n: IntArray
    max_splits: IntArray
    transposed: npt.NDArray[np.bool_]
    pingpong: npt.NDArray[np.bool_]
    stream_k: npt.NDArray[np.bool_]
    staging_bytes: IntArray
    swizzle: IntArray
    a_share: FloatArray


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
    if name == "a_share":  # bytes of A that are kept (metadata left out)
        return np.array([0.5 if kernel.sparse else 1.0 for kernel in kernels])
    return np.array([getattr(kernel, name) or 0 for kernel in kernels])


def shortlist(arch: Arch, problem: Problem, kernels: tuple[Kernel, ...], kept: int = KEPT) -> list[tuple[Kernel, int]]:
    """Return the most promising of ``kernels`` (all ``wgmma``, dense or 2:4 alike), each with its k-slices.

    Best first; ties: fewer slices, then the menu's order. What does not fit an SM is not sorted out.
    """
    times = _times(arch, problem, _columns(kernels), tensor_rate(arch, problem, kernels[0]))
    of_each = np.sort(times)[:, min(KEPT_OF_EACH, times.shape[1]) - 1, None]
    keep, flat = (times <= of_each).ravel(), times.ravel()
    order = np.argsort(flat, kind="stable")
    keep[order[:kept]] = True
    found = order[keep[order] & np.isfinite(flat[order])]
    return [(kernels[at % len(kernels)], SPLITS[at // len(kernels)]) for at in found.tolist()]


def _times(arch: Arch, problem: Problem, menu: _Menu, rate: float) -> FloatArray:
    """Return rough cycles, [splits][kernel]; infinite where a library would not split so."""
    cut, each = _cut(arch, problem, menu), _iteration(arch, problem, menu, rate)
    bandwidth, latency = arch.l2.bandwidth_bytes_per_clk, l2_latency_cycles(arch)
    active = np.where(menu.stream_k, cut.slots, np.minimum(cut.tiles, cut.slots))
    in_flight = (each.alone + latency) / np.maximum(1, cut.stages - 1)
    by_l2 = (each.a_bytes * menu.cluster_m + each.b_bytes * menu.cluster_n) * active / bandwidth
    step = np.maximum(np.maximum(each.alone, cut.resident * each.shared), np.maximum(by_l2, in_flight))
    full, rest = np.divmod(cut.tiles, cut.slots)
    rounded = full + np.where(rest > 0, np.where(full > 0, np.maximum(0.5, rest / cut.slots), 1.0), 0.0)
    waves = np.where(menu.stream_k, np.maximum(cut.tiles / cut.slots, 1.0), rounded)
    element = np.where(menu.stream_k, problem.out_bytes + 4, np.where(_SPLITS > 1, 4, problem.out_bytes))
    epilogue = menu.cta_m * menu.cta_n * menu.cluster_m * menu.cluster_n * element * active / bandwidth / 2
    overlap = np.where((cut.resident > 1) | menu.pingpong, OVERLAP, 1.0)
    again = np.where(menu.stream_k, waves, waves - 1) * overlap * (epilogue + latency)
    body = arch.kernel.prologue_cycles + latency + again + epilogue + waves * np.ceil(cut.k_iters / _SPLITS) * step
    clock_mhz = arch.clock.sustained_mhz
    reduced = np.array([[reduction_us(arch, problem, each) * clock_mhz] for each in SPLITS])
    offered = (_SPLITS <= np.minimum(menu.max_splits, cut.k_iters)) & ((_SPLITS == 1) | cut.pays) & (cut.stages >= 2)
    times: FloatArray = np.where(offered, np.maximum(body, _dram_cycles(arch, problem, menu)) + reduced + TIE * body, np.inf)
    return times


def _dram_cycles(arch: Arch, problem: Problem, menu: _Menu) -> FloatArray:
    """Cycles of DRAM traffic: A again for every group of columns when it does not stay in L2, B once, D once."""
    a_bytes, capacity = problem.a_bytes(bool(menu.a_share[0] < 1)), l2_capacity_bytes(arch)
    units, m_tiles = _units(arch, menu.cluster_m * menu.cluster_n), np.ceil(problem.m / (menu.cta_m * menu.cluster_m))
    n_tiles = np.ceil(problem.n / (menu.cta_n * menu.cluster_n))
    at_once = np.maximum(np.maximum(1, units * np.where(menu.pingpong, 2, 1) // m_tiles), np.minimum(menu.swizzle, n_tiles))
    fits = a_bytes + problem.b_bytes + problem.d_bytes <= capacity
    moved = a_bytes * np.where(a_bytes < capacity, 1.0, np.ceil(n_tiles / at_once))
    moved = moved + (0 if fits else problem.b_bytes + problem.d_bytes)
    cycles: FloatArray = (0 if fits and problem.weights_in_l2 else 1) * moved / dram_bytes_per_us(arch) * arch.clock.sustained_mhz
    return cycles + arch.kernel.prologue_cycles + arch.dram.latency_cycles


@dataclass(frozen=True, slots=True)
class _Cut:
    """How each kernel cuts the problem: [kernel], or [splits][kernel] where slices matter."""

    k_iters: FloatArray
    tiles: FloatArray
    slots: FloatArray
    resident: FloatArray
    stages: FloatArray
    pays: npt.NDArray[np.bool_]


def _cut(arch: Arch, problem: Problem, menu: _Menu) -> _Cut:
    k = menu.k_bytes * 8 // problem.dtype.bits
    units = _units(arch, menu.cluster_m * menu.cluster_n)
    one = np.ceil(problem.m / (menu.cta_m * menu.cluster_m)) * np.ceil(problem.n / (menu.cta_n * menu.cluster_n)) * problem.batch
    ctas = np.where(menu.pingpong, 2, 1)
    free = int(arch.shared_memory.max_per_cta_kib * 1024) - menu.staging_bytes
    a_share = menu.a_share + np.where(menu.a_share < 1, 1 / problem.dtype.bits, 0)  # a bit of metadata for each value there was
    stages = np.minimum(MOST_STAGES, free // ((menu.cta_m * a_share + menu.cta_n) * menu.k_bytes)) // ctas
    tiles = one * _SPLITS
    stages = np.where(menu.pingpong & (tiles <= units) & (stages >= 2), 2 * stages, stages)
    ctas_alone = np.ceil(problem.m / menu.cta_m) * np.ceil(problem.n / menu.cta_n) * problem.batch
    pays = (ctas_alone * (_SPLITS - 1) < 4 * arch.sm.count) & (problem.k >= 2 * _SPLITS * k)
    return _Cut(np.ceil(problem.k / k), tiles, units * ctas, np.minimum(ctas, np.ceil(tiles / units)), stages, pays)


def _units(arch: Arch, unit_ctas: IntArray) -> FloatArray:
    """Return how many clusters of each size the GPU holds; next to none of sizes it does not have."""
    sizes, which = np.unique(unit_ctas, return_inverse=True)
    held = [cluster_units(arch, int(size)) if size <= arch.kernel.max_cluster_ctas else 0 for size in sizes]
    units: FloatArray = np.array(held, np.float64)[which]
    return np.where(units > 0, units, 1e-9)


@dataclass(frozen=True, slots=True)
class _Iteration:
    """One main-loop iteration of a CTA: cycles with the SM to itself, cycles of the slowest server of the SM, bytes."""

    alone: FloatArray
    shared: FloatArray
    a_bytes: FloatArray
    b_bytes: IntArray


def _iteration(arch: Arch, problem: Problem, menu: _Menu, rate: float) -> _Iteration:
    a_bytes, b_bytes = menu.cta_m * menu.k_bytes * menu.a_share, menu.cta_n * menu.k_bytes
    tensor = menu.cta_m * menu.cta_n * (menu.k_bytes * 8 // problem.dtype.bits) / rate
    upright = a_bytes * menu.warps_n + b_bytes * np.ceil(menu.cta_m / WARPGROUP_M)
    read = np.where(menu.transposed, a_bytes * np.ceil(menu.cta_n / WARPGROUP_M) + b_bytes * menu.warps_m, upright)
    port = (read + (a_bytes + b_bytes) * arch.shared_memory.fill_contention) / arch.shared_memory.bandwidth_bytes_per_clk
    ingress = (a_bytes + b_bytes) / arch.l2.port_bytes_per_clk_per_sm
    alone = np.maximum(tensor, port) + arch.kernel.k_iteration_cycles
    return _Iteration(alone, np.maximum(np.maximum(tensor, port), ingress), a_bytes, b_bytes)
