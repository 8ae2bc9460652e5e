"""What ``inspect`` says of one tensor: a frozen row, with the words for how its groups are filled."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How far a weight has the pattern that the instruction of its type wants."""

    EXACT = "2:4"
    NEARLY = "nearly"
    OTHER_WAY = "other way"
    DENSE = "dense"


@dataclass(frozen=True, slots=True)
class Weight:
    """One tensor of a checkpoint.

    Attributes:
        name: in the checkpoint.
        kind: ``linear``, ``convolution``, ``experts``, ``embedding`` or ``other``.
        shape: as stored, of a compressed layout as unpacked.
        dtype: stored type.
        layout: how it is stored: ``plain``, ``sparse-24-bitmask``, ``marlin-24`` …
        element: type in which a GEMM is to multiply it; empty where it is no weight of a GEMM.
        m: outputs of the GEMM.
        k: the reduction.
        batch: independent GEMMs.
        state: ``2:4`` where no group of the reduction has too many; ``nearly`` where at most one group in twenty has;
            ``other way`` where another direction is 2:4, which no instruction can use; else ``dense``. ``None`` where groups do
            not divide it.
        along: the direction that ``groups`` counts: ``k``; of filters ``r,s,c`` (within each tap, as kernels read them) or
            ``c,r,s`` (flattened as stored); ``m`` for outputs. The exact one where there is one.
        exact_along: every direction that is 2:4.
        groups: of four in that direction.
        groups_off: those with more than two elements that are not zero.
        first_off: index of the first element of the first of them.
        zeros_share: zeros of all elements.
        patterns: other patterns that the reduction has, such as ``1:4`` and ``4:8``.
        kept: share of the sum of magnitudes that 2:4 pruning along the reduction keeps.
        kept_squares: the same of the sum of squares.
        kept_permuted: ``kept`` after the best order of channels that was found; ``None`` where none was searched.
        not_eligible_because: why no 2:4 kernel takes it, else ``None``.
        nan: elements that are NaN.
        nan_at: index of the first.
        stored_bytes: in the file.
        dense_bytes: in ``element``, dense.
        compressed_bytes: in ``element``, 2:4 with metadata; dense where not eligible.
        is_tied: an embedding that is the output layer too.
        nodes: names of the operators that multiply with it, where the file has a graph (ONNX).
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    dtype: str
    layout: str
    element: str
    m: int
    k: int
    batch: int
    state: str | None
    along: str
    exact_along: tuple[str, ...]
    groups: int
    groups_off: int
    first_off: tuple[int, ...]
    zeros_share: float | None
    patterns: tuple[str, ...]
    kept: float | None
    kept_squares: float | None
    kept_permuted: float | None
    not_eligible_because: str | None
    nan: int
    nan_at: tuple[int, ...]
    stored_bytes: int
    dense_bytes: int
    compressed_bytes: int
    is_tied: bool = False
    nodes: tuple[str, ...] = ()

    @property
    def is_gemm(self) -> bool:
        """Whether it is the weight of a GEMM."""
        return bool(self.element)

    @property
    def is_eligible(self) -> bool:
        """Whether a 2:4 kernel may take it once it is pruned."""
        return self.is_gemm and self.not_eligible_because is None

    @property
    def is_pruned(self) -> bool:
        """Whether a 2:4 kernel may take it as it is."""
        return self.is_eligible and self.state == State.EXACT

    @property
    def elements(self) -> int:
        """How many weights it has, of all GEMMs."""
        return self.m * self.k * self.batch
