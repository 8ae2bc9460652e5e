"""Rows of a result: the layers of a trace, its memory operations, and groups of alike layers."""

from __future__ import annotations

from dataclasses import dataclass

from stcsim.result.kernel import Interval, KernelResult, MemoryResult


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One GEMM or convolution of a trace, dense beside 2:4.

    Attributes:
        name: of the layer in the trace.
        kind: ``"gemm"`` or ``"conv2d"``.
        m: rows of the weight: output features or filters.
        n: tokens, or batch times pixels.
        k: the reduction.
        batch: independent GEMMs in one launch (groups of a convolution).
        count: how often the trace launches it; times are of one launch, totals multiply by ``count``.
        dtype: element type of its inputs.
        macs: multiply-accumulates of one launch.
        dense: the kernel in the dense network, at that network's clock; ``None`` where not asked for.
        sparse: the kernel in the all-2:4 network, at that network's clock; ``None`` also where the layer may not be pruned.
        not_sparse_because: why there is no 2:4 kernel, else ``None``.
        best: ``"dense"`` or the GPU's pattern (``"2:4"``), what the layer is in the best-of-both network: what makes the whole
            fastest.
        chosen: that kernel in the best-of-both network, at that network's clock.
        speedup: dense time over 2:4 time, ``None`` without both; under a power limit each at its own network's clock.
        weight_bytes: weights stored dense.
        compressed_bytes: values plus metadata when pruned; ``weight_bytes`` where not pruned, 0 where the operation has no
            weights.
        metadata_bytes: the metadata share of ``compressed_bytes``.
        weight_of: name of the earlier layer that has the same weights, empty where they are its own.
        fused: names of the memory operations that run in this kernel.
        fused_bytes: what one launch reads for them.
        in_l2: which of weight (``a``) and activation (``b``) the best-of-both kernel finds in L2, such as ``"b"`` or ``"ab"``.
        speedup_interval: where measured speedups are to be expected, from GEMMs measured on both sides.
        saved_us: what the best-of-both network would lose, all launches and its clock included, if this layer alone went back to
            dense; 0 where it is dense.
        prune_rank: its place among those savings, the largest first, from 1; ``None`` where it is dense.
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

    @property
    def is_pruned(self) -> bool:
        """Whether the best-of-both network has the layer pruned."""
        return self.best != "dense"


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """One memory operation of a trace that is a kernel of its own.

    Attributes:
        name: of the operation in the trace.
        operator: what it does, e.g. ``"layer_norm"``.
        count: how often the trace launches it; times are of one launch, totals multiply by ``count``.
        dtype: element type of what it reads and writes.
        dense: in the dense network, at that network's clock; ``None`` where not asked for.
        sparse: in the all-2:4 network, at that network's clock; ``None`` where not asked for.
        chosen: in the best-of-both network, at that network's clock.
        fused: names of the memory operations that run in its kernel.
        kind: ``"memory"``.
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
        patterns: what ``keep_dense`` takes to name just these.
        layers: their names, in the order of the trace.
        m: rows of the weight of each.
        n: tokens, or batch times pixels, of each.
        k: the reduction of each.
        batch: independent GEMMs in one launch of each.
        launches: of all of them in one pass.
        pruned: how many of them are 2:4 in the best-of-both network.
        dense_us: all launches in the dense network.
        sparse_us: all launches in the all-2:4 network.
        chosen_us: all launches in the best-of-both network.
        saved_us: what the best-of-both network would lose, its clock included, if all of them went back to dense.
        running_us: what the dense network saves when this group and all before it in the list are pruned.
        weight_bytes: their weights, dense; shared weights count once.
        compressed_bytes: their weights with the pruned ones compressed, metadata included.
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
