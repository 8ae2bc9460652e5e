"""What a run returns: frozen rows and totals, in microseconds, TOPS and bytes, ready to print or to save as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stcsim.result.kernel import Gains, Interval, KernelResult, MemoryResult, account

__all__ = [
    "Footprint",
    "Gains",
    "Interval",
    "KernelResult",
    "LayerRow",
    "MemoryResult",
    "MemoryRow",
    "PruneGroup",
    "RunResult",
    "TimeSplit",
    "Totals",
    "Trust",
    "account",
]


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One GEMM or convolution of a trace, dense beside 2:4.

    Attributes:
        m, n, k, batch: the GEMM it lowers to: weight rows, tokens or pixels, reduction, independent GEMMs (groups).
        count: how often the trace launches it; times are of one launch, totals multiply by ``count``.
        macs: multiply-accumulates of one launch.
        dense: the kernel in the dense network, at that network's clock; ``None`` where not asked for.
        sparse: the kernel in the all-2:4 network, at that network's clock; ``None`` also where the layer may not be pruned.
        not_sparse_because: why there is no 2:4 kernel, else ``None``.
        best: ``"dense"`` or ``"2:4"``, what the layer is in the best-of-both network: what makes the whole fastest.
        chosen: that kernel in the best-of-both network, at that network's clock.
        speedup: dense time over 2:4 time, ``None`` without both; under a power limit each at its own network's clock.
        speedup_interval: where measured ones are to be expected, from GEMMs measured on both sides.
        weight_bytes: weights stored dense. compressed_bytes: values plus metadata when pruned (equal to
            ``weight_bytes`` where not pruned, 0 where the operation has no weights).
        metadata_bytes: the metadata share of ``compressed_bytes``.
        weight_of: name of the earlier layer that has the same weights, empty where they are its own.
        fused: names of the memory operations that run in this kernel. fused_bytes: what one launch reads for them.
        in_l2: which of weight (``a``), activation (``b``) the best-of-both kernel finds in L2, such as ``"b"`` or ``"ab"``.
        saved_us: what the best-of-both network would lose, all launches and its clock included, if this layer alone went back to
            dense; 0 where it is dense. prune_rank: its place among these, the largest first, from 1; ``None`` where it is dense.
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
    in_l2: str = ""
    speedup_interval: Interval | None = None
    saved_us: float = 0.0
    prune_rank: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """One memory operation of a trace that is a kernel of its own.

    Attributes:
        operator: what it does, e.g. ``"layer_norm"``. fused: names of the memory operations that run in its kernel.
        count: how often the trace launches it; times are of one launch, totals multiply by ``count``.
        dense: in the dense network, at that network's clock; ``None`` where not asked for. sparse: in the all-2:4 network.
        chosen: in the best-of-both network, at that network's clock.
    """

    name: str
    operator: str
    count: int
    dtype: str
    dense: MemoryResult | None
    sparse: MemoryResult | None
    chosen: MemoryResult
    fused: tuple[str, ...] = ()
    kind: str = "memory"


@dataclass(frozen=True, slots=True)
class PruneGroup:
    """Layers that are alike: the same sizes, the same name but for its numbers.

    Attributes:
        patterns: what ``--keep-dense`` takes to name just these. layers: their names, in the order of the trace.
        m, n, k, batch: the GEMM of each. launches: of all of them in one pass.
        pruned: how many of them are 2:4 in the best-of-both network.
        dense_us: all launches in the dense network, ``sparse_us`` in the all-2:4 one, ``chosen_us`` in best-of-both.
        saved_us: what the best-of-both network would lose, its clock included, if all of them went back to dense.
        running_us: what the dense network saves when this group and all before it in the list are pruned.
        weight_bytes: dense. compressed_bytes: with the pruned ones compressed, metadata included. Shared weights count once.
    """

    patterns: tuple[str, ...]
    layers: tuple[str, ...]
    m: int
    n: int
    k: int
    batch: int
    launches: int
    pruned: int
    dense_us: float
    sparse_us: float
    chosen_us: float
    saved_us: float
    running_us: float
    weight_bytes: int
    compressed_bytes: int


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
        best_us: the sides of ``LayerRow.best``, chosen so that the whole is fastest.
        speedup: ``dense_us / best_us``. sparse_speedup: ``dense_us / sparse_us``.
        A time is ``None`` where that side was not asked for.
        dense_tops, best_tops: ``2 * macs`` over the time.
        dense_uj, sparse_uj, best_uj: board energy of the same, microjoules.
        perf_per_watt_gain: work for each joule of best-of-both over that of dense.
        dense_clock_mhz, sparse_clock_mhz, best_clock_mhz: the one clock each network holds when replayed over and over.
        clock_is_limited: whether the board's power limit holds one of them below the highest clock.
        dense_split, sparse_split, best_split: where the time goes.
        dense_energy_parts_uj, sparse_energy_parts_uj, best_energy_parts_uj: energy by part (mac, smem, l2, dram, idle).
        weight_bytes, compressed_bytes: all weights dense, and with every eligible layer pruned; shared ones count once.
        pruned_weight_bytes, pruned_compressed_bytes: the same over eligible layers only.
        …_interval: where measurements are to be expected, 80 % of them.
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
    sparse_clock_mhz: float | None
    best_clock_mhz: float
    clock_is_limited: bool
    dense_split: TimeSplit | None
    sparse_split: TimeSplit | None
    best_split: TimeSplit
    dense_energy_parts_uj: dict[str, float] | None
    sparse_energy_parts_uj: dict[str, float] | None
    best_energy_parts_uj: dict[str, float]
    weight_bytes: int
    compressed_bytes: int
    pruned_weight_bytes: int
    pruned_compressed_bytes: int
    dense_us_interval: Interval | None = None
    sparse_us_interval: Interval | None = None
    best_us_interval: Interval | None = None
    speedup_interval: Interval | None = None
    sparse_speedup_interval: Interval | None = None
    dense_tops_interval: Interval | None = None
    best_tops_interval: Interval | None = None
    dense_uj_interval: Interval | None = None
    sparse_uj_interval: Interval | None = None
    best_uj_interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory that a network needs on the GPU, bytes.

    Attributes:
        dense_weight_bytes, sparse_weight_bytes, best_weight_bytes: weights of GEMMs and convolutions: all dense, all that may be
            pruned, as in best-of-both.
        activation_bytes: alive at once at the worst moment. cache_bytes: keys and values of attention, where the trace has them.
        capacity_bytes: of the GPU.
    """

    dense_weight_bytes: int
    sparse_weight_bytes: int
    best_weight_bytes: int
    activation_bytes: int
    cache_bytes: int
    capacity_bytes: int

    def total(self, weight_bytes: int) -> int:
        """Return all bytes with so many of weights."""
        return weight_bytes + self.activation_bytes + self.cache_bytes

    def fits(self, weight_bytes: int) -> bool:
        """Whether a network with so many bytes of weights fits."""
        return self.total(weight_bytes) <= self.capacity_bytes


