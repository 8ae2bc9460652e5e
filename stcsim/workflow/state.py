"""What a stage hands on, and the folder that keeps it: one safetensors file a stage, known by a hash of all that decides it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from stcsim.errors import StcsimError
from stcsim.files import draft_of, write_whole
from stcsim.version import __version__

_WEIGHT, _MASK, _ACTIVATION, _CHANNELS = "weight", "mask", "amax_activation", "amax_weight"
_ABOUT, _METADATA = "recipe.json", "stcsim"
_STAGES = (
    "workflow/datasets.py",
    "workflow/models.py",
    "workflow/modelopt.py",
    "workflow/pruning.py",
    "workflow/stages.py",
    "workflow/training.py",
)
_CELLS = (*_STAGES, "workflow/evaluation.py", "numerics")


@dataclass(frozen=True, slots=True)
class Amax:
    """The largest magnitudes that a layer is quantised for: one of its activations, one of each output channel's weights."""

    activation: Tensor
    weight: Tensor


@dataclass(frozen=True, slots=True)
class State:
    """A network between two stages.

    Attributes:
        weights: all tensors of the network by name.
        masks: by layer, true where a weight stays; a layer without one is dense.
        scales: by layer, of a network that was trained with quantisers.
        dtype: the type that those are for.
        loss: of the last step of training, where there was one.
    """

    weights: Mapping[str, Tensor]
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    scales: Mapping[str, Amax] = field(default_factory=dict)
    dtype: str | None = None
    loss: float | None = None


@cache
def source_sha256(cells: bool = False) -> str:
    """Return a hash of the version and of the source that decides what stages leave, or with ``cells`` what they score."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256(__version__.encode())
    paths = [package / name for name in (_CELLS if cells else _STAGES)]
    for path in sorted({each for place in paths for each in ([place] if place.is_file() else place.rglob("*.py"))}):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def key_of(*parts: object) -> str:
    """Return a hash of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Folder:
    """The folder of one recipe: what is stored is used again as long as its key is the one asked for.

    Args:
        path: the folder, made if it is missing.
        recipe: the name of the recipe.

    Raises:
        StcsimError: when the folder holds another recipe or other files, or cannot be made.
    """

    def __init__(self, path: str | os.PathLike[str], recipe: str) -> None:
        self.path = Path(path)
        about = self.path / _ABOUT
        try:
            if about.is_file():
                found = json.loads(about.read_text(encoding="utf-8")).get("recipe")
                if found != recipe:
                    raise StcsimError(f"--out {path}", f"a folder of recipe '{recipe}'", f"one of '{found}'")
                return
            if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
                what = "other files in it" if self.path.is_dir() else "a file"
                raise StcsimError(f"--out {path}", "a new or empty folder, or one of this recipe", what)
            self.path.mkdir(parents=True, exist_ok=True)
            write_whole(about, json.dumps({"recipe": recipe, "stcsim": __version__}) + "\n")
        except (ValueError, AttributeError):
            raise StcsimError(str(about), "the JSON that stcsim wrote there", "something else; delete the folder") from None
        except OSError as error:
            raise StcsimError(f"--out {path}", "a folder that can be made", error.strerror or str(error)) from None

    def state(self, name: str, key: str) -> State | None:
        """Return what a stage left, ``None`` where it has not run with this key.

        Raises:
            StcsimError: when its file is broken.
        """
        path = self._stage(name)
        if not path.is_file():
            return None
        try:
            with safe_open(str(path), framework="pt") as file:
                about = json.loads((file.metadata() or {})[_METADATA])
                if about["key"] != key:
                    return None
                tensors = {each: file.get_tensor(each) for each in file.keys()}
            return _state(tensors, about)
        except (SafetensorError, ValueError, KeyError, TypeError, OSError) as error:
            found = str(error).splitlines()[0][:80]
            raise StcsimError(str(path), "the file that stcsim wrote there; delete it to run the stage again", found) from None

    def keep_state(self, name: str, key: str, state: State) -> None:
        """Write what a stage leaves, whole or not at all.

        Raises:
            StcsimError: when nothing can be written there.
        """
        path = self._stage(name)
        draft = draft_of(path)
        about = {"key": key, "dtype": state.dtype, "loss": state.loss}
        try:
            safetensors.torch.save_file(_tensors(state), draft, {_METADATA: json.dumps(about)})
            draft.replace(path)
        except OSError as error:
            raise StcsimError(str(path), "a file that can be written", error.strerror or str(error)) from None
        finally:
            draft.unlink(missing_ok=True)

    def cell(self, name: str, key: str) -> dict[str, Any] | None:
        """Return figures that were kept, ``None`` where there are none with this key.

        Raises:
            StcsimError: when their file is broken.
        """
        path = self._cell(name)
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return dict(kept["figures"]) if kept["key"] == key else None
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, OSError):
            expected = "the figures that stcsim wrote there; delete it to count them again"
            raise StcsimError(str(path), expected, "something else") from None

    def keep_cell(self, name: str, key: str, figures: Mapping[str, Any]) -> None:
        """Write figures, whole or not at all."""
        self._cell(name).parent.mkdir(exist_ok=True)
        write_whole(self._cell(name), json.dumps({"key": key, "figures": figures}, indent=1) + "\n")

    def _stage(self, name: str) -> Path:
        return self.path / f"{_file_name(name)}.safetensors"

    def _cell(self, name: str) -> Path:
        return self.path / "cells" / f"{_file_name(name)}.json"


def _file_name(name: str) -> str:
    """Return a name as a file may have it; what is no letter of a name is written as a number."""
    return "".join(each if each.isalnum() or each in "-_." else f"%{ord(each):x}" for each in name).lstrip(".")


def _tensors(state: State) -> dict[str, Tensor]:
    scales = {f"{_ACTIVATION}:{name}": each.activation for name, each in state.scales.items()}
    channels = {f"{_CHANNELS}:{name}": each.weight for name, each in state.scales.items()}
    weights = {f"{_WEIGHT}:{name}": each for name, each in state.weights.items()}
    masks = {f"{_MASK}:{name}": each for name, each in state.masks.items()}
    return {name: each.contiguous().clone() for name, each in {**weights, **masks, **scales, **channels}.items()}


def _state(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> State:
    parts: dict[str, dict[str, Tensor]] = {_WEIGHT: {}, _MASK: {}, _ACTIVATION: {}, _CHANNELS: {}}
    for name, tensor in tensors.items():
        kind, _, own = name.partition(":")
        parts[kind][own] = tensor
    scales = {name: Amax(each, parts[_CHANNELS][name]) for name, each in parts[_ACTIVATION].items()}
    return State(parts[_WEIGHT], parts[_MASK], scales, about["dtype"], about["loss"])
