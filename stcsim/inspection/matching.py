"""Which layer of a trace has which weight of a checkpoint: by the ends of their names and by their sizes.

A layer and a weight belong together when their names, cut at dots and slashes, are the same, or one is the end of the other
(``model.layers.0.mlp.up_proj`` and ``layers.0.mlp.up_proj.weight``), names of wrappers left out on either side, and m, k and
batch agree. Projections that one of the two has fused (``qkv_proj``, ``gate_up_proj``) are matched with their parts.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stcsim.errors import StcsimError
from stcsim.inspection.look import Inspection
from stcsim.inspection.weights import Weight
from stcsim.trace import Conv2d, Gemm

Name = tuple[str, ...]
Layer = Gemm | Conv2d

_WRAPPERS = frozenset(
    ("model", "module", "transformer", "base_model", "_orig_mod", "network", "net", "backbone", "language_model", "bert",
     "roberta", "gpt_neox", "vit", "resnet", "student", "student_model")
)  # fmt: skip
"""First parts of names that say only what a network was put into."""
_FUSED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "qkv_proj": (("q_proj", "k_proj", "v_proj"),),
    "in_proj": (("q_proj", "k_proj", "v_proj"),),
    "query_key_value": (("query", "key", "value"), ("q_proj", "k_proj", "v_proj")),
    "qkv": (("q", "k", "v"), ("query", "key", "value"), ("q_proj", "k_proj", "v_proj")),
    "gate_up_proj": (("gate_proj", "up_proj"),),
}
"""Fused projections, and the parts that others keep apart; the outputs lie one after the other."""
_RECURRENT = {"weight_ih": "input", "weight_hh": "recurrent"}
_OUTPUT_LAYERS = ("lm_head", "embed_out", "output")


@dataclass(frozen=True, slots=True)
class Match:
    """The layers of a trace beside the weights of a checkpoint.

    Attributes:
        pruned: layers whose weight a 2:4 kernel may take as it is.
        dense: layers whose weight is another.
        unmatched_layers: layers with weights for which the checkpoint has none.
        unmatched_weights: weights of GEMMs that no layer has, or entries of a list that name none.
    """

    pruned: tuple[str, ...]
    dense: tuple[str, ...]
    unmatched_layers: tuple[str, ...]
    unmatched_weights: tuple[str, ...]


def match_layers(ops: Iterable[Layer], found: Inspection) -> Match:
    """Return which layers have which weights; layers without weights are left out.

    Raises:
        StcsimError: when a layer's weight has other sizes, two weights fit one layer and are not alike, or none fits any.
    """
    layers = [op for op in ops if op.weight_elements]
    weights = _Weights(found)
    matched: dict[str, tuple[Weight, ...]] = {}
    for op in layers:
        matched[op.name] = weights.of(op) or matched.get(op.weight_of, ())
    if not any(matched.values()):
        example = found.weights[0].name if found.weights else "none"
        expected = f"weights with the names and sizes of the trace's layers, such as {layers[0].name if layers else 'none'}"
        raise StcsimError(found.path, expected, f"such as {example}")
    used = {weight.name for each in matched.values() for weight in each}
    pruned = [name for name, each in matched.items() if each and all(weight.is_pruned for weight in each)]
    dense = [name for name, each in matched.items() if each and name not in set(pruned)]
    unmatched = [name for name, each in matched.items() if not each]
    left = [weight.name for weight in found.weights if weight.name not in used]
    return Match(tuple(pruned), tuple(dense), tuple(unmatched), tuple(left))


class _Weights:
    """The weights of a checkpoint, found by the ends of their names."""

    def __init__(self, found: Inspection) -> None:
        self._path, self._by_end = found.path, defaultdict[Name, list[tuple[Name, Weight]]](list)
        self._tied = [weight for weight in found.weights if weight.is_tied]
        for weight in found.weights:
            for name in {_parts(text) for text in (weight.name, *weight.nodes)}:
                for start in range(len(name)):
                    self._by_end[name[start:]].append((name, weight))

    def of(self, op: Layer) -> tuple[Weight, ...]:
        """Return the weight of a layer, or the weights that it has fused; nothing where there is none.

        Raises:
            StcsimError: when the weight of its name has other sizes, or two that fit are not alike.
        """
        name, sizes = _parts(op.name), _sizes(op)
        named = self._named(name)
        if fitting := [weight for weight in named if (weight.m, weight.k, weight.batch) == sizes]:
            return (self._one(op.name, fitting),)
        if name[-1] in _OUTPUT_LAYERS and (tied := [each for each in self._tied if (each.m, each.k) == sizes[:2]]):
            return (tied[0],)
        if fused := self._parts_of(name, sizes) or self._whole_of(name, sizes):
            return fused
        if named and self._is_whole(name, named[0]):
            found = f"{named[0].name}, which is {named[0].m} x {named[0].k}" + _times(named[0].batch)
            raise StcsimError(f"{self._path}: layer {op.name}", f"a weight of {sizes[0]} x {sizes[1]}{_times(sizes[2])}", found)
        return ()

    def _named(self, name: Name) -> list[Weight]:
        """Return the weights whose names fit: the same, else the longest that it ends in, else those that end in it."""
        bare = _unwrapped(name)
        behind = self._by_end.get(bare, [])
        if same := [weight for whole, weight in behind if _unwrapped(whole) == bare]:
            return same
        for start in range(1, len(bare) if not behind else 1):
            if shorter := [weight for whole, weight in self._by_end.get(bare[start:], []) if _unwrapped(whole) == bare[start:]]:
                return shorter
        return [weight for _, weight in behind]

    def _is_whole(self, name: Name, weight: Weight) -> bool:
        return any(_unwrapped(_parts(text)) == _unwrapped(name) for text in (weight.name, *weight.nodes))

    def _one(self, layer: str, fitting: Sequence[Weight]) -> Weight:
        """Return the one weight of a layer; of several that are alike any will do."""
        if len({weight.is_pruned for weight in fitting}) > 1:
            names = " and ".join(weight.name for weight in fitting[:2])
            raise StcsimError(f"{self._path}: layer {layer}", "one weight that fits", f"{names}, of which not all are 2:4")
        return fitting[0]

    def _parts_of(self, name: Name, sizes: tuple[int, int, int]) -> tuple[Weight, ...]:
        """Return the weights that a fused layer has put together."""
        for parts in _FUSED.get(name[-1], ()):
            found = [self._named((*name[:-1], part))[:1] for part in parts]
            weights = tuple(weight for each in found for weight in each)
            if len(weights) == len(parts) and (sum(each.m for each in weights), {each.k for each in weights}) == (
                sizes[0],
                {sizes[1]},
            ):
                return weights
        return ()

    def _whole_of(self, name: Name, sizes: tuple[int, int, int]) -> tuple[Weight, ...]:
        """Return the fused weight of which a layer is a part."""
        for fused, several in _FUSED.items():
            if any(name[-1] in parts for parts in several):
                for weight in self._named((*name[:-1], fused)):
                    if weight.k == sizes[1] and weight.m > sizes[0]:
                        return (weight,)
        return ()


def _parts(name: str) -> Name:
    """Return a name cut at dots, slashes and colons, without the word for its parameter."""
    parts = [part for part in re.split(r"[./:]+", name) if part]
    last = parts[-1] if parts else ""
    if last == "weight" and len(parts) > 1:
        return tuple(parts[:-1])
    if recurrent := re.fullmatch(r"(weight_ih|weight_hh)_(l\d+(?:_reverse)?)", last):
        return (*parts[:-1], recurrent[2], _RECURRENT[recurrent[1]])
    return (*parts[:-1], last.removesuffix("_weight"))


def _unwrapped(name: Name) -> Name:
    while len(name) > 1 and name[0] in _WRAPPERS:
        name = name[1:]
    return name


def _sizes(op: Layer) -> tuple[int, int, int]:
    gemm = op.gemm() if isinstance(op, Conv2d) else op
    return gemm.m, gemm.k, gemm.batch


def _times(batch: int) -> str:
    return f" (x {batch})" if batch > 1 else ""
