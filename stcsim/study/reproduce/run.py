"""Published case studies beside predictions: every figure of a study simulated, and how far it is from the published one.

A study is data; ``stcsim.study.reproduce.studies`` lists them. No parameter is fitted to any of them; the kernels of
8-bit convolutions were looked for, and their assumed ones chosen, after the ratios of the A40 had been seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from stcsim import replay
from stcsim.arch import Arch, load_arch
from stcsim.errors import StcsimError, closest
from stcsim.result import Totals
from stcsim.study.curve import CurvePoint
from stcsim.study.reproduce.model import Case, Execution, Point, Quantity, Reproduction, Row, Shape, Study
from stcsim.trace import Gemm, Source, Trace, load_trace
from stcsim.version import __version__


class _Runs:
    """Simulates every execution once, both sides together."""

    def __init__(self, progress: Callable[[], None]) -> None:
        self._progress = progress
        self._archs: dict[tuple[str, tuple[str, ...]], Arch] = {}
        self._traces: dict[str, Trace] = {}
        self._points: dict[Execution, CurvePoint] = {}

    def arch(self, execution: Execution) -> Arch:
        key = (execution.gpu, execution.settings)
        if key not in self._archs:
            self._archs[key] = load_arch(execution.gpu, execution.settings)
        return self._archs[key]

    def trace(self, name: str) -> Trace:
        if name not in self._traces:
            self._traces[name] = load_trace(name)
        return self._traces[name]

    def point(self, execution: Execution) -> CurvePoint:
        key = execution.dense
        if key not in self._points:
            self._points[key] = CurvePoint(execution.batch, execution.gpu, execution.dtype, self._totals(key))
            self._progress()
        return self._points[key]

    def time_us(self, execution: Execution) -> float:
        return self._figure(execution, self.point(execution).time_us(execution.side))

    def tops_per_watt(self, execution: Execution) -> float:
        return self._figure(execution, self.point(execution).tops_per_watt(execution.side))

    def inputs(self, study: Study) -> dict[str, Any]:
        """Return what the executions of ``study`` rest on."""
        executions = list(_executions(study))
        archs = {" ".join([each.gpu, *each.settings]): self.arch(each).to_dict() for each in executions}
        hashes = {each.work: self.trace(each.work).sha256 for each in executions if isinstance(each.work, str)}
        return {"archs": archs, "trace_sha256": hashes, "version": __version__}

    def _totals(self, execution: Execution) -> Totals:
        options: dict[str, Any]
        arch, work = self.arch(execution), execution.work
        if isinstance(work, tuple) and len(work) == 1:
            options = {name: getattr(execution, name) for name in ("dtype", "launch", "library")}
            options["weights_in_l2"] = execution.warm
            return replay.gemm(*work[0], arch, **options).totals
        trace = self.trace(work) if isinstance(work, str) else _in_a_row(work)
        options = {name: getattr(execution, name) for name in ("dtype", "fusion", "launch", "library", "keep_dense")}
        return replay.run(trace.with_batch(execution.batch), arch, **options).totals

    @staticmethod
    def _figure(execution: Execution, figure: float | None) -> float:
        if figure is None:
            raise StcsimError(f"{execution.work} on {execution.gpu}", "a GPU with Sparse Tensor Cores", f"'{execution.side}'")
        return figure


def _peak_tops(runs: _Runs, case: Case) -> float:
    of = case.of
    peak = runs.arch(of).peak_tops(of.dtype, of.side != "dense")
    if peak is None:
        raise StcsimError(of.gpu, f"a GPU with {of.dtype}, {of.side}", "none")
    return peak


def _saved(runs: _Runs, case: Case) -> float:
    totals = runs.point(case.of).totals
    return 1 - totals.pruned_compressed_bytes / totals.pruned_weight_bytes


def _reached_tops(runs: _Runs, case: Case) -> float:
    return 2e-6 * runs.point(case.of).totals.macs / runs.time_us(case.of)


Figure = Callable[[_Runs, Case], float]

QUANTITIES: dict[str, tuple[Quantity, Figure]] = {
    "speedup": (Quantity("speedup", "×"), lambda runs, case: runs.time_us(case.base) / runs.time_us(case.of)),
    "per-watt": (
        Quantity("gain in work per joule", "×"),
        lambda runs, case: runs.tops_per_watt(case.of) / runs.tops_per_watt(case.base),
    ),
    "time": (Quantity("time", "µs"), lambda runs, case: runs.time_us(case.of)),
    "throughput": (Quantity("throughput", "samples/s"), lambda runs, case: 1e6 * case.of.batch / runs.time_us(case.of)),
    "reached": (Quantity("rate", "TOPS", is_measured=False), _reached_tops),
    "peak": (Quantity("rate", "TOPS", is_measured=False), _peak_tops),
    "saved": (Quantity("weight memory saved", "%", is_measured=False), _saved),
}
"""What a point can be, by its word, and how it follows from a case."""


def reproduce(studies: Sequence[Study], progress: replay.Progress | None = None) -> list[Reproduction]:
    """Predict every point of ``studies``; what several of them run is simulated once.

    Args:
        studies: of ``stcsim.study.reproduce.studies``, or your own.
        progress: called with (runs done, runs in all).
    """
    todo = {each.dense for study in studies for each in _executions(study, simulated_only=True)}
    done = iter(range(1, len(todo) + 1))
    runs = _Runs(lambda: progress(next(done), len(todo)) if progress else None)
    found = []
    for study in studies:
        rows = tuple(_row(runs, point) for point in study.points)
        found.append(Reproduction(study, rows, runs.inputs(study)))
    return found


def find_study(name: str, studies: Sequence[Study]) -> Study:
    """Return the study called ``name``.

    Raises:
        StcsimError: when there is none.
    """
    known = {study.name: study for study in studies}
    if name not in known:
        raise StcsimError("reproduce", f"one of {', '.join(known)}", f"'{name}'{closest(name, known)}")
    return known[name]


def _row(runs: _Runs, point: Point) -> Row:
    quantity, figure = QUANTITIES[point.quantity]
    return Row(point, quantity, max(figure(runs, case) for case in point.cases))


def _executions(study: Study, simulated_only: bool = False) -> Iterator[Execution]:
    for point in study.points:
        if not simulated_only or point.quantity != "peak":
            for case in point.cases:
                yield from (case.of, case.base)


def _in_a_row(shapes: Sequence[Shape]) -> Trace:
    """Return GEMMs, each on the output of the one before, as a trace."""
    names = tuple(f"gemm{at}" for at in range(len(shapes)))
    ops = tuple(
        Gemm(name=name, m=m, n=n, k=k, inputs=names[max(at - 1, 0) : at])
        for at, (name, (m, n, k)) in enumerate(zip(names, shapes, strict=True))
    )
    source = Source(model="gemms", library="stcsim", version=__version__)
    return Trace(name="gemms", title="gemms", source=source, batch=1, input_shape=(shapes[0][2],), ops=ops)
