"""The roofline of a network: every layer under the peaks of compute, DRAM and L2, dense and 2:4, by the bytes it really moved.

Every level of memory has its slope, and a kernel has an arithmetic intensity for each level: its operations over the bytes that
passed there while it was simulated, with misses, repeated reads and what the operations fused into it read (Yang, Kurth and
Williams 2019, "Hierarchical Roofline analysis for GPUs"). So no kernel can stand above the lowest of its roofs. It stays below
that because of everything else: launch, latency, waves, shared memory, the clock under load.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from stcsim import replay
from stcsim.arch import Arch, ArchOrName, load_arch
from stcsim.errors import StcsimError
from stcsim.partial import Partial
from stcsim.replay.door import element_on
from stcsim.result import KernelResult, LayerRow, Trust
from stcsim.trace import Conv2d, Gemm, TraceOrName, load_trace


@dataclass(frozen=True, slots=True)
class Spot:
    """One layer with one kernel, dense or 2:4.

    Attributes:
        dram_bytes: that passed DRAM in one launch, read and written.
        l2_bytes: that passed the L2, those of DRAM among them.
        dram_intensity: operations (two for a multiply-accumulate, pruned ones too) for each byte of DRAM; ``None`` where all was
            in L2.
        l2_intensity: for each byte of L2.
        time_us: of one launch.
        tops: achieved, 10^12 operations a second.
        roof_tops: the lowest of the peaks at these intensities.
        bound: which one it is: "compute", "dram" or "l2".
        share_of_time: of all launches in the network with this sparsity (layers that may not be pruned run dense in both).
    """

    dram_bytes: float
    l2_bytes: float
    dram_intensity: float | None
    l2_intensity: float
    time_us: float
    tops: float
    roof_tops: float
    bound: str
    share_of_time: float

    @property
    def intensity(self) -> float:
        """Operations for each byte of DRAM, or of L2 where no byte passed DRAM."""
        return self.l2_intensity if self.dram_intensity is None else self.dram_intensity

    @property
    def share_of_roof(self) -> float:
        """Achieved over what the roof allows."""
        return self.tops / self.roof_tops


@dataclass(frozen=True, slots=True)
class RooflineLayer:
    """One layer of the network; ``sparse`` is ``None`` where it may not be pruned or the GPU cannot."""

    name: str
    m: int
    n: int
    k: int
    batch: int
    count: int
    dense: Spot
    sparse: Spot | None


@dataclass(frozen=True, slots=True)
class Roofs:
    """The peaks that no kernel can pass.

    Attributes:
        dense_tops: the vendor's peak of compute, 10^12 operations a second, at ``clock_mhz``.
        sparse_tops: the same with 2:4,
            ``None`` without Sparse Tensor Cores.
        dram_gb_per_s: the vendor's peak of DRAM.
        l2_gb_per_s: what GEMM streams get of the L2, at the sustained clock. Vendors quote none; this one is
            ``l2.bandwidth_bytes_per_clk``, fitted to measured GEMMs.
        clock_mhz: the highest that the board may hold.
        data_sheet_mhz: the one behind the vendor's peak, which may be lower.
        pattern: name of the GPU's sparsity pattern, ``"2:4"``.
    """

    dense_tops: float
    sparse_tops: float | None
    dram_gb_per_s: float
    l2_gb_per_s: float
    clock_mhz: float
    data_sheet_mhz: float
    pattern: str

    def compute_tops(self, sparse: bool) -> float:
        """Return the peak of compute."""
        return self.sparse_tops if sparse and self.sparse_tops else self.dense_tops

    def lowest(self, sparse: bool, dram_intensity: float | None, l2_intensity: float) -> tuple[float, str]:
        """Return the lowest roof at so many operations for each byte, 10^12 operations a second, and which one it is."""
        tops = {"compute": self.compute_tops(sparse), "l2": l2_intensity * self.l2_gb_per_s * 1e-3}
        if dram_intensity is not None:
            tops["dram"] = dram_intensity * self.dram_gb_per_s * 1e-3
        bound = min(tops, key=lambda roof: tops[roof])
        return tops[bound], bound


@dataclass(frozen=True, slots=True)
class Roofline:
    """A network at its batch on one GPU in one type; ``layers`` in network order, the rest is of the run."""

    name: str
    batch: int
    arch: str
    dtype: str
    roofs: Roofs
    layers: tuple[RooflineLayer, ...]
    inputs: dict[str, Any]
    trust: Trust | None = None
    partial: Partial | None = None

    @property
    def pattern(self) -> str:
        """Name of the GPU's sparsity pattern."""
        return self.roofs.pattern

    def alike(self) -> tuple[RooflineLayer, ...]:
        """Return one layer for all of the same sizes: their mean, with all their launches and time; slowest dense first."""
        groups: dict[tuple[object, ...], list[RooflineLayer]] = {}
        for layer in self.layers:
            groups.setdefault((layer.m, layer.n, layer.k, layer.batch, layer.sparse is None), []).append(layer)
        together = [_together(layers, self.roofs) for layers in groups.values()]
        return tuple(sorted(together, key=lambda layer: -layer.dense.share_of_time))


