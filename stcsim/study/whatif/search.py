"""The smallest change of a GPU that reaches a target, found by bisection; every figure is that of a simulation.

A change multiplies numbers of the GPU; its measure is the product of its factors, those below 1 turned over, which is least where
the sum of their logarithms is. One number alone is walked outwards in eighths of the way to the limit, in logarithms, up to the
first eighth where the target is met, and that one is bisected, to a percent or to the next integer.

Several numbers together are walked by whichever step brings most for its size: one of them by an eighth, or all of them, since
two servers that are nearly as busy help only together. When the target is met, each number in turn is taken back by bisection as
far as the target allows. That is the smallest change found, not a proof that there is none smaller.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from stcsim.arch import Arch, ArchOrName, load_arch, unit_of
from stcsim.errors import ArchError, StcsimError
from stcsim.result import RunResult, Totals
from stcsim.result.parts import times_of
from stcsim.study.whatif.answers import Answer, Changed, WhatIf
from stcsim.study.whatif.knobs import Knob, knobs_of
from stcsim.study.whatif.target import Target, parse_target
from stcsim.study.whatif.work import Work
from stcsim.version import __version__

_STEPS = 8
_FINE = math.log(1.01)
"""Bisection ends when the factor is known to a percent."""
_HARDLY = 1e-6
"""A smaller gain is none: the way is flat there."""
_AS_NEAR = 1e-3
"""Points whose gains differ by less are as near to the target."""

Logs = tuple[float, ...]
"""A point of the search: the logarithm of each knob's factor."""


def what_if(
    work: Work,
    arch: ArchOrName,
    target: Target | str,
    vary: str | Sequence[str],
    within: float = 4.0,
    progress: Callable[[int], None] | None = None,
    *,
    together: bool = True,
) -> WhatIf:
    """Find the smallest change of ``vary`` with which ``work`` meets ``target``.

    Args:
        work: a network or a GEMM.
        arch: the GPU, or its name or file.
        target: such as ``"sparse_speedup >= 1.8"`` (``stcsim.study.whatif.target``).
        vary: short names or paths of numbers (``stcsim.study.whatif.knobs``).
        within: no number is changed by a larger factor.
        progress: called after each run with how many there were.
        together: whether several numbers are varied all together too, which takes most of the runs.

    Raises:
        StcsimError: what is no target, no number or no factor, or a target on a figure that the GPU has not.
        UnsupportedError: when the GPU lacks the type.
    """
    if not 1 < within <= 1000:
        raise StcsimError("within", "a factor above 1, at most 1000", f"{within:g}")
    arch = load_arch(arch)
    arch.require(work.dtype, False)
    target = parse_target(target) if isinstance(target, str) else target
    knobs = knobs_of(vary, arch, work.dtype)
    here = work.on(arch)
    figure = target.figure(here.totals)
    search = _Search(work, arch, knobs, target, math.log(within), progress)
    search.keep(search.start, here)
    answers = [] if target.is_met(figure) else search.answers(together)
    inputs: dict[str, Any] = {"arch": arch.to_dict(), "trace_sha256": work.trace.sha256, "target": str(target)}
    inputs |= {"vary": [knob.name for knob in knobs], "within": within, **work.options, "version": __version__}
    head = work.title, arch.name, here.pattern, target, figure, here.totals, within
    return WhatIf(*head, tuple(answers), search.runs, here.trust, inputs, here.partial)


def most_runs(knobs: int, together: bool = True) -> int:
    """Return about how many runs a search takes at most, for a bar of progress; both ways of a knob are not counted."""
    bisection = math.ceil(math.log2(math.log(4.0) / _STEPS / _FINE))
    alone = knobs * (_STEPS + bisection)
    return 1 + alone + (knobs * _STEPS * (knobs + 1) if together and knobs > 1 else 0)


