"""What a run returns: frozen rows and totals, in microseconds, TOPS and bytes, ready to print or to save as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class KernelResult:
    """One GEMM as one kernel, dense or 2:4; times are for a single launch.

    Attributes:
        kernel: name of the catalogue kernel with its split, e.g. ``"sm80_128x256x32_s3_2x4"``.
        time_us: launch to end.
        tops: effective tera-operations per second, ``2 * macs / time`` (2:4 counts the pruned products too).
        share_of_peak: ``tops`` over the vendor peak of this sparsity and type.
        cycles: SM clock cycles of the kernel, launch excluded.
        clock_mhz: SM clock it holds: below the sustained one where the board's power limit binds.
        watts: average board power when launched over and over. energy_uj: ``watts * time_us``.
        bound: what it waited for most: a key of ``breakdown``.
        breakdown: microseconds by part (launch, tensor, smem, issue, ingress, l2, dram, latency, prologue, epilogue,
            reduction, tail); they sum to ``time_us``.
        bytes: ``l2_read``, ``dram_read``, ``write`` (D), all bytes.
        ctas: CTAs launched. ctas_per_sm: resident at once. waves: ``ctas`` over what fits on the GPU at once.
        roofline_us: the plain roofline beside it: the larger of compute at peak and compulsory DRAM traffic at peak.
        bounds_us: closed-form lower bounds of this kernel by resource, launch included (no simulation).
    """

    kernel: str
    time_us: float
    tops: float
    share_of_peak: float
    cycles: float
    clock_mhz: float
    watts: float
    energy_uj: float
    bound: str
    breakdown: dict[str, float]
    bytes: dict[str, int]
    ctas: int
    ctas_per_sm: int
    waves: float
    roofline_us: float
    bounds_us: dict[str, float]


@dataclass(frozen=True, slots=True)
class MemoryResult:
    """One memory operation as one kernel; times are for a single launch.

    Attributes:
        time_us: launch to end. clock_mhz: SM clock.
        watts: average board power when launched over and over. energy_uj: ``watts * time_us``.
        bound: what it waited for most: a key of ``breakdown``.
        breakdown: microseconds by part (launch, latency, and l2 or dram, whichever is slower); they sum to ``time_us``.
        bytes: ``read`` and ``write``, all of which pass the L2; ``dram_read`` and ``dram_write`` of these pass DRAM too.
    """

    time_us: float
    clock_mhz: float
    watts: float
    energy_uj: float
    bound: str
    breakdown: dict[str, float]
    bytes: dict[str, int]


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One GEMM or convolution of a trace, dense beside 2:4.

    Attributes:
        m, n, k, batch: the GEMM it lowers to: weight rows, tokens or pixels, reduction, independent GEMMs (groups).
        count: how often the trace launches it; times are of one launch, totals multiply by ``count``.
        macs: multiply-accumulates of one launch.
        dense: the kernel in the dense network, at that network's clock; ``None`` where not asked for.
        sparse: the 2:4 kernel, at the clock of the best-of-both network; ``None`` also where the layer may not be pruned.
        not_sparse_because: why there is no 2:4 kernel, else ``None``.
        best: ``"dense"`` or ``"2:4"``, whichever is faster when a tool times the layer alone.
        chosen: that kernel in the best-of-both network, at that network's clock.
        speedup: dense time over 2:4 time, ``None`` without both.
        weight_bytes: weights stored dense. compressed_bytes: values plus metadata when pruned (equal to
            ``weight_bytes`` where not pruned, 0 where the operation has no weights).
        metadata_bytes: the metadata share of ``compressed_bytes``.
        weight_of: name of the earlier layer that has the same weights, empty where they are its own.
        fused: names of the memory operations that run in this kernel. fused_bytes: what one launch reads for them.
        saved_us: what 2:4 saves where it is best, all launches. prune_rank: its place among these, the largest first, from 1.
        saved_share: share of all savings up to this place. The last two are ``None`` where 2:4 is not best.
    """

    name: str
    kind: str
    m: int
    n: int
    k: int
    batch: int
    count: int
    dtype: str
    macs: int
    dense: KernelResult | None
    sparse: KernelResult | None
    not_sparse_because: str | None
    best: str
    chosen: KernelResult
    speedup: float | None
    weight_bytes: int
    compressed_bytes: int
    metadata_bytes: int
    weight_of: str = ""
    fused: tuple[str, ...] = ()
    fused_bytes: int = 0
    saved_us: float = 0.0
    prune_rank: int | None = None
    saved_share: float | None = None


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """One memory operation of a trace that is a kernel of its own.

    Attributes:
        operator: what it does, e.g. ``"layer_norm"``. fused: names of the memory operations that run in its kernel.
        count: how often the trace launches it; times are of one launch, totals multiply by ``count``.
        dense: in the dense network, at that network's clock; ``None`` where not asked for.
        chosen: in the best-of-both network, at that network's clock.
    """

    name: str
    operator: str
    count: int
    dtype: str
    dense: MemoryResult | None
    chosen: MemoryResult
    fused: tuple[str, ...] = ()
    kind: str = "memory"


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Where the time of a network goes, microseconds; the three sum to its total.

    Attributes:
        layers: kernels of GEMMs and convolutions. memory: kernels of memory operations. launch: gaps before all of them.
    """

    layers: float
    memory: float
    launch: float


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the trace (each row times its count), memory operations included.

    Attributes:
        launches: kernels of one pass. memory_launches: those of memory operations. fused: operations that need no kernel.
        macs: multiply-accumulates. eligible_macs: in layers that may be pruned.
        dense_us: every layer dense. sparse_us: 2:4 wherever a layer may be pruned, dense elsewhere.
        best_us: the faster of the two layer by layer, as a deployment tool picks.
        speedup: ``dense_us / best_us``. sparse_speedup: ``dense_us / sparse_us``.
        A time is ``None`` where that side was not asked for.
        dense_tops, best_tops: ``2 * macs`` over the time.
        dense_uj, sparse_uj, best_uj: board energy of the same, microjoules.
        perf_per_watt_gain: work for each joule of best-of-both over that of dense.
        dense_clock_mhz, best_clock_mhz: the one clock each network holds when replayed over and over; all-2:4 runs at the latter.
        clock_is_limited: whether the board's power limit holds one of them below the highest clock.
        dense_split, sparse_split, best_split: where the time goes.
        weight_bytes, compressed_bytes: all weights dense, and with every eligible layer pruned; shared ones count once.
        pruned_weight_bytes, pruned_compressed_bytes: the same over eligible layers only.
    """

    launches: int
    memory_launches: int
    fused: int
    macs: int
    eligible_macs: int
    dense_us: float | None
    sparse_us: float | None
    best_us: float
    speedup: float | None
    sparse_speedup: float | None
    dense_tops: float | None
    best_tops: float
    dense_uj: float | None
    sparse_uj: float | None
    best_uj: float
    perf_per_watt_gain: float | None
    dense_clock_mhz: float | None
    best_clock_mhz: float
    clock_is_limited: bool
    dense_split: TimeSplit | None
    sparse_split: TimeSplit | None
    best_split: TimeSplit
    weight_bytes: int
    compressed_bytes: int
    pruned_weight_bytes: int
    pruned_compressed_bytes: int


@dataclass(frozen=True, slots=True)
class RunResult:
    """A whole run: the fully resolved inputs and everything printed. A result can be re-run from ``inputs``.

    Attributes:
        inputs: ``arch`` (every leaf), ``trace`` (its operations) and ``trace_sha256``, or ``gemm``; and every option of the
            call by its name: ``dtype``, ``sparsity``, ``engine``, ``kernel``, ``launch``, ``fusion``, ``keep_dense``,
            ``dtype_of``; ``batch`` and ``version`` to be read. ``stcsim.replay.rerun`` takes them.
        rows: GEMMs and convolutions. memory: memory operations with a kernel of their own. Both in the order of the trace.
    """

    arch: str
    trace: str
    dtype: str
    batch: int
    sparsity: str
    engine: str
    inputs: dict[str, Any]
    rows: tuple[LayerRow, ...]
    totals: Totals
    memory: tuple[MemoryRow, ...] = ()
