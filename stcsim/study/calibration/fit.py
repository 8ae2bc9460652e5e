"""Fitting a few physical numbers within bounds: which numbers, how far each may go, and the search (Nelder-Mead, scipy)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stcsim.arch import Arch
from stcsim.errors import StcsimError

_STEP = 0.5  # of the first simplex, in logits
_INSIDE = 0.02  # a start at a bound moves so far inside, as a share of the range: at the bound itself the logit is infinite
_DIGITS = 4  # that a fitted value keeps: what is written is what was tried
_CLOSE = 1e-4  # of cost and logit: the search has settled

Cost = Callable[[Sequence[float]], float]
Notify = Callable[[int, float], None]
"""Called after each evaluation with how many there were and the lowest cost so far."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A leaf that may be fitted.

    Attributes:
        path: dotted path in the tree.
        low, high: bounds, in units of the leaf at ``times`` where one is named.
        meaning: what it stands for.
    """

    path: str
    low: float
    high: float
    meaning: str
    times: str = ""

    def range_on(self, arch: Arch) -> Range:
        """Return the bounds on ``arch`` in the unit of the leaf."""
        unit = float(str(arch.value(self.times))) if self.times else 1.0
        return Range(self.path, self.low * unit, self.high * unit, self.meaning)


#: What may be fitted, and by default is: no vendor's figure, and nothing that a microbenchmark measures directly.
PARAMETERS = (
    Parameter("l2.bandwidth_bytes_per_clk", 8, 64, "what GEMM streams get of the L2, 8 to 64 B/clk for each SM", "sm.count"),
    Parameter("l2.shared_fraction", 0.25, 1, "share of the L2 for data that all SMs read"),
    Parameter("dram.achieved_fraction", 0.5, 0.98, "share of the DRAM peak that cold operands get"),
    Parameter("shared_memory.fill_contention", 0.01, 1, "share of the fills that contend with reads on the port"),
    Parameter("kernel.prologue_cycles", 100, 6000, "start of an SM's first CTA up to its first load"),
    Parameter("kernel.next_prologue_cycles", 1, 3000, "the same for a CTA that follows another one"),
    Parameter("kernel.k_iteration_cycles", 1, 400, "barrier and issue in each main-loop iteration"),
    Parameter("kernel.epilogue_bytes_per_clk", 4, 256, "what the threads of one CTA convert and write of D in a cycle"),
    Parameter("launch.graph_us", 0.2, 5, "cost of a kernel replayed from a CUDA graph"),
    Parameter("launch.stream_us", 0.5, 12, "cost of a kernel launched into a stream"),
    Parameter("launch.early_us", 0.2, 5, "the same for kernels that start before the one ahead has ended"),
    Parameter("clock.sustained_mhz", 0.5, 1, "clock below the board limit, half of boost to boost", "clock.boost_mhz"),
    Parameter("power.tensor_pj_per_mac", 0.2, 4, "energy of one 16-bit MAC at boost clock"),
    Parameter("power.half_width_ratio", 0.25, 1, "energy of one MAC of floats over one of twice the width"),
    Parameter("power.integer_mac_ratio", 0.15, 1, "energy of one int8 MAC over a 16-bit one"),
    Parameter("power.sparse_mac_ratio", 0.5, 1.6, "energy of one executed 2:4 MAC over a dense one"),
    Parameter("power.l2_pj_per_byte", 4, 60, "energy of one byte from the L2 at boost clock"),
    Parameter("power.clock_exponent", 1, 3, "power over clock: 1 at the voltage floor, 3 where voltage follows"),
    Parameter("power.burst_ratio", 1, 2, "power that a short burst may draw, over the board limit"),
    Parameter("power.response_ms", 10, 300, "time under load in which half of what a burst may draw over the limit is lost"),
)


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of one leaf of one GPU, in its unit."""

    path: str
    low: float
    high: float
    meaning: str

    def logit(self, value: float) -> float:
        """Return where ``value`` stands between the bounds, as a number without bounds; what is outside comes inside."""
        share = min(max((value - self.low) / (self.high - self.low), _INSIDE), 1 - _INSIDE)
        return math.log(share / (1 - share))

    def value(self, logit: float) -> float:
        """Return the value at ``logit``, to the digits that are kept, never outside the bounds."""
        share = 1 / (1 + math.exp(-min(max(logit, -50.0), 50.0)))
        return min(max(float(f"{self.low + share * (self.high - self.low):.{_DIGITS}g}"), self.low), self.high)


