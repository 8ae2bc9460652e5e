"""What ran: a row for each product, and what was left to PyTorch and why."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Errors:
    """How far a product's results are from fp32.

    Attributes:
        max_abs: the largest absolute error.
        mean_abs: the mean absolute error.
        cosine: the cosine of the angle between both results, as vectors.
        max_ulp: the largest error in units in the last place of the output type, at the fp32 result.
        mean_ulp: the mean, likewise.
    """

    max_abs: float
    mean_abs: float
    cosine: float
    max_ulp: float
    mean_ulp: float


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """One product on the datapath.

    Attributes:
        name: path of the module, and what is multiplied there unless the module says it; ``#2`` for the second call.
        kind: ``"linear"``, ``"matmul"``, ``"conv2d"``, ``"conv_transpose2d"``, ``"attention"`` and so on.
        m, n, k: rows of A (output channels where there is a weight), columns of B, and the length of the reduction.
        batch: products of this shape beside each other.
        sparse: whether the 2:4 instruction ran.
        why_dense: why a layer that was to run 2:4 did not; empty otherwise.
        dtype, acc_dtype, output: types of the operands, the accumulator and the result.
        instruction: in PTX words.
        order: in which the kernel adds, as a text that ``gemm`` takes.
        seconds: wall time, without the reference.
        scales: ``"given"``, ``"dynamic"`` (the largest magnitude found), or ``"none"``.
        activations_beyond: finite elements of the activations that overflowed or saturated when they were encoded: those
            so far beyond the largest number of the type that they do not round to it.
        weights_beyond: elements of the weights, likewise.
        not_finite: results that are infinite or NaN.
        errors: against fp32; ``None`` where that was not asked for.
    """

    name: str
    kind: str
    m: int
    n: int
    k: int
    batch: int
    sparse: bool
    why_dense: str
    dtype: str
    acc_dtype: str
    output: str
    instruction: str
    order: str
    seconds: float
    scales: str
    activations_beyond: int
    weights_beyond: int
    not_finite: int
    errors: Errors | None

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the dense product."""
        return self.m * self.n * self.k * self.batch


@dataclass(frozen=True, slots=True)
class NotSimulated:
    """Products that PyTorch computed.

    Attributes:
        name: where, as in ``LayerRecord``.
        operator: what PyTorch calls it.
        why: the reason.
    """

    name: str
    operator: str
    why: str


_COLUMNS = ("name", "kind", "m", "n", "k", "batch", "sparse", "max_abs", "mean_abs", "cosine", "max_ulp", "mean_ulp", "seconds")


@dataclass(slots=True)
class Record:
    """What a network did on the datapath; it grows while the network runs.

    Attributes:
        reference: what errors are counted against: ``"layer"``, ``"network"`` or ``"none"``.
        layers: a row a product, in the order they ran.
        not_simulated: products that PyTorch computed, and why.
        not_compared: products that had another shape when the network ran in fp32, as experts that get other tokens have.
    """

    reference: str
    layers: list[LayerRecord] = field(default_factory=list)
    not_simulated: list[NotSimulated] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all products, as if they were dense."""
        return sum(each.macs for each in self.layers)

    @property
    def seconds(self) -> float:
        """Wall time of all products."""
        return sum(each.seconds for each in self.layers)

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat mapping for each product."""
        return [_flat(each) for each in self.layers]

    def to_csv(self) -> str:
        """Return the rows as CSV, with a line of names."""
        rows = self.rows()
        out = io.StringIO()
        writer = csv.DictWriter(out, list(rows[0]) if rows else list(_COLUMNS), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return out.getvalue()

    def to_json(self) -> str:
        """Return the whole record as JSON."""
        whole = {
            "reference": self.reference,
            "layers": self.rows(),
            "not_simulated": [asdict(each) for each in self.not_simulated],
            "not_compared": self.not_compared,
        }
        return json.dumps(whole, indent=2)

    def table(self) -> str:
        """Return the rows as text, with what was not simulated below."""
        lines = [_COLUMNS, *([_shown(row.get(each)) for each in _COLUMNS] for row in self.rows())]
        widths = [max(len(line[at]) for line in lines) for at in range(len(_COLUMNS))]
        text = ["  ".join(_cell(at, line[at], widths[at]) for at in range(len(widths))).rstrip() for line in lines]
        return "\n".join([*text, *self._left_out()])

    def _left_out(self) -> Sequence[str]:
        """Return a line for each reason why products are dense that were to be 2:4, or were left to PyTorch."""
        dense = [(f"dense, {each.why_dense}", each.name) for each in self.layers if each.why_dense]
        left = [(f"not simulated, {each.operator}: {each.why}", each.name) for each in self.not_simulated]
        apart = [("not compared, another shape in fp32", name) for name in self.not_compared]
        names: dict[str, list[str]] = {}
        for why, name in (*dense, *left, *apart):
            names.setdefault(why, []).append(name)
        return [f"{why}: {_listed(each)}" for why, each in names.items()]


def _flat(layer: LayerRecord) -> dict[str, Any]:
    row = asdict(layer)
    errors = row.pop("errors") or dict.fromkeys(Errors.__dataclass_fields__)
    return {**row, **errors}


def _cell(column: int, text: str, width: int) -> str:
    return text.ljust(width) if column < 2 else text.rjust(width)


def _listed(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _shown(value: object) -> str:
    """Return a figure as text."""
    if isinstance(value, bool):
        return "2:4" if value else "dense"
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
