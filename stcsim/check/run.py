"""Goes through the layers of a trace: prunes, compresses, multiplies dense and 2:4, and holds everything against torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from stcsim.check import torch_side
from stcsim.check.compare import Tally, error_bound, magnitudes, round_trips, same_as_torch
from stcsim.check.layers import Layer, Limits, Operands, code_name, layers_of, operands, synthetic_weights
from stcsim.check.result import CheckReport, Errors, LayerCheck
from stcsim.check.weights import Weights
from stcsim.errors import UnsupportedError
from stcsim.isa import DType, timed_types
from stcsim.isa import dtype as find_dtype
from stcsim.isa.capabilities import ArchLike, capability
from stcsim.isa.instructions import Instruction, gemm_instruction, usual_arch
from stcsim.numerics import gemm
from stcsim.numerics.sparse.sparse24 import Sparse24, compress
from stcsim.tensors import torch_bridge
from stcsim.trace import TraceOrName, load_trace
from stcsim.version import __version__
from stcsim.words import size, text

Progress = Callable[[int, int], None]

_PART_ELEMENTS = 1 << 23
"""Elements of A, and of D, computed at a time: bounds the memory."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What all layers share: the type, the architecture, the sparse and the dense instruction, the type of the output."""

    element: DType
    arch: str
    sparse: Instruction
    dense: Instruction

    @property
    def output(self) -> str:
        """Element type that ulps are of."""
        return self.element.out if self.element.is_float else self.element.acc


def check(
    trace: TraceOrName,
    arch: ArchLike | None = None,
    dtype: str | None = None,
    *,
    layers: str | None = None,
    weights: str | PathLike[str] | None = None,
    seed: int = 0,
    max_columns: int = 4096,
    max_macs: int = 10**9,
    progress: Progress | None = None,
) -> CheckReport:
    """Return how every GEMM and convolution of ``trace`` compares with PyTorch.

    Args:
        trace: the network, or its name or file.
        arch: a GPU (``"a100"`` or an ``Arch``), or a compute capability (``"sm_80"`` or ``"8.0"``); by default the first that has
            the type.
        dtype: element type, as in ``stcsim.isa``; the trace's own by default.
        layers: which, as ``stcsim.trace.choose`` understands it, e.g. ``"1,4-6,*.fc*"`` or ``"last"``; all by default.
        weights: a .safetensors or .npz file; layers that it does not name get seeded weights.
        seed: of weights and activations; each layer has its own stream.
        max_columns, max_macs: how much of one layer is computed.
        progress: called with (layers done, layers in all).

    Raises:
        StcsimError: when the architecture lacks the type, or layers or weights cannot be used.
    """
    trace, seed = load_trace(trace), size(seed, "seed", 0)
    element = find_dtype(text(trace.dtype if dtype is None else dtype, "dtype", "the name of an element type").lower())
    limits = Limits(size(max_columns, "max_columns"), size(max_macs, "max_macs"))
    setup = _setup(arch, element)
    chosen = layers_of(trace, setup.element, limits, layers)
    found = []
    with ExitStack() as stack:
        given = None if weights is None else Weights(Path(weights), chosen, stack)
        for layer in chosen:
            found.append(_check_layer(setup, layer, given, seed))
            if progress is not None:
                progress(len(found), len(chosen))
    return CheckReport(
        trace.name, trace.sha256, setup.arch, setup.element.name, setup.output, setup.sparse.name, setup.dense.name, seed,
        None if weights is None else str(weights), limits.max_columns, limits.max_macs, torch_side.VERSION, __version__,
        tuple(found),
    )  # fmt: skip


def _setup(arch: ArchLike | None, element: DType) -> Setup:
    """Return what all layers share, or refuse an architecture that lacks the type, or 2:4, or a type that PyTorch lacks."""
    if not element.torch:
        known = ", ".join(row.name for row in timed_types() if row.torch)
        raise UnsupportedError("dtype", f"a type that PyTorch has too ({known})", f"'{element.name}'")
    name = code_name(element)
    plain = capability(usual_arch(name) if arch is None else arch)
    sparse, dense = (gemm_instruction(plain, element.acc, name, name, sparse) for sparse in (True, False))
    return Setup(element, plain, sparse, dense)


def _check_layer(setup: Setup, layer: Layer, given: Weights | None, seed: int) -> LayerCheck:
    """Return what one layer shows."""
    rng = np.random.default_rng([seed, layer.number])
    weights = None if given is None else given.codes(layer, setup.element)
    source = "file" if weights is not None else "seeded" if layer.op.weight_elements else "none"
    if weights is None:
        weights = synthetic_weights(layer, setup.element, rng)
    findings = Findings(setup, layer)
    data = operands(layer, setup.element, weights, rng)
    for part in _parts(data):
        findings.add(part)
    return findings.layer_check(source)


