"""The mechanisms of the timing model, each with the way to switch it off alone; ``ablation`` measures what each is worth.

A mechanism is off by other values of the GPU's file, by stand-ins for functions of the model (``stand_ins``), or by another
description of the measured row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

import numpy as np

from stcsim.arch import Arch
from stcsim.study.evidence.stand_ins import instead_of, shipped
from stcsim.study.measured import Measured
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.plan import HELD_WHOLE, IntArray
from stcsim.timing.problem import Problem
from stcsim.timing.rates import Held, dram_bytes_per_us, l2_capacity_bytes, reduction_bytes

HOPPER, HOPPER_SPARSE, HOPPER_DENSE = ("h?00*",), ("h?00* 2:4 *",), ("h?00* dense *",)
MMA_SYNC = ("a*", "l40s *", "rtx*")
MMA_SYNC_SPARSE, MMA_SYNC_DENSE = ("a* 2:4 *", "rtx* 2:4 *"), ("a* dense *", "l40s dense *", "rtx* dense *")
DENSE, EVERYWHERE = ("* dense *",), ("*",)
FLAT_OUT = 1e6
"""Bytes a cycle that nothing waits for."""


@dataclass(frozen=True, slots=True)
class Mechanism:
    """One mechanism and how to do without it.

    Attributes:
        name: what the model has.
        without: what it has instead while the mechanism is off.
        cells: patterns of the cells ("GPU sparsity type") that it can touch; none for one that no GEMM of the tables shows.
        settings: leaves that take other values, given the GPU.
        off: a context in which parts of the model have stand-ins.
        given: a context in which errors with the mechanism are found, where another one hides it; ``off`` then includes it.
        row: the measured row as the model is to see it.
        among: the rows that are sampled; all where ``None``.
    """

    name: str
    without: str
    cells: tuple[str, ...] = EVERYWHERE
    settings: Callable[[Arch], Mapping[str, object]] = lambda arch: {}
    off: Callable[[], AbstractContextManager[Any]] = nullcontext
    given: Callable[[], AbstractContextManager[Any]] = nullcontext
    row: Callable[[Measured], Measured] = lambda row: row
    among: Callable[[Measured], bool] | None = None

    @property
    def has_givens(self) -> bool:
        """Whether errors with the mechanism are found in a context of its own."""
        return self.given is not nullcontext

    def touches(self, cell: str) -> bool:
        """Say whether the mechanism can act on a cell, "GPU sparsity type"."""
        return any(fnmatchcase(cell, pattern) for pattern in self.cells)


def leaves(**values: object) -> Callable[[Arch], Mapping[str, object]]:
    """Return settings that are the same on every GPU; ``l2__capacity_mib`` stands for ``l2.capacity_mib``."""
    changed = {name.replace("__", "."): value for name, value in values.items()}
    return lambda arch: changed


def kernels_as(change: Callable[[Kernel], Kernel | None]) -> Callable[[], AbstractContextManager[None]]:
    """Return a context in which ``change`` has been at every kernel of the catalogue; ``None`` takes a kernel out."""
    kernels = shipped("kernels")

    @cache
    def changed(family: str, sparse: bool) -> tuple[Kernel, ...]:
        return tuple(other for kernel in kernels(family, sparse) if (other := change(kernel)) is not None)

    return lambda: instead_of("kernels", changed)


def reads_as(fewer: Callable[[Problem, Kernel, int], int]) -> Callable[[], AbstractContextManager[None]]:
    """Return a context in which MMAs read other bytes from shared memory: ``fewer`` gets the model's figure."""
    read_bytes = shipped("smem_read_bytes")
    return lambda: instead_of("smem_read_bytes", lambda problem, kernel: fewer(problem, kernel, read_bytes(problem, kernel)))


def b_once_mma(problem: Problem, kernel: Kernel, read: int) -> int:
    """Return ``read`` less what all rows of warps but the first read of B."""
    return read if kernel.wgmma else read - (kernel.warps_m - 1) * kernel.cta_n * kernel.k_bytes


