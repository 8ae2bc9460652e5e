"""``inspect``: every tensor of a checkpoint, what it is to a GEMM, and how far it is 2:4."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from stcsim.checkpoint import Checkpoint, StoredTensor, open_checkpoint
from stcsim.checkpoint.roles import Role, Roles
from stcsim.errors import StcsimError, closest, quoted
from stcsim.inspection.counting import Counts, Filled, count, satisfies
from stcsim.inspection.permuting import kept_permuted
from stcsim.inspection.weights import State, Weight
from stcsim.isa import DTYPES, DType
from stcsim.isa.patterns import NATIVE, PATTERNS
from stcsim.replay import problem_of, why_not_sparse
from stcsim.replay.door import element_of
from stcsim.timing.problem import a_row_bytes
from stcsim.trace import Gemm
from stcsim.words import flag, path_of, texts

NEARLY = 0.05
"""Up to this share of groups off, a weight is called nearly 2:4."""
WIDENED = "fp16"
"""What a GEMM multiplies weights in that are stored in a type of no tensor core, or in four bits, which kernels widen."""
_OTHER_PATTERNS = tuple((row.kept, row.group, 1, row.name) for row in PATTERNS if row is not NATIVE) + (
    (1, 2, 1, "1:2"),
    (2, 8, 2, "4:8 in pairs"),
)
"""Units kept of a group, elements of a group, elements of a unit, and the name."""
_IMPLIED = ("4:8",)
"""Patterns that every 2:4 weight has."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Options:
    """What ``inspect`` is asked to do.

    Attributes:
        dtype: element type of all GEMMs; ``None`` for that of each weight, or fp16 for those stored in another.
        weights: patterns of names, as in a shell; only these are looked at. Empty for all.
        permute: whether to search orders of channels.
        magnitudes: whether to sum magnitudes.
    """

    dtype: str | None = None
    weights: tuple[str, ...] = ()
    permute: bool = False
    magnitudes: bool = True


@dataclass(frozen=True, slots=True)
class Inspection:
    """What is in a checkpoint.

    Attributes:
        path: what was opened.
        format: its layout, as its configuration or its tensors say.
        nbytes: of all its files.
        weights: weights of GEMMs, in the order of the file.
        others: every other tensor, with the reason.
        experts_per_token: how many experts see each token, 0 where the configuration does not say.
    """

    path: str
    format: str
    nbytes: int
    weights: tuple[Weight, ...]
    others: tuple[Weight, ...]
    experts_per_token: int = 0

    @property
    def pruned(self) -> tuple[Weight, ...]:
        """Weights that a 2:4 kernel may take as they are."""
        return tuple(weight for weight in self.weights if weight.is_pruned)

    @property
    def eligible(self) -> tuple[Weight, ...]:
        """Weights that a 2:4 kernel may take once they are pruned."""
        return tuple(weight for weight in self.weights if weight.is_eligible)


def inspect_checkpoint(
    path: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    weights: str | Iterable[str] = (),
    permute: bool = False,
    magnitudes: bool = True,
    progress: Progress | None = None,
) -> Inspection:
    """Return what is in a checkpoint. Its weights are read once, in pieces, and never unpickled.

    Args:
        path: a ``.safetensors``, ``.onnx`` or ``.npz`` file, or a Hugging Face folder.
        dtype: element type in which GEMMs are to multiply; by default that of each weight, and fp16 for fp32, fp64 and four bits.
        weights: names or patterns as in a shell; only these are looked at.
        permute: search an order of channels under which pruning keeps more (slow).
        magnitudes: sum magnitudes, of which pruning would keep a share.
        progress: called with (bytes done, bytes in all).

    Raises:
        StcsimError: when the file is none that can be read, or a pattern names no tensor.
        UnsupportedError: when no such type is known.
    """
    patterns, file = texts(weights, "weights", "names of weights or patterns"), path_of(path, "path")
    element = None if dtype is None else element_of(dtype).name
    options = Options(element, patterns, flag(permute, "permute"), flag(magnitudes, "magnitudes"))
    with open_checkpoint(file) as checkpoint:
        names = _named(checkpoint, options.weights)
        roles, looked, done = Roles(checkpoint), [], 0
        whole = sum(checkpoint[name].nbytes for name in names)
        for name in names:
            use = checkpoint.uses.get(name)
            looked.append(replace(look_at(checkpoint[name], roles.of(name), options), nodes=use.nodes if use else ()))
            done += checkpoint[name].nbytes
            if progress is not None:
                progress(done, whole)
        gemms, others = (tuple(each for each in looked if each.is_gemm is wanted) for wanted in (True, False))
        per_token = checkpoint.config.get("num_experts_per_tok")
        experts = per_token if isinstance(per_token, int) else 0
        return Inspection(str(path), _format(checkpoint), checkpoint.nbytes, gemms, others, experts)