@dataclass(frozen=True, slots=True)
class Trust:
    """How far to trust a run's figures.

    Attributes:
        evidence: ``board``, ``sibling`` or ``generation``: what was measured nearest to this GPU. rows: measured rows that the
            intervals were learned from, of the class with fewest.
        assumed: leaves of the GPU that are assumed or a what-if. verdict: ``pays``, ``does not pay`` or ``cannot tell``; ``None``
            where there is nothing to prune. made: when and from what the error model was made.
    """

    evidence: str
    rows: int
    assumed: tuple[str, ...]
    verdict: str | None
    made: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """A whole run: the fully resolved inputs and everything printed. A result can be re-run from ``inputs``.

    Attributes:
        inputs: ``arch`` (every leaf), ``trace`` (its operations) and ``trace_sha256``, or ``gemm``; and every option of the
            call by its name: ``dtype``, ``sparsity``, ``engine``, ``kernel``, ``launch``, ``fusion``, ``keep_dense``,
            ``dtype_of``; ``batch`` and ``version`` to be read. ``stcsim.replay.rerun`` takes them.
        rows: GEMMs and convolutions. memory: memory operations with a kernel of their own. Both in the order of the trace.
        groups: alike layers that have the choice between dense and 2:4, those that save most when pruned first.
        footprint: memory that it needs. trust: how far to trust it all.
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
    groups: tuple[PruneGroup, ...] = ()
    footprint: Footprint | None = None
    trust: Trust | None = None
