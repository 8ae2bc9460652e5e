"""What pruning a checkpoint did, weight by weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PrunedWeight:
    """One weight of a GEMM, pruned or not.

    Attributes:
        name: of the layer: the tensor's without ``.weight``.
        tensor: of the tensor.
        kind: ``"linear"``, ``"convolution"`` or ``"experts"``.
        shape: as stored.
        m: outputs.
        k: the reduction.
        dtype: type of its elements.
        is_pruned: whether it was set to zero in places.
        reason: why not; empty where it was pruned.
        order: in which order a filter of several taps holds the pattern, ``"rsc"``, ``"crs"`` or ``"both"``; empty for others.
        kept_share: sum of the magnitudes that stayed over all; ``None`` where nothing was pruned, or a weight is infinite.
        kept_share_unpermuted: the same in the order of channels that the checkpoint had; ``None`` where that was kept.
        permutation: which layers make the channels that were permuted; empty where none were.
        no_permutation: why not, where layers are known to make its channels; empty for all others.
        dense_bytes: of the weight as it was.
        compressed_bytes: of its values and indices as sparse tensor cores take them; ``None`` where it was not pruned.
    """

    name: str
    tensor: str
    kind: str
    shape: tuple[int, ...]
    m: int
    k: int
    dtype: str
    is_pruned: bool
    reason: str
    order: str
    kept_share: float | None
    kept_share_unpermuted: float | None
    permutation: str
    no_permutation: str
    dense_bytes: int
    compressed_bytes: int | None


@dataclass(frozen=True, slots=True)
class PruneReport:
    """All weights of GEMMs, and what was written.

    Attributes:
        source: what was read.
        target: what was written.
        pattern: e.g. ``"2:4"``.
        weights: in the order of the layers' names, numbers as numbers, heads last.
        kept_share: magnitudes that stayed over all, of everything that was pruned; ``None`` where nothing was.
        kept_share_unpermuted: the same without permutations; ``None`` where there were none.
        source_bytes: of the files of weights that were read.
        target_bytes: of those that were written.
        other_tensors: embeddings, norms, biases: tensors that no GEMM multiplies as a weight.
        left_out: files of a folder that were not copied, since they hold the dense weights once more.
        inputs: the arguments, by name.
    """

    source: str
    target: str
    pattern: str
    weights: tuple[PrunedWeight, ...]
    kept_share: float | None
    kept_share_unpermuted: float | None
    source_bytes: int
    target_bytes: int
    other_tensors: int
    left_out: tuple[str, ...]
    inputs: Mapping[str, Any]

    @property
    def pruned(self) -> tuple[PrunedWeight, ...]:
        """The weights that were pruned."""
        return tuple(weight for weight in self.weights if weight.is_pruned)