def look_at(tensor: StoredTensor, role: Role, options: Options) -> Weight:
    """Return what is known of one tensor; one that is no weight of a GEMM is not read."""
    unknown = Weight(
        tensor.name, role.kind.value, tensor.shape, tensor.dtype, tensor.layout, "", role.m, role.k, role.batch, None, "", (), 0,
        0, (), None, (), None, None, None, role.why or None, 0, (), tensor.nbytes, tensor.nbytes, tensor.nbytes, role.is_tied,
    )  # fmt: skip
    if role.why:
        return unknown
    element = _element(tensor, options.dtype)
    problem = problem_of(Gemm(name=tensor.name, m=role.m, n=1, k=role.k, batch=role.batch), element)
    why = why_not_sparse(problem, False)
    counts = count(tensor, role.along, options.magnitudes)
    if counts.nan:
        why = why or f"{counts.nan:,} of its elements are NaN"
    state, filled = _state(tensor, role, counts, element)
    compressed = role.batch * role.m * a_row_bytes(element, role.k, True)
    searched = options.permute and why is None and state != State.EXACT
    return replace(
        unknown,
        element=element.name,
        state=state,
        along=filled.along if filled else role.along[0].name,
        exact_along=tuple(each.along for each in counts.filled if not each.over),
        groups=filled.groups if filled else 0,
        groups_off=filled.over if filled else 0,
        first_off=filled.first_over if filled else (),
        zeros_share=counts.zeros / tensor.size,
        patterns=_patterns(tensor, role, counts),
        kept=counts.kept,
        kept_squares=counts.kept_squares,
        kept_permuted=kept_permuted(tensor, role.along[0]) if searched else None,
        not_eligible_because=why,
        nan=counts.nan,
        nan_at=counts.nan_at,
        dense_bytes=problem.a_bytes(False),
        compressed_bytes=compressed if why is None else problem.a_bytes(False),
    )


def _element(tensor: StoredTensor, dtype: str | None) -> DType:
    """Return the type in which a GEMM is to multiply a weight."""
    stored = DTYPES[tensor.dtype]
    if dtype is not None:
        return element_of(dtype)
    return element_of(stored.rate if stored.rate and stored.bits >= 8 else WIDENED)


def _state(tensor: StoredTensor, role: Role, counts: Counts, element: DType) -> tuple[str | None, Filled | None]:
    """Return how far a weight has the pattern of the element type, and the direction that says so."""
    reduction = next((each for each in counts.filled if each.along == role.along[0].name), None)
    if reduction is None:
        return None, None
    if not reduction.over:
        group, pair = element.sparse_group, element.sparse_pair
        is_native = (element.sparse_kept, group, pair) == (NATIVE.kept, NATIVE.group, 1) or not group
        kept = element.sparse_kept // pair
        exact = is_native or satisfies(tensor, role.along[0], [(kept, group, pair)])[0]
        return (State.EXACT if exact else State.DENSE), reduction
    if reduction.over <= NEARLY * reduction.groups:
        return State.NEARLY, reduction
    other = next((each for each in counts.filled if not each.over), None)
    return (State.OTHER_WAY, other) if other else (State.DENSE, reduction)


def _patterns(tensor: StoredTensor, role: Role, counts: Counts) -> tuple[str, ...]:
    """Return the other patterns that the reduction has; half of a weight must be zero for any of them, and not all."""
    if 2 * counts.zeros < tensor.size or counts.zeros == tensor.size:
        return ()
    exact = any(each.along == role.along[0].name and not each.over for each in counts.filled)
    asked = [pattern for pattern in _OTHER_PATTERNS if not (exact and pattern[-1] in _IMPLIED)]
    holds = satisfies(tensor, role.along[0], [(kept, group, pair) for kept, group, pair, _ in asked])
    return tuple(name for (*_, name), held in zip(asked, holds, strict=True) if held)


def _named(checkpoint: Checkpoint, patterns: tuple[str, ...]) -> list[str]:
    """Return the tensors that some pattern fits, all without patterns."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in checkpoint):
            found = f"{quoted(pattern)}, which none has{closest(pattern, checkpoint)}"
            raise StcsimError("weights", f"the name of a tensor of {checkpoint.path}, or a pattern of names", found)
    return [name for name in checkpoint if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)]


def _format(checkpoint: Checkpoint) -> str:
    """Return the layout of most weights that are compressed, else the format of the file."""
    layouts = [tensor.layout for tensor in checkpoint.values() if tensor.layout != "plain"]
    ending = checkpoint.files[0].suffix.removeprefix(".").lower()
    return f"{ending}, {max(sorted(set(layouts)), key=layouts.count)}" if layouts else ending
