"""The first of three sieves of a large menu: a rough time of all its kernels at once, in numpy.

The second is the closed form (``estimate``), the third the simulation. A rough time is the busiest SM's iterations, or all
traffic of the L2 if that takes longer, plus what a tile writes and what split-K adds. It knows neither DRAM nor residency.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from stcsim.arch import Arch
from stcsim.timing.kernel import SPLITS, Kernel
from stcsim.timing.lower import WARPGROUP_M, reduction_cycles, tensor_rate
from stcsim.timing.plan import IntArray
from stcsim.timing.problem import Problem
from stcsim.timing.tiling import cluster_units

KEPT = 80
"""Kernels, each with a number of k-slices, that the closed form looks at."""

FloatArray = npt.NDArray[np.float64]
_SPLITS: FloatArray = np.array(SPLITS, np.float64)[:, None]
_WRITE_BYTES_PER_CLK = 32.0  # of one SM, an eighth of what all of them get from L2; only ranks kernels


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
    return np.array([getattr(kernel, name) for kernel in kernels])


def shortlist(arch: Arch, problem: Problem, kernels: tuple[Kernel, ...], kept: int = KEPT) -> list[tuple[Kernel, int]]:
    """Return the most promising of ``kernels`` (all ``wgmma``, dense or 2:4 alike), each with its k-slices.

    Best first; ties: fewer slices, then the menu's order. What does not fit an SM is not sorted out.
    """
    times = _times(arch, problem, _columns(kernels), tensor_rate(arch, problem, kernels[0])).ravel()
    best = np.argsort(times, kind="stable")[:kept]
    return [(kernels[at % len(kernels)], SPLITS[at // len(kernels)]) for at in best.tolist() if np.isfinite(times[at])]


def _times(arch: Arch, problem: Problem, menu: _Menu, rate: float) -> FloatArray:
    """Return rough cycles, [splits][kernel]; infinite where a library would not split so."""
    k = menu.k_bytes * 8 // problem.dtype.bits
    k_iters = np.ceil(problem.k / k)
    unit_ctas = menu.cluster_m * menu.cluster_n
    units = _units(arch, unit_ctas)
    m_tiles, n_tiles = np.ceil(problem.m / (menu.cta_m * menu.cluster_m)), np.ceil(problem.n / (menu.cta_n * menu.cluster_n))
    tiles = m_tiles * n_tiles * problem.batch
    slices, rounds = tiles * _SPLITS, np.ceil(tiles * _SPLITS / units)
    together, alone = _iteration(arch, menu, menu.cta_m * menu.cta_n * k / rate)
    busiest = np.where(menu.stream_k, slices / units, rounds) * np.where(menu.pingpong & (rounds > 1), together, alone)
    l2 = slices * (menu.cta_m * menu.cluster_m + menu.cta_n * menu.cluster_n) * menu.k_bytes / arch.l2.bandwidth_bytes_per_clk
    written = rounds * menu.cta_m * menu.cta_n * problem.out_bytes / _WRITE_BYTES_PER_CLK
    body = np.maximum(busiest, l2) * np.ceil(k_iters / _SPLITS) + written
    reduced = np.array(
        [[reduction_cycles(arch, problem, each, arch.clock.sustained_mhz) if each > 1 else 0.0] for each in SPLITS]
    )
    pays = (tiles * (_SPLITS - 1) < 4 * arch.sm.count) & (problem.k >= 2 * _SPLITS * k)
    offered = (_SPLITS <= np.minimum(menu.max_splits, k_iters)) & ((_SPLITS == 1) | pays)
    times: FloatArray = np.where(offered, body + reduced, np.inf)
    return times


def _units(arch: Arch, unit_ctas: IntArray) -> FloatArray:
    """Return how many clusters of each size the GPU holds; next to none of sizes it does not have."""
    sizes, which = np.unique(unit_ctas, return_inverse=True)
    held = [cluster_units(arch, int(size)) if size <= arch.kernel.max_cluster_ctas else 0 for size in sizes]
    units: FloatArray = np.array(held, np.float64)[which]
    return np.where(units > 0, units, 1e-9)


def _iteration(arch: Arch, menu: _Menu, tensor: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return cycles of an iteration where another tile fills the gaps, and of one alone."""
    a_bytes, b_bytes = menu.cta_m * menu.k_bytes, menu.cta_n * menu.k_bytes
    upright = a_bytes * menu.warps_n + b_bytes * np.ceil(menu.cta_m / WARPGROUP_M)
    read = np.where(menu.transposed, a_bytes * np.ceil(menu.cta_n / WARPGROUP_M) + b_bytes * menu.warps_m, upright)
    filled = (a_bytes + b_bytes) * arch.shared_memory.fill_contention
    port = (read + filled) / arch.shared_memory.bandwidth_bytes_per_clk
    ingress = (a_bytes + b_bytes) / arch.l2.port_bytes_per_clk_per_sm
    return np.maximum(np.maximum(tensor, port), ingress), np.maximum(tensor, port) + arch.kernel.k_iteration_cycles
