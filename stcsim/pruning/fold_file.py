"""A file of folds for networks that no family knows: which layers make channels, which layers take them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stcsim.checkpoint import StoredTensor
from stcsim.checkpoint.weights import GemmWeight
from stcsim.errors import StcsimError, closest, described, quoted
from stcsim.pruning.folds import Fold, Member, input_axis, output_axis, places_of
from stcsim.yaml_text import read_yaml

_FIELDS = ("makers", "vectors", "takers")
_EXPECTED = "a list of folds, each {makers: [layer, …], vectors: [tensor, …], takers: [layer, …]}"


def read_folds(path: Path, tensors: Mapping[str, StoredTensor], weights: Mapping[str, GemmWeight]) -> list[Fold]:
    """Return the folds of a YAML or JSON file.

    Each says which layers' outputs (``makers``; biases go along) are the inputs of which layers (``takers``), with only
    element-wise steps between, and which ``vectors`` (of batch norms, say) lie between. Every layer that takes the channels must
    be there. That it is so is the user's word; only sizes are checked.

    Raises:
        StcsimError: when the file is none, names no layer, sizes do not fit, or channels stand in two folds.
    """
    try:
        content = read_yaml(path.read_text(encoding="utf-8"), f"fold {path}")
    except OSError as error:
        raise StcsimError(f"fold {path}", "a file that can be read", (error.strerror or str(error)).lower()) from None
    except UnicodeDecodeError:
        raise StcsimError(f"fold {path}", "YAML or JSON", "bytes that are no text in UTF-8") from None
    if not isinstance(content, list) or not content:
        raise StcsimError(f"fold {path}", _EXPECTED, described(content))
    folds = [_fold(f"fold {path}, fold {at}", fields, tensors, weights) for at, fields in enumerate(content, 1)]
    seen: set[tuple[str, int]] = set()
    for at, fold in enumerate(folds, 1):
        for member in (*fold.makes, *fold.takes):
            if (member.tensor, member.axis) in seen:
                raise StcsimError(f"fold {path}, fold {at}", "channels that stand in no other fold", f"those of {member.tensor}")
        seen |= places_of(fold)
    return folds


def _fold(where: str, fields: Any, tensors: Mapping[str, StoredTensor], weights: Mapping[str, GemmWeight]) -> Fold:
    """Return one fold of a file."""
    if not isinstance(fields, dict) or not {"makers", "takers"} <= set(fields) <= set(_FIELDS):
        raise StcsimError(where, "makers, takers and perhaps vectors", quoted(fields))
    makers, takers = (
        [_layer(f"{where}: {field}", name, weights) for name in _names(where, fields, field)] for field in ("makers", "takers")
    )
    channels = takers[0].channels
    if channels % 4:
        raise StcsimError(f"{where}: {takers[0].layer}", "a multiple of 4 channels", str(channels))
    places = np.arange(channels, dtype=np.int64)[None]
    makes = [Member(each.tensor.name, output_axis(each), places) for each in makers]
    makes += [Member(name, 0, places) for each in makers if (name := f"{each.layer}.bias") in tensors]
    for name in _names(where, fields, "vectors"):
        if name not in tensors:
            raise StcsimError(
                f"{where}: vectors", "names of tensors of the checkpoint", f"{quoted(name)}{closest(name, tensors)}"
            )
        makes.append(Member(name, 0, places))
    takes = [Member(each.tensor.name, input_axis(each), places) for each in takers]
    for member in (*makes, *takes):
        shape = tensors[member.tensor].shape
        if len(shape) <= member.axis or shape[member.axis] != channels:
            expected = f"{channels} channels along dimension {member.axis}, as {takers[0].layer} takes"
            raise StcsimError(f"{where}: {member.tensor}", expected, f"shape {shape}")
    layers, named = tuple(each.layer for each in takers), ", ".join(each.layer for each in makers)
    return Fold(layers, named, channels, channels, tuple(makes), tuple(takes))


def _names(where: str, fields: Mapping[str, Any], field: str) -> list[str]:
    names = fields.get(field, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or (field != "vectors" and not names):
        raise StcsimError(f"{where}: {field}", "a list of names", quoted(names))
    return names


def _layer(where: str, name: Any, weights: Mapping[str, GemmWeight]) -> GemmWeight:
    """Return the weight of a layer."""
    found = next((each for each in weights.values() if name in (each.layer, each.tensor.name)), None)
    if found is None:
        raise StcsimError(
            where, "layers of the checkpoint", f"{quoted(name)}{closest(name, [e.layer for e in weights.values()])}"
        )
    return found