@dataclass(slots=True)
class _Search:
    """Runs at points of the search, each once."""

    work: Work
    arch: Arch
    knobs: tuple[Knob, ...]
    target: Target
    limit: float
    progress: Callable[[int], None] | None
    _seen: dict[tuple[float, ...], tuple[Totals, dict[str, float]]] = field(default_factory=dict)

    @property
    def runs(self) -> int:
        """How many runs there were."""
        return len(self._seen)

    @property
    def start(self) -> Logs:
        """The GPU as it is."""
        return (0.0,) * len(self.knobs)

    def keep(self, logs: Logs, run: RunResult) -> None:
        """Keep of a run what answers are made of: its totals, and the parts of the time of the side that is asked for."""
        self._seen[self._values(logs)] = run.totals, times_of(run, self.target.side)
        if self.progress is not None:
            self.progress(len(self._seen))

    def _values(self, logs: Logs) -> tuple[float, ...]:
        return tuple(knob.at(log) for knob, log in zip(self.knobs, logs, strict=True))

    def run(self, logs: Logs) -> tuple[Totals, dict[str, float]]:
        """Return the totals and the parts of the time at a point."""
        values = self._values(logs)
        if values not in self._seen:
            changed = {knob.path: value for knob, value in zip(self.knobs, values, strict=True) if value != knob.before}
            self.keep(logs, self.work.on(self._changed(changed)))
        return self._seen[values]

    def _changed(self, changes: dict[str, float]) -> Arch:
        try:
            return load_arch(self.arch, changes) if changes else self.arch
        except ArchError as error:
            raise StcsimError(error.where.replace("overrides", "vary", 1), error.expected, error.found) from None

    def figure(self, logs: Logs) -> float:
        """Return the figure of the target at a point."""
        return self.target.figure(self.run(logs)[0])

    def is_met(self, logs: Logs) -> bool:
        """Whether the target is met at a point."""
        return self.target.is_met(self.figure(logs))

    def answers(self, together: bool) -> list[Answer]:
        """Return an answer for each knob alone and one for all together, the smallest change that reaches the target first."""
        alone = [self._alone(at) for at in range(len(self.knobs))]
        answers = [self._answer((knob.name,), logs) for knob, logs in zip(self.knobs, alone, strict=True)]
        if together and len(self.knobs) > 1:
            answers.append(self._answer(tuple(knob.name for knob in self.knobs), self._together(alone)))
        return sorted(answers, key=self._order)

    def _order(self, answer: Answer) -> tuple[bool, float, int]:
        """Return what to sort answers by: the smallest change that reaches the target first, then what comes nearest."""
        gain = self.target.gain(answer.figure, self.figure(self.start))
        return not answer.reached, answer.measure if answer.reached else -gain, len(answer.varied)

    def _alone(self, at: int) -> Logs:
        """Return the least change of one knob that meets the target, or the one that comes nearest."""
        found = [self._outwards(at, way) for way in self.knobs[at].ways]
        met = [logs for logs in found if self.is_met(logs)]
        return min(met, key=_measure) if met else self._nearest(found)

    def _outwards(self, at: int, way: int) -> Logs:
        """Walk one knob one way; return the least change that meets the target, or the one that comes nearest."""
        walked = [self.start]
        for step in range(1, _STEPS + 1):
            walked.append(_with(self.start, at, way * self.limit * step / _STEPS))
            if self.is_met(walked[-1]):
                return self._bisected(walked[-2], walked[-1], at)
        return self._nearest(walked)

    def _bisected(self, unmet: Logs, met: Logs, at: int) -> Logs:
        """Return the least change of one knob between two points, of which the second alone meets the target."""
        knob = self.knobs[at]
        while abs(met[at] - unmet[at]) > _FINE and knob.at(met[at]) != knob.at(unmet[at]):
            middle = _with(met, at, (met[at] + unmet[at]) / 2)
            unmet, met = (unmet, middle) if self.is_met(middle) else (middle, met)
        return met

    def _together(self, alone: Sequence[Logs]) -> Logs:
        """Return the smallest change of all knobs that was found, or the one that comes nearest; one knob may be all of it."""
        walked = self._uphill([self._way(at) for at in range(len(self.knobs))])
        found = [self._taken_back(walked) if self.is_met(walked) else walked, *alone]
        met = [logs for logs in found if self.is_met(logs)]
        return min(met, key=_measure) if met else self._nearest(found)

    def _way(self, at: int) -> int:
        """Return the way in which a first step of a knob brings more."""
        step = self.limit / _STEPS
        return max(self.knobs[at].ways, key=lambda way: self._gain(_with(self.start, at, way * step), self.start))

    def _uphill(self, ways: Sequence[int]) -> Logs:
        """Walk by the step that brings most for its size until the target is met or all knobs are at their limit."""
        walked, step = [self.start], self.limit / _STEPS
        while not self.is_met(walked[-1]):
            here = walked[-1]
            free = [at for at, log in enumerate(here) if abs(log) < self.limit - step / 2]
            if not free:
                return self._nearest(walked)
            each = [_with(here, at, here[at] + ways[at] * step) for at in free]
            every = tuple(log + ways[at] * step if at in free else log for at, log in enumerate(here))
            gains = {logs: self._gain(logs, here) / size for logs, size in [*((logs, 1) for logs in each), (every, len(free))]}
            best = max(gains, key=lambda logs: gains[logs])
            walked.append(best if gains[best] > _HARDLY else every)
        return walked[-1]

    def _taken_back(self, met: Logs) -> Logs:
        """Take each knob back as far as the target allows: the largest change first, then the smallest first; the better."""
        order = sorted(range(len(met)), key=lambda at: -abs(met[at]))
        found = []
        for each in (order, order[::-1]):
            logs = met
            for at in each:
                unchanged = _with(logs, at, 0.0)
                logs = unchanged if self.is_met(unchanged) else self._bisected(unchanged, logs, at)
            found.append(logs)
        return min(found, key=_measure)

    def _gain(self, logs: Logs, before: Logs) -> float:
        return self.target.gain(self.figure(logs), self.figure(before))

    def _nearest(self, points: Sequence[Logs]) -> Logs:
        """Return the point that comes nearest to the target, of several that are as near the smallest change."""
        gains = {logs: self._gain(logs, self.start) for logs in points}
        return min((logs for logs in gains if gains[logs] >= max(gains.values()) - _AS_NEAR), key=_measure)

    def _answer(self, varied: tuple[str, ...], logs: Logs) -> Answer:
        (totals, parts), changes = self.run(logs), []
        for knob, log in zip(self.knobs, logs, strict=True):
            after = knob.at(log)
            if after != knob.before:
                factor = after / knob.before
                changes.append(Changed(knob.name, knob.path, unit_of(knob.path), knob.before, after, factor))
        measure = math.exp(math.fsum(abs(math.log(change.factor)) for change in changes))
        reached = self.is_met(logs)
        return Answer(varied, reached, tuple(changes), measure, self.figure(logs), totals, {} if reached else _shares(parts))


def _with(logs: Logs, at: int, log: float) -> Logs:
    """Return a point with one knob at another place."""
    return (*logs[:at], log, *logs[at + 1 :])


def _measure(logs: Logs) -> float:
    """Return the sum of the sizes of all changes."""
    return math.fsum(map(abs, logs))


def _shares(parts: dict[str, float]) -> dict[str, float]:
    """Return parts as shares of their sum, the largest first."""
    whole = math.fsum(parts.values()) or 1.0
    return {part: parts[part] / whole for part in sorted(parts, key=lambda part: -parts[part])}
