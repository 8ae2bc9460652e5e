"""Curves: one network, or one family of GEMMs, run at every value of an axis on several GPUs and in several types.

The axis is of the work (batch, length, sizes of a GEMM) or over one leaf of the GPUs (``sm.count``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stcsim import replay
from stcsim.arch import Arch, ArchOrName, load_arch
from stcsim.errors import ArchError, StcsimError
from stcsim.isa.patterns import NATIVE
from stcsim.partial import Partial
from stcsim.replay.door import element_of, library_of
from stcsim.result import Footprint, Interval, Totals, Trust
from stcsim.study.axis import NETWORK_AXES, Axis, GemmPattern, Value, is_gemm, parse_axis, parse_gemm
from stcsim.timing.board.duration import parse_duration
from stcsim.trace import Trace, TraceOrName, load_trace
from stcsim.trace.rescale.lengths import at_length
from stcsim.trace.rescale.resolution import at_resolution
from stcsim.trace.single import gemm_trace
from stcsim.version import __version__
from stcsim.words import listed

Side = Literal["dense", "2:4", "best"]
"""Every layer dense, 2:4 wherever a layer may be pruned, or the faster of the two layer by layer."""

_LENGTHS = {"seq": "tokens", "cached": "cached"}


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One run of a curve. A figure is ``None`` where its side was not run: no sparse tensor cores, or nothing to prune.

    Attributes:
        value: where on the axis.
        arch: the GPU.
        dtype: element type of the inputs.
        totals: of the run, as ``stcsim.run`` returns them.
        memory: what it needs of the GPU's memory.
        pattern: name of the GPU's sparsity pattern; the side that is called ``"2:4"`` here is of that pattern.
        partial: what the network lacks there; ``None`` where nothing is missing.
        leaf_value: what the leaf of the GPU is there over which the axis runs; ``None`` where the axis is of the work.
    """

    value: Value
    arch: str
    dtype: str
    totals: Totals
    memory: Footprint | None = None
    pattern: str = NATIVE.name
    partial: Partial | None = None
    leaf_value: int | float | None = None

    def time_us(self, side: Side) -> float | None:
        """Time of one pass, microseconds."""
        return {"dense": self.totals.dense_us, "2:4": self.totals.sparse_us, "best": self._if_sparse(self.totals.best_us)}[side]

    def speedup(self, side: Side) -> float | None:
        """Dense time over the time of ``side``."""
        dense_us, time_us = self.totals.dense_us, self.time_us(side)
        return dense_us / time_us if dense_us and time_us else None

    def tops(self, side: Side) -> float | None:
        """Effective 10^12 operations a second; the pruned products count too."""
        time_us = self.time_us(side)
        return 2e-6 * self.totals.macs / time_us if time_us else None

    def tops_per_watt(self, side: Side) -> float | None:
        """Effective 10^12 operations for each joule of the board."""
        totals = self.totals
        energy_uj = {"dense": totals.dense_uj, "2:4": totals.sparse_uj, "best": self._if_sparse(totals.best_uj)}[side]
        return 2e-6 * totals.macs / energy_uj if energy_uj else None

    def weight_bytes(self, side: Side) -> int:
        """Bytes of all weights; 2:4 with metadata, in every layer that may be pruned (for ``"best"`` too)."""
        return self.totals.weight_bytes if side == "dense" else self.totals.compressed_bytes

    def memory_bytes(self, side: Side) -> int | None:
        """Bytes that the network needs on the GPU: weights as in ``side``, activations, cache."""
        memory = self.memory
        if memory is None:
            return None
        weights = {"dense": memory.dense_weight_bytes, "2:4": memory.sparse_weight_bytes, "best": memory.best_weight_bytes}
        return memory.total(weights[side])

    def time_us_interval(self, side: Side) -> Interval | None:
        """Return where a measured time is to be expected, microseconds."""
        totals = self.totals
        times = {"dense": totals.dense_us_interval, "2:4": totals.sparse_us_interval, "best": totals.best_us_interval}
        return times[side] if self.time_us(side) is not None else None

    def speedup_interval(self, side: Side) -> Interval | None:
        """Return where a measured speedup over dense is to be expected; ``None`` for ``"dense"``."""
        return {"dense": None, "2:4": self.totals.sparse_speedup_interval, "best": self.totals.speedup_interval}[side]

    def _if_sparse(self, figure: float) -> float | None:
        return figure if self.totals.sparse_us is not None else None


