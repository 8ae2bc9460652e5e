"""``prune_checkpoint``: from a file of weights to a pruned one, weight by weight."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import ceil, log2
from pathlib import Path
from typing import Any

import numpy as np

from stcsim.checkpoint import Checkpoint, open_checkpoint
from stcsim.checkpoint.folder import WHOLE, config_of
from stcsim.checkpoint.weights import GemmWeight, gemm_weights
from stcsim.errors import StcsimError
from stcsim.files import Drafts
from stcsim.isa import DTYPES
from stcsim.pruning.choice import NOT_ASKED, in_order, reasons
from stcsim.pruning.fold_file import read_folds
from stcsim.pruning.folds import Fold, Refused, find_folds, places_of
from stcsim.pruning.given import MASK_NAMES, SCORE_NAMES, Given, open_given
from stcsim.pruning.permute import search
from stcsim.pruning.result import PrunedWeight, PruneReport
from stcsim.pruning.settings import Settings, settings
from stcsim.pruning.slabs import Places
from stcsim.pruning.target import check_target
from stcsim.pruning.write import Job, Written, write
from stcsim.words import ConvOrder, Method, WeightLayout, path_of

Advance = Callable[[int, int], None]
"""Called with what is done and how much there is."""


def prune_checkpoint(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    method: str = Method.MAGNITUDE,
    pattern: str = "2:4",
    only: Sequence[str] = (),
    keep_dense: Sequence[str] = (),
    conv_order: str = ConvOrder.RSC,
    permute: bool | str = False,
    fold: str | os.PathLike[str] | None = None,
    scores: str | os.PathLike[str] | None = None,
    mask: str | os.PathLike[str] | None = None,
    layout: str = WeightLayout.ZEROS,
    masks: str | os.PathLike[str] | None = None,
    pack_masks: bool = False,
    progress: Advance | None = None,
) -> PruneReport:
    """Prune the weights of a checkpoint and write them to another, whole or not at all.

    Weights that GEMMs multiply are pruned along their reduction, but for heads (``lm_head``, ``classifier``), routers of
    experts, and what sparse instructions cannot take; embeddings, norms and biases stay as they are. ``only`` and
    ``keep_dense`` say otherwise.

    Args:
        path: a ``.safetensors`` file, a Hugging Face folder, or an ``.npz`` archive.
        out: what to write, of the same kind; a folder must be new or empty.
        method: ``"magnitude"``; or ``"2d-best"`` or ``"2d-greedy"``, which hold 2:4 along columns too.
        pattern: ``"N:M"`` or ``"4:8-pairs"``.
        only: layers, alone, as ``run`` takes them in ``keep_dense``: names, patterns, numbers, ranges, ``first``, ``last``.
        keep_dense: layers that are not pruned.
        conv_order: ``"rsc"``, as GEMM kernels reduce, ASP and ModelOpt prune; or ``"crs"``, as filters lie in memory.
        permute: whether input channels are permuted first, so that more magnitude stays, and the layers that make them alike,
            so that the network computes what it did; ``"only"`` does that and prunes nothing.
        fold: a YAML or JSON file of layers whose channels may be permuted, beside those of known networks.
        scores: a file of numbers by name of weight; the largest stay (Wanda, SparseGPT's saliency).
        mask: a file of masks by name of weight (of SparseGPT, ModelOpt, ASP), which are applied as they are.
        layout: ``"zeros"``, in place; or ``"sparse-24-bitmask"``, for linear layers that are 2:4.
        masks: where to write the masks, a bool for each weight of what was pruned.
        pack_masks: write a bit for each instead, the first of a row lowest.
        progress: called with the bytes done and all bytes.

    Raises:
        UnsupportedError: when a word is not known, a layer's name names none, or nothing can be pruned.
        StcsimError: when files cannot be read or written, a weight is NaN, a mask does not fit the pattern.
    """
    wanted = settings(method, pattern, conv_order, only, keep_dense, permute, fold, scores, mask, layout)
    target, mask_file = path_of(out, "out"), None if masks is None else path_of(masks, "masks")
    with ExitStack() as stack:
        source = stack.enter_context(_open(path_of(path, "path")))
        check_target(source, target, mask_file)
        plan = _plan(source, wanted, stack)
        orders, folded = _permutations(source, plan, progress)
        with Drafts() as drafts:
            job = Job(source, plan.weights, plan.reasons, wanted, orders, plan.scores, plan.masks, target, mask_file, pack_masks)
            done = write(job, drafts, progress)
    inputs = {
        "path": str(path), "out": str(out), "method": wanted.method, "pattern": wanted.pattern, "only": list(wanted.only),
        "keep_dense": list(wanted.keep_dense), "conv_order": wanted.conv_order, "permute": permute, "layout": wanted.layout,
        "fold": _name(fold), "scores": _name(scores), "mask": _name(mask), "masks": _name(masks), "pack_masks": pack_masks,
    }  # fmt: skip
    return _report(source, target, plan, folded, done, inputs)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is pruned, and by what."""

    weights: dict[str, GemmWeight]
    ordered: list[GemmWeight]
    reasons: dict[str, str]
    scores: Given | None
    masks: Given | None
    wanted: Settings


@dataclass(frozen=True, slots=True)
class _Folded:
    """What was permuted, by layer: the makers of its channels, or why not."""

    makers: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def _open(path: Path) -> Checkpoint:
    """Open a checkpoint that can be written again."""
    if path.suffix.lower() == ".onnx":
        expected = "a .safetensors file, a folder or an .npz archive, whose weights can be written again"
        raise StcsimError(str(path), expected, "an ONNX graph")
    return open_checkpoint(path)


def _plan(source: Checkpoint, wanted: Settings, stack: ExitStack) -> _Plan:
    """Decide what is pruned, and open the files that say by what."""
    weights = gemm_weights(source)
    ordered = in_order(weights.values())
    masks = _given(wanted.mask, "mask", ordered, MASK_NAMES, stack)
    scores = _given(wanted.scores, "scores", ordered, SCORE_NAMES, stack)
    why = reasons(ordered, wanted, str(source.path), None if masks is None else frozenset(masks.tensors))
    if masks is not None and (odd := [name for name in masks.tensors if why[name] not in ("", *NOT_ASKED)]):
        raise StcsimError(masks.where(odd[0]), "a mask of a weight that the pattern fits", why[odd[0]])
    for given in (masks, scores):
        if given is not None and (lacking := [name for name, reason in why.items() if not reason and name not in given.tensors]):
            raise StcsimError(f"{given.what} {given.path}", f"an array for {lacking[0]}, which is to be pruned", "none")
    return _Plan(weights, ordered, why, scores, masks, wanted)


def _given(path: Path | None, what: str, weights: Sequence[GemmWeight], names: Sequence[str], stack: ExitStack) -> Given | None:
    if path is None:
        return None
    file, given = open_given(path, what, weights, names)
    stack.enter_context(file)
    return given


def _permutations(source: Checkpoint, plan: _Plan, progress: Advance | None) -> tuple[Mapping[str, Places], _Folded]:
    """Search the orders of channels of all layers that are pruned."""
    if not plan.wanted.permutes:
        return {}, _Folded()
    config = config_of(source.path.parent) if source.path.name == WHOLE else source.config
    found: list[Fold | Refused] = list(find_folds(source, plan.weights, config))
    own = read_folds(plan.wanted.fold, source, plan.weights) if plan.wanted.fold else []
    taken = set().union(*map(places_of, own)) if own else set()
    folds = [*own, *(each for each in found if isinstance(each, Fold) and not places_of(each) & taken)]

    def pruned(name: str) -> bool:
        return not plan.reasons[name]

    usable = [each for each in folds if any(pruned(member.tensor) for member in each.takes) and each.block % 4 == 0]
    done = iter(range(1, len(usable) + 1))
    orders = search(usable, source, pruned, plan.scores, lambda: progress(next(done), len(usable)) if progress else None)
    makers = {layer: each.makers for each in usable for layer in each.layers}
    refused = {each.layer: each.reason for each in found if isinstance(each, Refused) and each.layer not in makers}
    return orders, _Folded(makers, refused)


def _report(
    source: Checkpoint, target: Path, plan: _Plan, folded: _Folded, done: Written, inputs: Mapping[str, Any]
) -> PruneReport:
    rows = tuple(_row(weight, plan, folded, done) for weight in plan.ordered)
    sums = np.array(list(done.sums.values())).sum(axis=0) if done.sums else np.zeros(3)
    return PruneReport(
        str(source.path), str(target), plan.wanted.pattern, rows, _share(sums[1], sums[0]),
        _share(sums[2], sums[0]) if folded.makers else None, source.nbytes, done.nbytes,
        len(source) - len(plan.weights), done.left_out, inputs,
    )  # fmt: skip


def _row(weight: GemmWeight, plan: _Plan, folded: _Folded, done: Written) -> PrunedWeight:
    tensor, wanted = weight.tensor, plan.wanted
    reason = plan.reasons[tensor.name] or ("" if wanted.prunes else "permuted alone")
    total, kept, unpermuted = done.sums.get(tensor.name, (0.0, 0.0, 0.0))
    makers = folded.makers.get(weight.layer, "")
    asked = wanted.permutes and not plan.reasons[tensor.name] and not makers
    bits = DTYPES[tensor.dtype].bits
    dense = tensor.size * bits // 8
    return PrunedWeight(
        weight.layer, tensor.name, weight.kind, tensor.shape, weight.m, weight.k, tensor.dtype, not reason, reason,
        done.orders.get(tensor.name, ""), _share(kept, total), _share(unpermuted, total) if makers else None, makers,
        folded.refused.get(weight.layer, "") if asked else "",
        dense, None if reason else compressed_bytes(tensor.size, bits, wanted),
    )  # fmt: skip


def compressed_bytes(elements: int, bits: int, wanted: Settings) -> int:
    """Return bytes of values and indices of a weight of so many elements of so many bits.

    An index has as many bits as tell the places of a group apart; pairs share one.
    """
    pairs = 2 if wanted.pattern.endswith("pairs") else 1
    kept = elements * wanted.kept // wanted.group
    return (kept * bits + kept // pairs * ceil(log2(wanted.group // pairs)) + 7) // 8


def _share(kept: float, total: float) -> float | None:
    return float(kept / total) if 0 < total < float("inf") else None


def _name(path: str | os.PathLike[str] | None) -> str | None:
    return None if path is None else os.fspath(path)
