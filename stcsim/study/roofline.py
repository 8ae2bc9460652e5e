"""The roofline of a network: every layer at its arithmetic intensity, under the peaks of compute and DRAM, dense and 2:4.

Intensity counts what a layer must move at least: weights (2:4: values and metadata), input and output once each, and what the
operations fused into it read. A simulated layer stays below the roof because of everything else: launch, latency, waves, caches,
the clock under load. Only where its input is still in L2 from the layer before can a layer lie above the slope of DRAM.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from stcsim import replay
from stcsim.arch import Arch
from stcsim.errors import StcsimError
from stcsim.isa import dtype as known_dtype
from stcsim.result import KernelResult, LayerRow
from stcsim.timing.problem import Problem
from stcsim.trace import Conv2d, Gemm, Trace


@dataclass(frozen=True, slots=True)
class Spot:
    """One layer with one kernel, dense or 2:4.

    Attributes:
        bytes: that must cross DRAM at least: weights as stored, input and output once each, and what fused operations read.
        intensity: operations (two for a multiply-accumulate, pruned ones too) for each of those bytes.
        time_us: of one launch. tops: achieved, 10^12 operations a second.
        roof_tops: the lower of the two peaks at this intensity.
        share_of_time: of all launches in the network with this sparsity (layers that may not be pruned run dense in both).
    """

    bytes: float
    intensity: float
    time_us: float
    tops: float
    roof_tops: float
    share_of_time: float

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
    """The vendor's peaks: compute in 10^12 operations a second (2:4 ``None`` without Sparse Tensor Cores), and DRAM."""

    dense_tops: float
    sparse_tops: float | None
    dram_gb_per_s: float

    def tops_at(self, intensity: float, sparse: bool) -> float:
        """Return the roof at so many operations for each byte."""
        peak_tops = self.sparse_tops if sparse and self.sparse_tops else self.dense_tops
        return min(peak_tops, intensity * self.dram_gb_per_s * 1e-3)


@dataclass(frozen=True, slots=True)
class Roofline:
    """A network at its batch on one GPU in one type; ``layers`` in network order, ``inputs`` those of the run."""

    name: str
    batch: int
    arch: str
    dtype: str
    roofs: Roofs
    layers: tuple[RooflineLayer, ...]
    inputs: dict[str, Any]

    def alike(self) -> tuple[RooflineLayer, ...]:
        """Return one layer for all of the same sizes: their mean, with all their launches and time; slowest dense first."""
        groups: dict[tuple[object, ...], list[RooflineLayer]] = {}
        for layer in self.layers:
            groups.setdefault((layer.m, layer.n, layer.k, layer.batch, layer.sparse is None), []).append(layer)
        together = [_together(layers, self.roofs) for layers in groups.values()]
        return tuple(sorted(together, key=lambda layer: -layer.dense.share_of_time))


def roofline_of(trace: Trace, arch: Arch, dtype: str | None = None, progress: replay.Progress | None = None) -> Roofline:
    """Run ``trace`` on ``arch`` and place every GEMM and convolution under the roofs.

    Args:
        trace: the network, at its batch.
        arch: the GPU.
        dtype: input element type; the trace's own by default.
        progress: called with (layers done, layers in all).

    Raises:
        UnsupportedError: when the GPU lacks the type.
        StcsimError: when the trace has neither GEMM nor convolution.
    """
    element = known_dtype(dtype or trace.dtype)
    arch.require(element.name, False)
    products = [op for op in trace.ops if isinstance(op, Gemm | Conv2d)]
    if not products:
        raise StcsimError(trace.name, "a GEMM or convolution", "none")
    dense_tops, sparse_tops = (arch.peak_tops(element.name, sparse) for sparse in (False, True))
    assert dense_tops is not None  # the GPU has the type
    roofs = Roofs(dense_tops, sparse_tops, arch.dram.bandwidth_gb_per_s)
    result = replay.run(trace, arch, dtype=element.name, progress=progress)
    rows = [row for row in result.rows if row.kind in ("gemm", "conv2d")]
    problems = [replay.problem_of(op, element) for op in products]
    totals_us = tuple(sum(row.count * _kernel(row, sparse).time_us for row in rows) for sparse in (False, True))
    layers = tuple(_layer(row, problem, roofs, totals_us) for row, problem in zip(rows, problems, strict=True))
    return Roofline(trace.name, trace.batch, arch.name, element.name, roofs, layers, result.inputs)


def _layer(row: LayerRow, problem: Problem, roofs: Roofs, totals_us: Sequence[float]) -> RooflineLayer:
    def spot(sparse: bool) -> Spot:
        moved = problem.a_bytes(sparse) + problem.b_bytes + problem.d_bytes + row.fused_bytes
        time_us = _kernel(row, sparse).time_us
        return _spot(row.macs, moved, time_us, roofs, sparse, row.count * time_us / totals_us[sparse])

    return RooflineLayer(row.name, row.m, row.n, row.k, row.batch, row.count, spot(False), spot(True) if row.sparse else None)


def _spot(macs: int, moved: float, time_us: float, roofs: Roofs, sparse: bool, share_of_time: float) -> Spot:
    intensity = 2 * macs / moved
    return Spot(moved, intensity, time_us, 2e-6 * macs / time_us, roofs.tops_at(intensity, sparse), share_of_time)


def _together(layers: Sequence[RooflineLayer], roofs: Roofs) -> RooflineLayer:
    first, count = layers[0], sum(layer.count for layer in layers)

    def mean(sides: Sequence[Spot], sparse: bool) -> Spot:
        launches = [(layer.count, side) for layer, side in zip(layers, sides, strict=True)]
        moved = sum(each * side.bytes for each, side in launches) / count
        time_us = sum(each * side.time_us for each, side in launches) / count
        macs = first.m * first.n * first.k * first.batch
        return _spot(macs, moved, time_us, roofs, sparse, sum(side.share_of_time for side in sides))

    sparse_sides = [layer.sparse for layer in layers if layer.sparse]
    sparse = mean(sparse_sides, True) if sparse_sides else None
    return replace(first, count=count, dense=mean([layer.dense for layer in layers], False), sparse=sparse)


def _kernel(row: LayerRow, sparse: bool) -> KernelResult:
    kernel = row.sparse if sparse and row.sparse else row.dense
    assert kernel is not None  # every layer was run dense
    return kernel