@dataclass(frozen=True, slots=True)
class Curve:
    """All runs of a curve.

    Attributes:
        name: the trace, or the sizes of the GEMM with letters for what varies.
        batch: of the network, ``None`` where it varies and for a GEMM.
        is_network: whether it has layers to choose the faster side for, one by one.
        points: GPU by GPU and type by type, each in the order of the axis.
        trust: how far to trust each GPU's figures.
        inputs: ``archs`` (every leaf of each), ``library``, ``duration``, ``trace_sha256`` (as given, before any change; not of a
            GEMM) and ``version``.
    """

    name: str
    batch: int | None
    is_network: bool
    axis: Axis
    points: tuple[CurvePoint, ...]
    trust: dict[str, Trust]
    inputs: dict[str, Any]

    @property
    def series(self) -> dict[tuple[str, str], tuple[CurvePoint, ...]]:
        """Points of each (GPU, type)."""
        keys = dict.fromkeys((point.arch, point.dtype) for point in self.points)
        return {key: tuple(point for point in self.points if (point.arch, point.dtype) == key) for key in keys}


def sweep(
    source: TraceOrName | GemmPattern,
    over: Axis | str,
    archs: ArchOrName | Sequence[ArchOrName],
    dtypes: str | Sequence[str] = (),
    progress: replay.Progress | None = None,
    *,
    library: str = "cusparselt",
    duration: str = "sustained",
) -> Curve:
    """Run ``source`` at every value of ``over`` on every GPU in every type, dense and 2:4.

    Args:
        source: a network, or its name or file; or a GEMM whose free sizes are the axis, such as ``"4096x4096xk"``.
        over: an axis, or its text such as ``"batch=1..2048"`` (``stcsim.study.axis`` has the grammar).
        archs: GPUs, or their names or files, each once; one text may hold several names with commas between.
        dtypes: input element types, likewise; by default the trace's own, or fp16 for a GEMM.
        progress: called with (layers done, layers in all).
        library: whose 2:4 kernels are taken, as in :func:`stcsim.run`.
        duration: how long a board has been under load, likewise.

    Raises:
        StcsimError: an axis that ``source`` does not have, or a value it cannot be brought to; before any run.
        UnsupportedError: a GPU lacks a type.
    """
    library, duration = library_of(library), str(parse_duration(duration))
    axis, source, gpus = over if isinstance(over, Axis) else parse_axis(over), _opened(source), _gpus(archs)
    places = [(value, _at(source, axis, value)) for value in axis.values]
    asked = listed(dtypes, "dtypes", "element types") if not _is_none(dtypes) else [places[0][1].dtype]
    elements = _once("dtypes", [element_of(name, "dtypes").name for name in asked])
    for arch in gpus:
        for element in elements:
            arch.require(element, False)
    trust: dict[str, Trust] = {}
    points, runs = [], [(arch, element, *place) for arch in gpus for element in elements for place in places]
    changed = _changed(gpus, axis)
    for at, (gpu, element, value, trace) in enumerate(runs):
        arch = changed.get((gpu.name, value), gpu)
        advance = None if progress is None else _within(progress, at, len(runs), len(trace.ops))
        result = replay.run(trace, arch, dtype=element, library=library, duration=duration, progress=advance)
        of = result.totals, result.footprint, result.pattern, result.partial
        points.append(CurvePoint(value, gpu.name, element, *of, _leaf_value(arch, axis)))
        if result.trust:
            trust[gpu.name] = max(trust.get(gpu.name, result.trust), result.trust, key=lambda each: len(each.assumed))
    inputs: dict[str, Any] = {
        "archs": {arch.name: arch.to_dict() for arch in gpus},
        "library": library,
        "duration": duration,
        "version": __version__,
    }
    if isinstance(source, GemmPattern):
        return Curve(source.title, None, False, axis, tuple(points), trust, inputs)
    batch = None if axis.names == ("batch",) else source.batch
    return Curve(source.name, batch, True, axis, tuple(points), trust, {"trace_sha256": source.sha256, **inputs})


