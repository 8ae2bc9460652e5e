"""What a published case study is made of: points, each a quantity of simulated executions, most with the published figure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from stcsim.study.axis import Value
from stcsim.study.curve import Side

Shape = tuple[int, int, int]
"""m, n and k of a GEMM; the weight, the sparse operand, is m x k."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One thing that runs on one GPU, dense or 2:4.

    Attributes:
        work: a shipped trace by name; or GEMMs, one after the other, each with weights of its own.
        side: ``"2:4"`` prunes every layer that may be; ``"best"`` keeps the faster kernel layer by layer, as TensorRT does.
        batch: of a trace.
        settings: overrides of the GPU, e.g. ``("clock.sustained_mhz=1095",)``.
        keep_dense, fusion, launch: as ``stcsim.run`` has them.
        warm: a single GEMM is launched over and over with the same weights.
        library: whose 2:4 kernels ran.
    """

    work: str | tuple[Shape, ...]
    gpu: str
    dtype: str
    side: Side = "best"
    batch: int = 1
    settings: tuple[str, ...] = ()
    keep_dense: tuple[str, ...] = ()
    fusion: str = "epilogue"
    launch: str = "graph"
    warm: bool = False
    library: str = "cusparselt"

    @property
    def dense(self) -> Execution:
        """The same without pruning."""
        return replace(self, side="dense")


@dataclass(frozen=True, slots=True)
class Case:
    """What a quantity is taken of, and what it is compared with: by default the same, dense."""

    of: Execution
    over: Execution | None = None

    @property
    def base(self) -> Execution:
        """What ``of`` is compared with."""
        return self.over or self.of.dense


@dataclass(frozen=True, slots=True)
class Quantity:
    """What can be published.

    Attributes:
        title, unit: as an axis says it; times are in microseconds, savings a share.
        is_measured: whether publications measured it; what follows from a definition is no test of the model.
    """

    title: str
    unit: str
    is_measured: bool = True


@dataclass(frozen=True, slots=True)
class Published:
    """A published figure: one number, or both ends of what the words leave open.

    Attributes:
        low, high: the ends, in the unit of the quantity.
        text: the words of the publication where they are no plain number.
    """

    low: float
    high: float
    text: str = ""

    def difference(self, predicted: float) -> float:
        """Return how far ``predicted`` lies from the nearer end, as a share of that end; 0 between the ends."""
        return predicted / min(max(predicted, self.low), self.high) - 1


def exactly(figure: float) -> Published:
    """Return a figure published as it is."""
    return Published(figure, figure)


def about(figure: float) -> Published:
    """Return a figure with one decimal that was published with "about": anything that rounds to it."""
    return Published(round(figure - 0.05, 2), round(figure + 0.05, 2), f"about {figure:g}")


def almost(figure: float) -> Published:
    """Return a figure published with "almost" or "nearly": up to 5 % less."""
    return Published(0.95 * figure, figure, f"almost {figure:g}")


def up_to(figure: float) -> Published:
    """Return the largest figure of a publication that gives no other."""
    return Published(figure, figure, f"up to {figure:.2f}")


@dataclass(frozen=True, slots=True)
class Point:
    """One quantity of a study.

    Attributes:
        quantity: a key of ``stcsim.study.reproduce.run.QUANTITIES``.
        cases: of several, the largest figure counts.
        published: the figure to compare with, or ``None`` where none was published.
        value: where it stands on the axis of the study.
        label: what it is called elsewhere.
        series: tells lines of a figure apart, empty where there is one.
    """

    quantity: str
    cases: tuple[Case, ...]
    published: Published | None = None
    value: Value | None = None
    label: str = ""
    series: str = ""


@dataclass(frozen=True, slots=True)
class Study:
    """One publication.

    Attributes:
        name: in one word.
        title: what was run.
        gpu: on which GPU.
        claim: what was published, in one line.
        source: author, title, place.
        assumed: what the publication does not say, or the simulator does not do, a sentence each.
        axis: name of what varies, with its unit; empty where points are of different kinds.
    """

    name: str
    title: str
    gpu: str
    claim: str
    source: str
    points: tuple[Point, ...]
    assumed: tuple[str, ...]
    axis: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A point with its prediction, in the unit of ``quantity``."""

    point: Point
    quantity: Quantity
    predicted: float

    @property
    def difference(self) -> float | None:
        """Predicted against published, a share; ``None`` where nothing was published."""
        return self.point.published.difference(self.predicted) if self.point.published else None


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A study with predictions.

    Attributes:
        inputs: ``archs`` (every leaf of each GPU, settings in its name), ``trace_sha256`` by trace, ``version``.
    """

    study: Study
    rows: tuple[Row, ...]
    inputs: dict[str, Any]