def along_and_across(kernel: Kernel) -> tuple[int, int]:
    """Return the sides of a tile along the rows and the columns of its ``wgmma``."""
    return (kernel.cta_n, kernel.cta_m) if kernel.transposed else (kernel.cta_m, kernel.cta_n)


def warpgroup_rows(rows: int) -> int:
    """Return how many times the 64 rows of a ``wgmma`` cover ``rows``."""
    return -(-rows // 64)


def b_once_wgmma(problem: Problem, kernel: Kernel, read: int) -> int:
    """Return ``read`` less what all 64 rows of D but the first read of B."""
    rows, columns = along_and_across(kernel)
    return read - (warpgroup_rows(rows) - 1) * columns * kernel.k_bytes if kernel.wgmma else read


def a_from_registers(problem: Problem, kernel: Kernel, read: int) -> int:
    """Return what is read where A is in registers."""
    rows, columns = along_and_across(kernel)
    return warpgroup_rows(rows) * columns * kernel.k_bytes if kernel.wgmma else read


def in_turn(row: Measured) -> bool:
    """Whether several sets of weights were launched in turn."""
    return row.weight_copies > 1


def as_one_or_cold(row: Measured) -> Measured:
    """Return a row whose weights are cold unless they are the same in every launch."""
    return replace(row, weight_copies=1 if row.weight_copies == 1 else 0)


def one_result() -> AbstractContextManager[None]:
    """Return a context in which all sets of weights write the same D."""
    held_in_l2, share = shipped("held_in_l2"), shipped("held_share")

    def held(arch: Arch, problem: Problem, sparse: bool) -> Held:
        found: Held = held_in_l2(arch, problem, sparse)
        if problem.a_on_chip or not problem.weights_in_l2:
            return found
        turn = problem.weight_copies * problem.a_bytes(sparse) + problem.b_bytes + problem.d_bytes
        alone: Held = held_in_l2(arch, replace(problem, weight_copies=1), sparse)
        return found._replace(a=share(turn, l2_capacity_bytes(arch)), d=alone.d)

    return instead_of("held_in_l2", held)


def all_or_nothing(touched_bytes: int, capacity_bytes: int) -> int:
    """Return what stays of a set of bytes where one too many drives all out."""
    return HELD_WHOLE if touched_bytes <= capacity_bytes else 0


def reduction_from_dram(arch: Arch, problem: Problem, splits: int) -> float:
    """Return the microseconds of a split-K reduction whose partial sums all come from DRAM."""
    return arch.launch.graph_us + reduction_bytes(problem, splits) / dram_bytes_per_us(arch) if splits > 1 else 0.0


def no_output(*_: object) -> IntArray:
    """Stand in for the table of bytes that tiles write, by whether they stand at the edges along m and n."""
    return np.zeros((2, 2), np.int64)


def only(kernels: Callable[[Kernel], bool], **values: Any) -> Callable[[], AbstractContextManager[None]]:
    """Return a context in which those ``kernels`` have other ``values``."""
    return kernels_as(lambda kernel: replace(kernel, **values) if kernels(kernel) else kernel)


def taken_out(kernels: Callable[[Kernel], bool]) -> Callable[[], AbstractContextManager[None]]:
    """Return a context in which the catalogue lacks those ``kernels``."""
    return kernels_as(lambda kernel: None if kernels(kernel) else kernel)


def is_any(kernel: Kernel) -> bool:
    """Accept every kernel."""
    return True


def is_ampere_sparse(kernel: Kernel) -> bool:
    """Whether a kernel is a 2:4 one of ``mma.sync``."""
    return kernel.sparse and not kernel.wgmma


def is_hopper_sparse(kernel: Kernel) -> bool:
    """Whether a kernel is a 2:4 one of ``wgmma``."""
    return kernel.sparse and kernel.wgmma


def is_fine(kernel: Kernel) -> bool:
    """Whether a tile is one of the fine grid of cuBLAS on Hopper that CUTLASS does not have."""
    return kernel.wgmma and not {kernel.cta_m, kernel.cta_n} <= {16, 32, 64, 128, 256}


MECHANISMS = (
    # shared memory and tensor cores
    Mechanism("fills share the shared-memory port", "fills free", settings=leaves(shared_memory__fill_contention=0)),
    Mechanism("B read again by every row of warps (mma.sync)", "B read once", MMA_SYNC, off=reads_as(b_once_mma)),
    Mechanism("B read again for every 64 rows (wgmma)", "B read once", HOPPER, off=reads_as(b_once_wgmma)),
    Mechanism("wgmma reads A from shared memory", "A in registers", HOPPER, off=reads_as(a_from_registers)),
    Mechanism("B fragments of Ampere 2:4 in one buffer", "loaded ahead", MMA_SYNC_SPARSE,
              off=lambda: instead_of("iteration_cycles", lambda arch, *_: arch.kernel.k_iteration_cycles)),
    Mechanism("metadata of 2:4", "no bytes", ("* 2:4 *",), off=lambda: instead_of("metadata_bytes", lambda *_: 0)),
    Mechanism("warps of a CTA that cannot fill the tensor cores", "any can", MMA_SYNC,
              off=lambda: instead_of("warp_rate", shipped("tensor_rate"))),
    Mechanism("cycles of every iteration", "0", settings=leaves(kernel__k_iteration_cycles=0)),
    # memory
    Mechanism("latency of loads", "0: loads wait in queues only",
              settings=leaves(l2__near_latency_cycles=0, l2__far_latency_cycles=0, dram__latency_cycles=0,
                              kernel__load_latency_cycles=0)),
    Mechanism("far half of the L2", "as near", settings=lambda arch: {"l2.far_latency_cycles": arch.l2.near_latency_cycles}),
    Mechanism("L2 capacity", "everything fits", settings=leaves(l2__capacity_mib=1_000_000)),
    Mechanism("share of the L2 for data that all SMs read", "1", settings=leaves(l2__shared_fraction=1)),
    Mechanism("cold weights", "warm where they fit", row=lambda row: replace(row, weight_copies=1)),
    Mechanism("weights launched in turn are in L2 again if all fit", "cold", row=as_one_or_cold, among=in_turn),
    Mechanism("results rotate with weights", "one result for all", off=one_result, among=in_turn),
    Mechanism("a set a little too large for the L2 keeps a part", "none of it",
              off=lambda: instead_of("held_share", all_or_nothing)),
    Mechanism("D as wide as it was measured", "as wide as the inputs", ("* fp8",),
              row=lambda row: replace(row, out_dtype=row.dtype)),
    Mechanism("write traffic of D", "none", off=lambda: instead_of("out_bytes", no_output)),
    # a CTA's start and end
    Mechanism("prologue", "0", settings=leaves(kernel__prologue_cycles=0, kernel__next_prologue_cycles=0)),
    Mechanism("cuSPARSELt's Hopper kernels end with their tile", "persistent", ("h?00* 2:4 *",),
              off=only(is_hopper_sparse, single_tile=False)),
    Mechanism("threads write a tile at a limited rate", "at once", settings=leaves(kernel__epilogue_bytes_per_clk=FLAT_OUT)),
    # which kernels there are, and how they walk
    Mechanism("cuSPARSELt's Ampere kernels walk along m", "groups of 8", MMA_SYNC_SPARSE, off=only(is_ampere_sparse, swizzle=8)),
    Mechanism("dense kernels walk in groups of 8", "along m", DENSE, off=only(lambda kernel: not kernel.sparse, swizzle=1)),
    Mechanism("split-K", "none", off=only(is_any, max_splits=1)),
    Mechanism("stream-K, among CUTLASS's tiles", "none", HOPPER_DENSE, given=taken_out(is_fine),
              off=taken_out(lambda kernel: is_fine(kernel) or kernel.stream_k)),
    Mechanism("at most two slices in 2:4 of mma.sync, among n up to 64", "32", MMA_SYNC_SPARSE,
              off=only(is_ampere_sparse, max_splits=32), among=lambda row: row.n <= 64),
    Mechanism("reduction after split-K", "free",
              off=lambda: instead_of("reduction_ticks", lambda *_: 0)),
    Mechanism("reduction in the L2 at a share of its rate", "at the DRAM's rate",
              off=lambda: instead_of("reduction_us", reduction_from_dram)),
    Mechanism("matrix-vector kernel, among n = 1", "none", ("a100 dense *",), off=taken_out(lambda kernel: kernel.gemv),
              among=lambda row: row.n == 1),
    Mechanism("clusters that share by multicast", "CTAs alone", HOPPER, settings=leaves(kernel__max_cluster_ctas=1)),
    Mechanism("clusters of more than two", "of two", HOPPER_DENSE, settings=leaves(kernel__max_cluster_ctas=2)),
    Mechanism("clusters fit into GPCs", "one GPC", HOPPER, settings=lambda arch: {"sm.sms_per_gpc": [arch.sm.count]}),
    Mechanism("ping-pong", "none", HOPPER_DENSE, off=taken_out(lambda kernel: kernel.pingpong)),
    Mechanism("Hopper's 2:4 tiles of 16-bit types", "those of 8 bits", ("h?00* 2:4 *16",),
              off=only(is_hopper_sparse, widest_bits=32)),
    Mechanism("cuBLAS's fine grid of tiles on Hopper", "16 to 256 by doubling", HOPPER_DENSE, off=taken_out(is_fine)),
    Mechanism("tiles with the MMA's rows along n", "none", HOPPER_DENSE, off=taken_out(lambda kernel: kernel.transposed)),
    Mechanism("torch's kernels are picked by heuristics", "by a search", ("a100 dense *",),
              row=lambda row: replace(row, by_heuristic=False)),
    Mechanism("cuBLAS's fp16 tiles of 96 to 192 columns", "none", ("a100-pcie dense fp16",),
              off=taken_out(lambda kernel: kernel.only == "fp16")),
    # launch, clock and power
    Mechanism("launch", "0", settings=leaves(launch__stream_us=0, launch__graph_us=0)),
    Mechanism("early launch", "none", HOPPER_DENSE, settings=leaves(launch__early_us=None)),
    Mechanism("power limit", "none", settings=leaves(power__board_limit_w=1_000_000)),
    Mechanism("a burst may pass the limit for a while", "the limit from the first launch", settings=leaves(power__response_ms=0)),
    Mechanism("a burst has a limit, too", "none", settings=leaves(power__burst_ratio=10)),
    Mechanism("tens of milliseconds until the limit holds", "2.6 ms", settings=leaves(power__response_ms=2.6)),
    Mechanism("launches before the timed ones heat the board", "none before", row=lambda row: replace(row, launches_before=0)),
    Mechanism("energy of a MAC of half the width", "half", ("h100-pcie * fp8",), settings=leaves(power__half_width_ratio=0.5)),
    Mechanism("energy of a 2:4 MAC", "as dense", ("* 2:4 *",), settings=leaves(power__sparse_mac_ratio=1)),
    # what published rates of instructions show: no kernel of these GEMMs issues two of them, and GEMMs do not miss the first
    Mechanism("issue efficiency", "1", (), leaves(tensor_core__issue_efficiency=1)),
    Mechanism("mma.sync at two thirds on Hopper", "whole rate", (), leaves(tensor_core__mma_sync_efficiency=1)),
    Mechanism("least interval of mma.sp", "none", (), leaves(tensor_core__sparse_min_issue_cycles=None)),
)  # fmt: skip
