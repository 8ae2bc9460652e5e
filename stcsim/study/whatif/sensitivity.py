"""Which numbers of a GPU matter: each is made a tenth less and a tenth more, and the network is run again.

What comes out is the answer that a user gets who changes the GPU: kernels are chosen again, and the clock follows the power. A
leaf at a bound of its range goes as far as the range does, and an integer goes by at least one. Leaves that name things rather
than measure them are left alone (``NAMES``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stcsim.arch import Arch, ArchOrName, load_arch, unit_of
from stcsim.arch.tree import NUMBERS, RANGES
from stcsim.errors import ArchError, StcsimError
from stcsim.partial import Partial
from stcsim.processes import Notify
from stcsim.result import Totals, Trust
from stcsim.study.whatif.work import Work
from stcsim.version import __version__

NAMES = ("tensor_core.sparse_group", "tensor_core.sparse_kept")
"""Numbers that together name a pattern of sparsity, as 2 and 4 do."""
LEAST = 5e-4
"""An effect of a smaller share is none."""

Quantity = Literal["dense", "sparse", "speedup"]
QUANTITIES: tuple[Quantity, ...] = ("dense", "sparse", "speedup")
"""Time dense, time with 2:4 wherever a layer may be pruned, and the first over the second."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What is looked at of one run; the last two are ``None`` without Sparse Tensor Cores, or with nothing to prune.

    Attributes:
        dense: time of one pass, every layer dense, microseconds.
        sparse: the same with 2:4 wherever a layer may be pruned.
        speedup: the first over the second.
    """

    dense: float
    sparse: float | None
    speedup: float | None

    def of(self, quantity: Quantity) -> float | None:
        """Return one of them."""
        return {"dense": self.dense, "sparse": self.sparse, "speedup": self.speedup}[quantity]

    def over(self, base: Figures) -> dict[Quantity, float | None]:
        """Return the share by which each differs from that of ``base``: 0.1 is a tenth more."""
        pairs = {quantity: (self.of(quantity), base.of(quantity)) for quantity in QUANTITIES}
        return {quantity: None if found is None or not was else found / was - 1 for quantity, (found, was) in pairs.items()}


@dataclass(frozen=True, slots=True)
class Step:
    """One leaf at another value.

    Attributes:
        value: of the leaf, in the unit of its name.
        figures: of the run there; ``None`` where the GPU would contradict itself.
        effects: the share by which each quantity differs from that of the GPU as it is.
        refused: why there was no run.
    """

    value: float
    figures: Figures | None
    effects: Mapping[Quantity, float | None]
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class LeafEffect:
    """What a leaf does: its value, and a step to either side of it; ``None`` where the range of the leaf ends."""

    path: str
    unit: str
    value: float
    less: Step | None
    more: Step | None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that there are."""
        return tuple(step for step in (self.less, self.more) if step is not None)

    def largest(self, quantity: Quantity | None = None) -> float:
        """Return the largest effect on one quantity, or on any of them, as a share without its sign."""
        asked = QUANTITIES if quantity is None else (quantity,)
        return max((abs(step.effects.get(each) or 0.0) for step in self.steps for each in asked), default=0.0)

    @property
    def moves(self) -> bool:
        """Whether it moves anything at all."""
        return self.largest() >= LEAST


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What each number of a GPU does to a network.

    Attributes:
        title: of the network, its batch and its type.
        arch: name of the GPU.
        pattern: name of the GPU's sparsity pattern.
        share: by which each leaf was changed.
        base: figures of the GPU as it is.
        leaves: those with most effect first.
        trust: how far to trust the figures of the GPU as it is.
        inputs: ``arch`` (every leaf), ``trace_sha256``, ``dtype``, ``library``, ``duration``, ``share`` and ``version``.
        partial: what the network lacks; ``None`` where nothing is missing.
    """

    title: str
    arch: str
    pattern: str
    share: float
    base: Figures
    leaves: tuple[LeafEffect, ...]
    trust: Trust | None
    inputs: dict[str, Any]
    partial: Partial | None = None

    @property
    def movers(self) -> tuple[LeafEffect, ...]:
        """The leaves that move anything, those with most effect first."""
        return tuple(leaf for leaf in self.leaves if leaf.moves)

    @property
    def idle(self) -> tuple[str, ...]:
        """Paths of the leaves that were changed and move nothing, in the order of the tree."""
        order = list(NUMBERS)
        idle = [leaf.path for leaf in self.leaves if not leaf.moves and any(step.figures for step in leaf.steps)]
        return tuple(sorted(idle, key=order.index))

    @property
    def refused(self) -> tuple[str, ...]:
        """Why steps were not taken, a sentence each."""
        return tuple(step.refused for leaf in self.leaves for step in leaf.steps if step.refused)


def sensitivity_of(
    work: Work, arch: ArchOrName, share: float = 0.1, jobs: int = 1, progress: Notify | None = None
) -> Sensitivity:
    """Run ``work`` with each number of a GPU so much smaller and larger.

    Args:
        work: a network or a GEMM.
        arch: the GPU, or its name or file.
        share: by which each number changes, between 0 and 1.
        jobs: processes to share the runs out to.
        progress: called with (runs done, runs in all).

    Raises:
        StcsimError: a share that is none.
        UnsupportedError: when the GPU lacks the type.
    """
    if not 0 < share < 1:
        raise StcsimError("by", "percent above 0 and below 100", f"{100 * share:g}")
    arch = load_arch(arch)
    arch.require(work.dtype, False)
    leaves = {path: value for path in NUMBERS if path not in NAMES and isinstance(value := arch.value(path), int | float)}
    trials = [trial for path, value in leaves.items() for trial in _trials(arch, path, value, share)]
    here = work.on(arch)
    base = _figures(here.totals)
    runs = iter(work.totals_on_each([trial.gpu for trial in trials if trial.gpu], jobs, progress))
    steps = {(trial.path, trial.is_more): _step(trial, next(runs) if trial.gpu else None, base) for trial in trials}
    effects = [
        LeafEffect(path, unit_of(path), value, steps.get((path, False)), steps.get((path, True)))
        for path, value in leaves.items()
    ]
    ranked = tuple(sorted(effects, key=lambda leaf: -leaf.largest()))
    inputs = {"arch": arch.to_dict(), "trace_sha256": work.trace.sha256, **work.options, "share": share, "version": __version__}
    return Sensitivity(work.title, arch.name, here.pattern, share, base, ranked, here.trust, inputs, here.partial)


@dataclass(frozen=True, slots=True)
class _Trial:
    """A GPU with one leaf changed, or why there is no such GPU."""

    path: str
    is_more: bool
    value: float
    gpu: Arch | None
    refused: str | None = None


def _trials(arch: Arch, path: str, value: float, share: float) -> Iterator[_Trial]:
    """Yield what a leaf is changed to: less, then more; nothing where its range ends."""
    least, most = RANGES[path]
    for is_more, factor in ((False, 1 - share), (True, 1 + share)):
        moved = min(max(_moved(value, factor, NUMBERS[path] is int), least), most)
        if moved == value:
            continue
        try:
            yield _Trial(path, is_more, moved, load_arch(arch, {path: moved}))
        except ArchError as error:  # two leaves that only fit together, as the shared memory of an SM and of a CTA
            yield _Trial(path, is_more, moved, None, str(error).removeprefix("overrides "))


def _moved(value: float, factor: float, is_integer: bool) -> float:
    if not is_integer:
        return float(f"{value * factor:.9g}")
    step = max(round(abs(value * (factor - 1))), 1)
    return int(value) + (step if factor > 1 else -step)


def _step(trial: _Trial, totals: Totals | None, base: Figures) -> Step:
    if totals is None:
        return Step(trial.value, None, dict.fromkeys(QUANTITIES), trial.refused)
    figures = _figures(totals)
    return Step(trial.value, figures, figures.over(base))


def _figures(totals: Totals) -> Figures:
    assert totals.dense_us is not None  # every layer was run dense
    return Figures(totals.dense_us, totals.sparse_us, totals.sparse_speedup)
