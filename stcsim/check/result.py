"""What a check found: plain frozen values, named as in the JSON."""

from __future__ import annotations

from dataclasses import dataclass

ULP_BINS = ("0", "1", "2", "3-4", ">4")
"""Distances from the correctly rounded result, in units in the last place of the output type."""


@dataclass(frozen=True, slots=True)
class Errors:
    """How far one floating-point product is from float64, over all elements computed.

    Attributes:
        ulps: elements in each of ``ULP_BINS``, after rounding to the output type.
        largest_relative, mean_relative: |d - exact| / |exact| before that rounding; elements that are exactly zero left out.
            Sums that cancel dominate both.
        largest_of_magnitudes: |d - exact| / (sum of the magnitudes of the products), which no cancelling inflates;
            subnormal operands count as the smallest normal number.
        beyond_bound: elements farther from exact than the rule of the datapath can put them; ``None`` for torch.
    """

    ulps: tuple[int, ...]
    largest_relative: float
    mean_relative: float
    largest_of_magnitudes: float
    beyond_bound: int | None


@dataclass(frozen=True, slots=True)
class LayerCheck:
    """One layer. Sizes are the layer's own; ``columns`` of n and ``products`` of the batch were computed.

    Attributes:
        number: place among the GEMMs and convolutions of the trace, from 1.
        weights: ``"file"``, ``"seeded"``, or ``"none"`` for a product of two activations.
        not_sparse_because: why it was checked dense only.
        round_trip: whether the compressed matrix expands to the pruned one; ``None`` when dense only.
        torch_format: whether values and metadata are torch's, bit for bit; ``None`` when not compared.
        torch_format_skipped: why not.
        sparse_differs, dense_differs: elements of an integer product that are not torch's.
        sparse, dense, torch: errors of floating-point products.
        failures: what must not be, as phrases.
    """

    number: int
    name: str
    kind: str
    m: int
    n: int
    k: int
    batch: int
    columns: int
    products: int
    weights: str
    not_sparse_because: str | None
    round_trip: bool | None
    torch_format: bool | None
    torch_format_skipped: str | None
    sparse_differs: int | None
    dense_differs: int | None
    sparse: Errors | None
    dense: Errors | None
    torch: Errors | None
    failures: tuple[str, ...]

    @property
    def share(self) -> float:
        """Share of the layer's multiply-accumulates that was computed."""
        return self.columns * self.products / (self.n * self.batch)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All layers of a check, and what it was run with.

    Attributes:
        name: of the trace or GEMM.
        trace_sha256: ``Trace.sha256``.
        output: element type that the ulps are of; ``int32`` for integers.
        sparse_instruction, dense_instruction: what the products are built from.
        weights: the user's file, if any.
        max_columns, max_macs: limits for one layer.
    """

    name: str
    trace_sha256: str
    arch: str
    dtype: str
    output: str
    sparse_instruction: str
    dense_instruction: str
    seed: int
    weights: str | None
    max_columns: int
    max_macs: int
    torch_version: str
    version: str
    layers: tuple[LayerCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether no layer has a failure."""
        return not any(layer.failures for layer in self.layers)
