"""What a search for a change of a GPU comes to: answers, and the question that they belong to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stcsim.partial import Partial
from stcsim.result import Totals, Trust
from stcsim.study.whatif.target import Target


@dataclass(frozen=True, slots=True)
class Changed:
    """A number of the GPU after a change; ``factor`` is ``after`` over ``before``."""

    name: str
    path: str
    unit: str
    before: float
    after: float
    factor: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of varying some numbers.

    Attributes:
        varied: names of what was varied.
        reached: whether the target is met.
        changes: what was changed; where the target is not met, the point that came nearest.
        measure: product of the factors, those below 1 turned over.
        figure: the figure of the target there, simulated.
        totals: of the run there.
        bound: shares of the time there by part, the largest first, where the target is not met: what is in the way.
    """

    varied: tuple[str, ...]
    reached: bool
    changes: tuple[Changed, ...]
    measure: float
    figure: float
    totals: Totals
    bound: dict[str, float]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Answers to one question, the smallest change that reaches the target first.

    Attributes:
        title: of the network, its batch and its type.
        arch: name of the GPU.
        pattern: name of its sparsity pattern.
        target: what is to be reached.
        figure: what the GPU reaches as it is.
        totals: of the GPU as it is.
        within: the largest factor that was tried.
        answers: one for each number alone, and one for all together where there are several.
        runs: simulations that were made.
        trust: how far to trust the figures of the GPU as it is.
        inputs: ``arch`` (every leaf), ``trace_sha256``, ``target``, ``vary``, ``within``, ``dtype``, ``library``, ``duration``
            and ``version``.
        partial: what the network lacks; ``None`` where nothing is missing.
    """

    title: str
    arch: str
    pattern: str
    target: Target
    figure: float
    totals: Totals
    within: float
    answers: tuple[Answer, ...]
    runs: int
    trust: Trust | None
    inputs: dict[str, Any]
    partial: Partial | None = None

    @property
    def is_met_already(self) -> bool:
        """Whether the GPU as it is meets the target."""
        return self.target.is_met(self.figure)
