"""Patterns of structured sparsity: one row a pattern, which says how many of a group are kept and how their places are stored.

A new pattern is a new row of ``PATTERNS``: its share of kept values, its bytes, its metadata, its rate and its name in every
print follow from the columns. Which one a GPU runs stands in its architecture file (``tensor_core.sparse_kept`` and
``tensor_core.sparse_group``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import lcm
from typing import Any

from stcsim.isa.columns import DType


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One pattern of structured sparsity along the reduction.

    Attributes:
        kept: values of a group that are stored and multiplied, at most.
        group: values of a group.
        index_bits: bits that store the place of a kept value in its group.
        is_native: hardware has it. How it cuts and stores the elements of each type then stands in the type's own row: tf32
            keeps one of two, 4-bit types four of eight in pairs.
        source: where the figures come from.
    """

    kept: int
    group: int
    index_bits: int
    is_native: bool = False
    source: str

    @property
    def name(self) -> str:
        """The name used everywhere, e.g. ``"2:4"``."""
        return f"{self.kept}:{self.group}"

    @property
    def skipped_ratio(self) -> float:
        """Elements of a group for each that is kept: how many times as fast it may be where nothing else costs time."""
        return self.group / self.kept

    def of(self, element: DType, index_bits: int | None = None) -> DType:
        """Return the row of a type as a GPU with this pattern cuts and stores its weights.

        Args:
            element: a type; one that has no structured sparsity in hardware is returned as it is.
            index_bits: bits that store the place of one kept value (or pair), if not those of the table.
        """
        if not element.sparse_group:
            return element
        if not self.is_native:
            multiple = lcm(element.sparse_k_multiple, self.group)
            element = replace(
                element, sparse_group=self.group, sparse_kept=self.kept, sparse_pair=1, sparse_k_multiple=multiple,
                metadata_bits=self.kept * self.index_bits,
            )  # fmt: skip
        if index_bits is None:
            return element
        return replace(element, metadata_bits=element.sparse_kept // element.sparse_pair * index_bits)


_ASSUMED = "assumed: no GPU has it; as many bits as tell the places of a group apart, kernels as those of 2:4"

PATTERNS: tuple[Pattern, ...] = (
    Pattern(kept=2, group=4, index_bits=2, is_native=True, source="PTX ISA, 'sparse matrix storage'"),
    Pattern(kept=1, group=4, index_bits=2, source=_ASSUMED),
    Pattern(kept=1, group=8, index_bits=3, source=_ASSUMED),
    Pattern(kept=2, group=8, index_bits=3, source=_ASSUMED),
    Pattern(kept=4, group=8, index_bits=3, source=_ASSUMED),
)
"""Every pattern, those of hardware first."""

NATIVE = next(row for row in PATTERNS if row.is_native)
"""The pattern of today's Sparse Tensor Cores: the one that was measured, and for which libraries have kernels."""


def find_pattern(kept: int, group: int) -> Pattern | None:
    """Return the pattern that keeps ``kept`` of ``group``, or ``None`` where no row says so."""
    return next((row for row in PATTERNS if (row.kept, row.group) == (kept, group)), None)


def pattern_of(gpu: Mapping[str, Any]) -> str:
    """Return the name of the pattern in a GPU's document (what ``Arch.to_dict`` returned); without any, that of hardware."""
    kept, group = (gpu["tensor_core"][leaf]["value"] for leaf in ("sparse_kept", "sparse_group"))
    return NATIVE.name if kept is None else f"{kept}:{group}"


def skipped_ratio(name: str) -> float:
    """Return how many elements of a group there are for each that is kept, from a pattern's name."""
    kept, group = map(int, name.split(":"))
    return group / kept


def pattern_names() -> tuple[str, ...]:
    """Return the names of all patterns."""
    return tuple(row.name for row in PATTERNS)
