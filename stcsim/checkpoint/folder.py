"""A Hugging Face folder: which safetensors files hold the model, and what its configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stcsim.errors import StcsimError, described, quoted
from stcsim.json_text import KeyTwiceError, parse_json

INDEX = "model.safetensors.index.json"
WHOLE = "model.safetensors"
CONFIG = "config.json"
_A_MODEL = f"a folder with {WHOLE} or {INDEX}"


def shards_of(folder: Path) -> dict[Path, tuple[str, ...] | None]:
    """Return the files of a folder's model, each with the names that the index expects in it (``None`` without an index).

    Raises:
        StcsimError: when the folder holds no model, its index is no index, or a shard is missing.
    """
    index = folder / INDEX
    if index.is_file():
        return _indexed(folder, index)
    if (folder / WHOLE).is_file():
        return {folder / WHOLE: None}
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        pickles = sorted(each.name for each in folder.iterdir() if each.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl"))
        found = f"only {pickles[0]}, a pickle, which runs code when it is read" if pickles else "none"
        raise StcsimError(str(folder), _A_MODEL, found)
    return dict.fromkeys(files)


def config_of(folder: Path) -> Mapping[str, Any]:
    """Return what ``config.json`` of a folder says; nothing where there is none.

    Raises:
        StcsimError: when it is no JSON object.
    """
    path = folder / CONFIG
    return _json(path) if path.is_file() else {}


def _indexed(folder: Path, index: Path) -> dict[Path, tuple[str, ...] | None]:
    """Return the shards that an index lists, in the order of their names."""
    weight_map = _json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise StcsimError(f"{index}: weight_map", "an object of file names by name of tensor", quoted(weight_map))
    names: dict[str, list[str]] = {}
    for name, file in weight_map.items():
        names.setdefault(file, []).append(name)
    for file in names:
        if Path(file).name != file:
            raise StcsimError(f"{index}: weight_map", "files of the same folder", quoted(file))
        if not (folder / file).is_file():
            raise StcsimError(str(index), f"every shard in its folder, {file} among them", "no such file")
    return {folder / file: tuple(names[file]) for file in sorted(names)}


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = parse_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StcsimError(str(path), "a file that can be read", (error.strerror or str(error)).lower()) from None
    except KeyTwiceError as error:
        raise StcsimError(str(path), "every key of an object once", f"{quoted(error.key)} twice") from None
    except (ValueError, RecursionError):
        raise StcsimError(str(path), "JSON", "something else") from None
    if not isinstance(content, dict):
        raise StcsimError(str(path), "a JSON object", described(content))
    return content