def _changed(gpus: Sequence[Arch], axis: Axis) -> dict[tuple[str, Value], Arch]:
    """Return each GPU at each value of an axis over a leaf; nothing for another axis."""
    if axis.leaf is None:
        return {}
    try:
        return {(gpu.name, value): load_arch(gpu, {axis.leaf: value}) for gpu in gpus for value in axis.values}
    except ArchError as error:
        raise StcsimError(error.where.replace("overrides", "over", 1), error.expected, error.found) from None


def _leaf_value(arch: Arch, axis: Axis) -> int | float | None:
    found = arch.value(axis.leaf) if axis.leaf else None
    return found if isinstance(found, int | float) else None


def _opened(source: TraceOrName | GemmPattern) -> Trace | GemmPattern:
    if isinstance(source, GemmPattern):
        return source
    return parse_gemm(source) if isinstance(source, str) and is_gemm(source) else load_trace(source)


def _gpus(archs: ArchOrName | Sequence[ArchOrName]) -> list[Arch]:
    """Return the GPUs, each once."""
    gpus = [load_arch(each) for each in listed(archs, "archs", "names")]  # type: ignore[arg-type]  # load_arch refuses others
    _once("archs", [gpu.name for gpu in gpus])
    return gpus


def _at(source: Trace | GemmPattern, axis: Axis, value: Value) -> Trace:
    """Return ``source`` at one value of ``axis``; over a leaf of the GPU it is the same everywhere."""
    name, where = axis.names[0], f"over {','.join(axis.names)}"
    if axis.leaf is not None:
        return source if isinstance(source, Trace) else gemm_trace(*_whole(source, where))
    if isinstance(source, GemmPattern):
        if axis.names != source.free or not isinstance(value, int):
            free = (
                f"{','.join(source.free)}=…, the letters of the GEMM" if source.free else "a letter in the GEMM for what varies"
            )
            raise StcsimError(where, free, source.title)
        return gemm_trace(*source.sizes(value))
    if name == "batch" and isinstance(value, int):
        return source.with_batch(value)
    if name == "resolution" and isinstance(value, tuple):
        return at_resolution(source, *value)
    if name in _LENGTHS and isinstance(value, int):
        return at_length(source, _LENGTHS[name], value)
    raise StcsimError("over", f"one of {', '.join(NETWORK_AXES)} for a network", ",".join(axis.names))


def _whole(source: GemmPattern, where: str) -> tuple[int, int, int]:
    if source.free:
        raise StcsimError(where, "a size for every letter of the GEMM, since a leaf of the GPU varies", source.title)
    return source.sizes(1)


def _once(argument: str, names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if names.count(name) > 1:
            raise StcsimError(argument, "each name once", f"'{name}' twice")
    return names


def _within(progress: replay.Progress, at: int, runs: int, layers: int) -> replay.Progress:
    """Return the progress of run number ``at`` as progress of all ``runs`` of so many layers."""
    return lambda done, total: progress(at * layers + layers * done // total, runs * layers)


def _is_none(words: object) -> bool:
    """Whether nothing was asked for; an array has no truth value."""
    return words is None or (isinstance(words, str | tuple | list) and not words)