def roofline_of(
    trace: TraceOrName, arch: ArchOrName, dtype: str | None = None, progress: replay.Progress | None = None
) -> Roofline:
    """Run ``trace`` on ``arch`` and place every GEMM and convolution under the roofs.

    Args:
        trace: the network, at its batch, or its name or file.
        arch: the GPU, or its name or file.
        dtype: input element type; the trace's own by default.
        progress: called with (layers done, layers in all).

    Raises:
        UnsupportedError: when the GPU lacks the type.
        StcsimError: when the trace has neither GEMM nor convolution.
    """
    trace, arch = load_trace(trace), load_arch(arch)
    element = element_on(arch, trace.dtype if dtype is None else dtype)
    arch.require(element.name, False)
    if not any(isinstance(op, Gemm | Conv2d) for op in trace.ops):
        raise StcsimError(trace.name, "a GEMM or convolution", "none")
    roofs = roofs_of(arch, element.name)
    result = replay.run(trace, arch, dtype=element.name, progress=progress)
    totals_us = tuple(math.fsum(row.count * _kernel(row, sparse).time_us for row in result.rows) for sparse in (False, True))
    layers = tuple(_layer(row, roofs, totals_us) for row in result.rows)
    return Roofline(trace.name, trace.batch, arch.name, element.name, roofs, layers, result.inputs, result.trust, result.partial)


def roofs_of(arch: Arch, dtype: str) -> Roofs:
    """Return the peaks of ``arch``, which has ``dtype``: of compute at the highest clock that the board may hold."""
    clock = arch.clock
    clock_mhz = max(clock.peak_mhz, clock.sustained_mhz)
    dense_tops, sparse_tops = (arch.peak_tops(dtype, sparse) for sparse in (False, True))
    assert dense_tops is not None
    faster = clock_mhz / clock.peak_mhz
    return Roofs(
        dense_tops=dense_tops * faster,
        sparse_tops=None if sparse_tops is None else sparse_tops * faster,
        dram_gb_per_s=arch.dram.bandwidth_gb_per_s,
        l2_gb_per_s=arch.l2.bandwidth_bytes_per_clk * clock.sustained_mhz * 1e-3,
        clock_mhz=clock_mhz,
        data_sheet_mhz=clock.peak_mhz,
        pattern=arch.pattern_name,
    )


def _layer(row: LayerRow, roofs: Roofs, totals_us: Sequence[float]) -> RooflineLayer:
    def spot(sparse: bool) -> Spot:
        kernel = _kernel(row, sparse)
        moved, share_of_time = kernel.bytes, row.count * kernel.time_us / totals_us[sparse]
        dram_bytes, l2_bytes = moved["dram_read"] + moved["dram_write"], moved["l2_read"] + moved["write"]
        return _spot(row.macs, dram_bytes, l2_bytes, kernel.time_us, roofs, sparse, share_of_time)

    return RooflineLayer(row.name, row.m, row.n, row.k, row.batch, row.count, spot(False), spot(True) if row.sparse else None)


def _spot(
    macs: int, dram_bytes: float, l2_bytes: float, time_us: float, roofs: Roofs, sparse: bool, share_of_time: float
) -> Spot:
    dram_intensity, l2_intensity = 2 * macs / dram_bytes if dram_bytes else None, 2 * macs / l2_bytes
    roof_tops, bound = roofs.lowest(sparse, dram_intensity, l2_intensity)
    tops = 2e-6 * macs / time_us
    return Spot(dram_bytes, l2_bytes, dram_intensity, l2_intensity, time_us, tops, roof_tops, bound, share_of_time)


def _together(layers: Sequence[RooflineLayer], roofs: Roofs) -> RooflineLayer:
    first, count = layers[0], sum(layer.count for layer in layers)

    def mean(sides: Sequence[Spot], sparse: bool) -> Spot:
        launches = [(layer.count, side) for layer, side in zip(layers, sides, strict=True)]
        dram_bytes = math.fsum(each * side.dram_bytes for each, side in launches) / count
        l2_bytes = math.fsum(each * side.l2_bytes for each, side in launches) / count
        time_us = math.fsum(each * side.time_us for each, side in launches) / count
        macs = first.m * first.n * first.k * first.batch
        share_of_time = math.fsum(side.share_of_time for side in sides)
        return _spot(macs, dram_bytes, l2_bytes, time_us, roofs, sparse, share_of_time)

    sparse_sides = [layer.sparse for layer in layers if layer.sparse]
    sparse = mean(sparse_sides, True) if sparse_sides else None
    return replace(first, count=count, dense=mean([layer.dense for layer in layers], False), sparse=sparse)


def _kernel(row: LayerRow, sparse: bool) -> KernelResult:
    kernel = row.sparse if sparse and row.sparse else row.dense
    assert kernel is not None  # every layer was run dense
    return kernel