Bounds = Mapping[str, tuple[float, float]]


def parse_bounds(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Read ``PATH=LOW:HIGH`` texts.

    Raises:
        StcsimError: for a text of another form, a low bound that is not below the high one, or a path named twice.
    """
    bounds: dict[str, tuple[float, float]] = {}
    for text in texts:
        path, _, ends = text.partition("=")
        path, words = path.strip(), ends.split(":")
        try:
            low, high = map(float, words)
        except ValueError:
            low = high = math.nan
        if not (low < high and math.isfinite(high - low)):
            raise StcsimError("bounds", "PATH=LOW:HIGH with LOW below HIGH, e.g. l2.shared_fraction=0.4:0.6", f"'{text}'")
        if path in bounds:
            raise StcsimError("bounds", "each parameter once", f"'{path}' twice")
        bounds[path] = low, high
    return bounds


def choose(paths: Sequence[str] | None, arch: Arch, bounds: Bounds | None = None) -> tuple[Range, ...]:
    """Return the parameters at ``paths`` (by default all that are no vendor's figure on ``arch``) with their bounds.

    ``bounds`` has other bounds for some, and may name further leaves to fit: any quantity that is no vendor's figure.

    Raises:
        StcsimError: for a path that may not be fitted, with the reason, or one named twice.
    """
    bounds = bounds or {}
    known = {parameter.path: parameter for parameter in PARAMETERS}
    wanted = [path for path in known if arch.sources[path].kind != "vendor"] if paths is None else list(paths)
    if not wanted and not bounds:
        raise StcsimError("params", f"one or more of {', '.join(known)}", "none")
    for path in wanted:
        reason = _refusal(path, arch) or ("" if path in known else f"{path}, which no fit changes unless bounds say how far")
        if reason:
            raise StcsimError("params", f"one or more of {', '.join(known)}", reason)
        if wanted.count(path) > 1:
            raise StcsimError("params", "each parameter once", f"'{path}' twice")
    for path in bounds:
        if reason := _refusal(path, arch):
            raise StcsimError("bounds", "a quantity that may be fitted", reason)
    ranges = {path: known[path].range_on(arch) for path in wanted}
    ranges |= {path: Range(path, *ends, known[path].meaning if path in known else "") for path, ends in bounds.items()}
    return tuple(ranges.values())


def _refusal(path: str, arch: Arch) -> str:
    """Return why no fit may change the leaf at ``path``, nothing where one may."""
    if path not in arch.sources:
        return f"'{path}', which no arch file has"
    if arch.value(path) is None:
        return f"{path}, which {arch.name} does not have"
    if arch.sources[path].kind == "vendor" and path not in {parameter.path for parameter in PARAMETERS}:
        return f"{path}, which is the vendor's figure (an override changes it)"
    return "" if isinstance(arch.value(path), float) else f"{path}, which is no quantity (an override changes it)"


@dataclass(frozen=True, slots=True)
class Fit:
    """What a search found.

    Attributes:
        values: the best value of each range that mattered and moved, by path; empty where nothing beat the start.
        cost: of these.
        evaluations: how many were spent.
        idle: paths that change no prediction.
        interrupted: whether the user stopped it.
    """

    values: dict[str, float]
    cost: float
    evaluations: int
    idle: tuple[str, ...]
    interrupted: bool


@dataclass
class _Trials:
    """Every set of values that was tried, none twice; the best is what counts, whatever the search thinks."""

    cost: Cost
    notify: Notify | None
    best: tuple[float, ...]
    best_cost: float = math.inf
    count: int = 0
    seen: dict[tuple[float, ...], float] = field(default_factory=dict)

    def __call__(self, values: tuple[float, ...]) -> float:
        if values not in self.seen:
            cost = self.seen[values] = self.cost(values)
            self.count += 1
            if cost < self.best_cost:
                self.best, self.best_cost = values, cost
            if self.notify is not None:
                self.notify(self.count, self.best_cost)
        return self.seen[values]

    def hold(self, idle: Sequence[int], start: Sequence[float]) -> None:
        """Put idle values back to ``start`` in all that was tried: the costs are the same."""
        self.seen = {_held(values, idle, start): cost for values, cost in self.seen.items()}
        self.best = _held(self.best, idle, start)


def _held(values: Sequence[float], idle: Sequence[int], start: Sequence[float]) -> tuple[float, ...]:
    return tuple(start[i] if i in idle else value for i, value in enumerate(values))


def search(cost: Cost, ranges: Sequence[Range], start: Sequence[float], evaluations: int, notify: Notify | None = None) -> Fit:
    """Find values within ``ranges`` at which ``cost`` is low; Ctrl-C ends the search, the best so far stays.

    Args:
        cost: takes one value for each range.
        start: where to begin, which counts as tried.
        evaluations: how often ``cost`` may be called.
    """
    minimise = optimisers().minimize
    start = tuple(start)
    trials = _Trials(cost, notify, start)
    trials(start)
    idle: list[int] = []
    interrupted = False
    try:
        origin = [limits.logit(value) for limits, value in zip(ranges, start, strict=True)]
        idle = _idle(trials, ranges, origin, range(len(ranges)))
        trials.hold(idle, start)
        _descend(minimise, trials, ranges, origin, idle, evaluations)
    except KeyboardInterrupt:
        interrupted = True
    moved = zip(ranges, start, trials.best, strict=True)
    values = {limits.path: after for limits, before, after in moved if trials.best != start and after != before}
    return Fit(values, trials.best_cost, trials.count, tuple(ranges[i].path for i in idle), interrupted)


def _idle(trials: _Trials, ranges: Sequence[Range], origin: Sequence[float], axes: Sequence[int]) -> list[int]:
    """Return those of ``axes`` along which the cost does not change: nothing in the rows can tell their values there."""
    inside = _values(ranges, origin)
    cost = trials(inside)
    return [i for i in axes if trials(_values(ranges, _stepped(origin, i))) == cost]


def _stepped(origin: Sequence[float], axis: int) -> list[float]:
    """Return ``origin`` one step along ``axis``, toward the middle of the range."""
    return [x + (0 if i != axis else _STEP if x <= 0 else -_STEP) for i, x in enumerate(origin)]


def _values(ranges: Sequence[Range], logits: Sequence[float]) -> tuple[float, ...]:
    return tuple(limits.value(logit) for limits, logit in zip(ranges, logits, strict=True))


def _descend(
    minimise: Any, trials: _Trials, ranges: Sequence[Range], origin: list[float], idle: list[int], evaluations: int
) -> None:
    """Run Nelder-Mead along the axes that matter, again from the best point while that helps and evaluations are left.

    An idle axis may matter elsewhere (a power limit that does not bind at the start), so idle ones are tried again half way.
    """
    before, woken = math.inf, True
    while len(idle) < len(ranges) and trials.count < evaluations and (woken or trials.best_cost < before - _CLOSE):
        axes = [i for i in range(len(ranges)) if i not in idle]
        left = evaluations - trials.count
        first = before == math.inf
        before = trials.best_cost
        simplex = [[point[i] for i in axes] for point in [origin, *(_stepped(origin, axis) for axis in axes)]]
        spent = len(simplex) if first else 0  # of the first simplex all points are known
        most = (left // 2 if first and idle else left) + spent
        options = {"initial_simplex": simplex, "maxfev": most, "maxiter": 10 * most, "xatol": _CLOSE, "fatol": _CLOSE}
        minimise(_along(trials, ranges, axes), simplex[0], method="Nelder-Mead", options=options)
        origin = [limits.logit(value) for limits, value in zip(ranges, trials.best, strict=True)]
        woken = False
        if idle and trials.count + len(idle) < evaluations:
            still = _idle(trials, ranges, origin, idle)
            woken, idle[:] = still != idle, still


def _along(trials: _Trials, ranges: Sequence[Range], axes: Sequence[int]) -> Callable[[Sequence[float]], float]:
    """Return the cost as a function of the logits of ``axes``; the other values stay where they are best."""
    held = trials.best

    def cost(logits: Sequence[float]) -> float:
        chosen = dict(zip(axes, logits, strict=True))
        return trials(tuple(limits.value(chosen[i]) if i in chosen else held[i] for i, limits in enumerate(ranges)))

    return cost


def optimisers() -> Any:
    """Return ``scipy.optimize``.

    Raises:
        StcsimError: where scipy is not installed.
    """
    try:
        import scipy.optimize
    except ImportError:
        raise StcsimError("calibrate", "the scipy package (pip install 'stcsim[calibrate]')", "none") from None
    return scipy.optimize
