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
class LayerRow:
    """One operation of a trace, dense beside 2:4.

    Attributes:
        m, n, k, batch: the GEMM it lowers to: weight rows, tokens or pixels, reduction, independent GEMMs (groups).
        count: how often the trace launches it; times are of one launch, totals multiply by ``count``.
        macs: multiply-accumulates of one launch.
        dense, sparse: the kernels; ``None`` where not asked for, or (sparse) where the layer may not be pruned.
        not_sparse_because: why there is no 2:4 kernel, else ``None``.
        best: ``"dense"`` or ``"2:4"``, whichever is faster. speedup: dense time over 2:4 time, ``None`` without both.
        weight_bytes: weights stored dense. compressed_bytes: values plus metadata when pruned (equal to
            ``weight_bytes`` where not pruned, 0 where the operation has no weights).
        metadata_bytes: the metadata share of ``compressed_bytes``.
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
    speedup: float | None
    weight_bytes: int
    compressed_bytes: int
    metadata_bytes: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over the trace (each row times its count).

    Attributes:
        dense_us: every layer dense. sparse_us: 2:4 wherever a layer may be pruned, dense elsewhere.
        best_us: the faster of the two layer by layer, as a deployment tool picks.
        speedup: ``dense_us / best_us``. sparse_speedup: ``dense_us / sparse_us``.
        A time is ``None`` where that side was not asked for.
        dense_tops, best_tops: ``2 * macs`` over the time.
        dense_uj, sparse_uj, best_uj: board energy of the same, microjoules.
        weight_bytes, compressed_bytes: all weights dense, and with every eligible layer pruned.
        pruned_weight_bytes, pruned_compressed_bytes: the same over eligible layers only.
        eligible_macs: MACs in layers that may be pruned.
    """

    launches: int
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
    weight_bytes: int
    compressed_bytes: int
    pruned_weight_bytes: int
    pruned_compressed_bytes: int


@dataclass(frozen=True, slots=True)
class RunResult:
    """A whole run: the fully resolved inputs and everything printed. A result can be re-run from ``inputs``.

    Attributes:
        inputs: ``arch`` (every leaf), ``trace`` (its operations), ``trace_sha256``, ``dtype``, ``batch``, ``sparsity``,
            ``engine``, ``kernel``, ``set`` and ``version``.
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
