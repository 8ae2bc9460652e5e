"""What a recipe comes to: rows of scores, rows of predicted times, and what they were made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stcsim.result import Interval


@dataclass(frozen=True, slots=True)
class Score:
    """How good a network is on the samples it is tested on.

    Attributes:
        value: percent right, or bits a character.
        error: the standard error of that, from the number of samples: binomial, or of the mean over samples.
    """

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class Row:
    """A network in one type.

    Attributes:
        stage: whose result it is.
        pruned: whether weights are 2:4.
        trained: whether training was the last that was done to it; false of a network that was pruned last.
        dtype: of the operands: ``"fp16"``, ``"int8"`` or ``"fp8"``.
        method: how the scales were found; empty without scales, ``"qat"`` where the network was trained with them.
        arch: the GPU whose arithmetic it is.
        fp32: in PyTorch, without rounding.
        emulated: in PyTorch with ModelOpt's quantisers, ``None`` without scales.
        simulated: on the simulated datapath, all products dense; for a pruned network with its zeros as kept products.
        expanded: the same with the other assumption about 2:4 instructions, ``None`` of a dense network.
        differing: share of the network's outputs that differ between the two.
        sparse_layers: layers that ran the 2:4 instruction.
        layers: layers with weights.
    """

    stage: str
    pruned: bool
    trained: bool
    dtype: str
    method: str
    arch: str
    fp32: Score
    emulated: Score | None
    simulated: Score
    expanded: Score | None
    differing: float | None
    sparse_layers: int
    layers: int


@dataclass(frozen=True, slots=True)
class Speed:
    """What a pass of the network costs on a GPU, predicted; every layer dense, or the pruned ones 2:4 where that is faster.

    Attributes:
        arch: the GPU.
        dtype: of the operands.
        batch: samples in the pass.
        dense_us: time, all layers dense.
        dense_us_interval: where 80 % of measurements are to be expected.
        best_us: time, each pruned layer as 2:4 or dense, whichever is faster.
        best_us_interval: likewise.
        sparse_us: time, all pruned layers as 2:4 where a kernel takes them.
        speedup: ``dense_us / best_us``.
        speedup_interval: likewise.
        dense_uj, best_uj: energy of the board.
        weight_bytes: of all weights, dense.
        pruned_bytes: of all weights, with those that a kernel takes compressed, metadata included.
        activation_bytes: alive at once at the worst moment.
        pruned: layers whose weights are 2:4.
        eligible: those of them that a 2:4 kernel takes.
        faster: how many of those are faster as 2:4.
        verdict: whether pruning pays.
    """

    arch: str
    dtype: str
    batch: int
    dense_us: float
    dense_us_interval: Interval | None
    best_us: float
    best_us_interval: Interval | None
    sparse_us: float
    speedup: float
    speedup_interval: Interval | None
    dense_uj: float
    best_uj: float
    weight_bytes: int
    pruned_bytes: int
    activation_bytes: int
    pruned: int
    eligible: int
    faster: int
    verdict: str | None


@dataclass(frozen=True, slots=True)
class WorkflowResult:
    """What ``stcsim workflow`` found.

    Attributes:
        recipe, title: its name and sentence.
        recipe_sha256: hash of the recipe as it ran.
        metric: ``"accuracy"`` (percent) or ``"bits"`` (a character; less is better).
        samples: tested on.
        data_sha256: hash of the data.
        parameters: numbers in the network.
        order: in which fp8 kernels add on the datapath.
        notes: what a reader must know.
        versions: of the libraries that decide bits.
        rows: scores.
        speeds: predicted times.
    """

    recipe: str
    title: str
    recipe_sha256: str
    metric: str
    samples: int
    data_sha256: str
    parameters: int
    order: str
    notes: tuple[str, ...]
    versions: Mapping[str, str]
    rows: tuple[Row, ...]
    speeds: tuple[Speed, ...]

    def row(self, stage: str, dtype: str, method: str | None = None) -> Row:
        """Return the first row of a stage in a type, of one method if that is given."""
        return next(
            row for row in self.rows if (row.stage, row.dtype) == (stage, dtype) and (method is None or row.method == method)
        )

    def speed_of(self, row: Row, arch: str) -> Speed | None:
        """Return the predicted times of a row on a GPU; ``None`` where that has no such type."""
        return next((speed for speed in self.speeds if (speed.arch, speed.dtype) == (arch, row.dtype)), None)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values."""
        from stcsim.result.document import plain

        return {"schema": "stcsim/workflow-1", **plain(self)}