def _parts(data: Operands) -> Iterator[Operands]:
    """Yield whole matrices of the batch, or rows of one, that fit the memory."""
    batch, m, k = data.a.shape
    matrix = m * max(k, data.b.shape[-1])
    matrices = max(1, _PART_ELEMENTS // matrix)
    rows = m if matrix <= _PART_ELEMENTS else max(32, _PART_ELEMENTS // max(k, data.b.shape[-1]) // 32 * 32)
    for start in range(0, batch, matrices):
        these = slice(start, start + matrices)
        for first in range(0, m, rows):
            a = these, slice(first, first + rows)
            yield Operands(data.a[a], data.b[these], data.torch_a[a], data.torch_b[these])


class Findings:
    """What the parts of one layer showed so far."""

    def __init__(self, setup: Setup, layer: Layer) -> None:
        """Start with nothing found."""
        self.setup, self.layer, self.name = setup, layer, code_name(setup.element)
        self.is_sparse, self.is_exact = layer.not_sparse_because is None, not setup.element.is_float
        self.differs = {"sparse": 0, "dense": 0}
        self.round_trip, self.torch_format = True, True
        self.skipped: str | None = None
        self.tallies: dict[str, Tally] = {}
        if not self.is_exact:
            bounds = {side: self._bound(side) for side in ("sparse", "dense")} | {"torch": None}
            self.tallies = {side: Tally(setup.output, bound) for side, bound in bounds.items()}

    def add(self, part: Operands) -> None:
        """Compress, multiply and compare one part."""
        products = {"dense": gemm(part.a, part.b, arch=self.setup.arch, dtype=self.name)}
        if self.is_sparse:
            sparse = compress(part.a, self.name)
            self._add_format(sparse, part.a)
            products["sparse"] = gemm(sparse, part.b, arch=self.setup.arch)
        if self.is_exact:
            theirs = torch_side.integer_product(part.torch_a, part.torch_b)
            for side, ours in products.items():
                self.differs[side] += int(np.count_nonzero(ours != theirs))
        else:
            self._add_errors(part, products)

    def layer_check(self, weights: str) -> LayerCheck:
        """Return the sums."""
        whole, part = self.layer.whole_product, self.layer.product
        sides: dict[str, Errors] = {side: tally.errors() for side, tally in self.tallies.items()}
        known = self.is_sparse and self.skipped is None
        return LayerCheck(
            number=self.layer.number,
            name=self.layer.op.name,
            kind=self.layer.op.kind,
            m=whole.m,
            n=whole.n,
            k=whole.k,
            batch=whole.batch,
            columns=part.n,
            products=part.batch,
            weights=weights,
            not_sparse_because=self.layer.not_sparse_because,
            round_trip=self.round_trip if self.is_sparse else None,
            torch_format=self.torch_format if known else None,
            torch_format_skipped=self.skipped,
            sparse_differs=self.differs["sparse"] if self.is_exact and self.is_sparse else None,
            dense_differs=self.differs["dense"] if self.is_exact else None,
            sparse=sides.get("sparse") if self.is_sparse else None,
            dense=sides.get("dense"),
            torch=sides.get("torch"),
            failures=tuple(self._failures()),
        )

    def _add_format(self, sparse: Sparse24, pruned: Any) -> None:
        """Compare the compressed form with the matrix it came from, and with torch's."""
        self.round_trip &= round_trips(sparse, pruned)
        rows, groups = -1, sparse.metadata.shape[-1]
        flat = Sparse24(sparse.values.reshape(rows, sparse.k // 2), sparse.metadata.reshape(rows, groups), sparse.dtype, sparse.k)
        same = same_as_torch(flat, pruned.reshape(rows, sparse.k))
        if isinstance(same, str):
            self.skipped = same
        else:
            self.torch_format &= same

    def _add_errors(self, part: Operands, products: dict[str, Any]) -> None:
        """Compare floating-point products with float64, and torch's with it too."""
        a, b = torch_bridge.decode(part.torch_a, self.name), torch_bridge.decode(part.torch_b, self.name)
        exact, size = a @ b, magnitudes(a, self.name) @ magnitudes(b, self.name)
        for side, ours in products.items():
            self.tallies[side].add(torch_bridge.decode(ours, "fp32"), exact, size)
        self.tallies["torch"].add(torch_side.float32_product(a, b), exact, size)

    def _bound(self, side: str) -> float:
        return error_bound(getattr(self.setup, side), self.setup.arch, self.layer.product.k)

    def _failures(self) -> Iterator[str]:
        """Yield what must not be."""
        if not self.round_trip:
            yield "the compressed weights do not expand to the pruned ones"
        if not self.torch_format:
            yield "values or metadata are not those of torch's CUTLASS conversion"
        for side, count in self.differs.items():
            if count:
                yield f"{count:,} elements of the {side} product are not those of torch._int_mm"
        for side, tally in self.tallies.items():
            if tally.beyond:
                yield f"{tally.beyond:,} elements of the {side} product are beyond the error bound of the datapath"
