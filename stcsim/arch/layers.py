"""Architecture files as layers: dotted path -> value, source, and the place an error should name.

A file with ``base:`` lies over the layer of its base, ``--set`` lies on top (``stcsim.arch.overrides``). Types and ranges of the
values are not looked at here (``stcsim.arch`` does that, once, on the finished stack); keys, leaves and their provenance are.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from stcsim.arch.leaf import Kind, Section, Source
from stcsim.arch.tree import Tree, section_at
from stcsim.data import data_folder, data_names, shipped_name
from stcsim.errors import ArchError, StcsimError, closest, described, quoted
from stcsim.yaml_text import read_yaml

_LEAF_KEYS = ("value", "kind", "from")
_LEAF_SHAPE = "a mapping {value: ..., kind: ..., from: ...}"
_KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Entry:
    """A value as found, its source (``None`` for name, title and the like), and where it stood."""

    value: object
    source: Source | None
    where: str


Layer = dict[str, Entry]


def arch_names() -> list[str]:
    """Return the names of the shipped GPUs in alphabetical order."""
    return data_names("arch_configs", ".yaml")


def shown(value: object) -> str:
    """Return a value as an error message prints it: words of YAML, at most one line."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return quoted(value)


def file_layer(name: str | Path, folder: Path, where: str, above: tuple[Path, ...] = ()) -> Layer:
    """Return the layer of a shipped name or file (relative to ``folder``), with the layers of its bases beneath it.

    ``where`` names the asker and ``above`` the files whose base this is, for errors.

    Raises:
        ArchError: no such file, no valid YAML, a base that is its own base, or an entry that is no value with its source.
    """
    path, file = _find(str(name), folder, where)
    if path.resolve() in above:
        raise ArchError(where, "bases that come to an end", f"{shown(str(name))} again")
    data = parse_yaml(_read(path, file), file)
    if not isinstance(data, dict) or "base" not in data:
        return tree_layer(data, file)
    base = data.pop("base")
    if not isinstance(base, str) or not base:
        raise ArchError(f"{file}: base", "the name of a shipped GPU or the path of a file", shown(base))
    below = file_layer(base, path.parent, f"{file}: base", (*above, path.resolve()))
    own_name = {"name": Entry(path.stem, None, f"{file}: name")}
    return stack(below, own_name | tree_layer(data, file, bare_source=path.name))


def stack(below: Layer, above: Layer) -> Layer:
    """Lay ``above`` over ``below``; a new SM count alone is spread evenly over as many GPCs as before."""
    merged = below | above
    if "sm.count" in above and "sm.sms_per_gpc" not in above and "sm.sms_per_gpc" in below:
        count, gpcs = above["sm.count"], below["sm.sms_per_gpc"].value
        sms_per_gpc = _spread(count.value, gpcs)
        if sms_per_gpc is not None and count.source is not None:
            note = f"{count.source.source}: sm.count spread evenly over {len(sms_per_gpc)} GPCs"
            merged["sm.sms_per_gpc"] = Entry(sms_per_gpc, Source(kind="assumed", source=note), count.where)
    return merged


def _spread(count: object, gpcs: object) -> list[int] | None:
    """Return ``count`` SMs over as many GPCs as before, in TPCs of two; ``None`` if the sum is right or values are unusable."""
    if not isinstance(count, int) or not isinstance(gpcs, list | tuple) or not all(isinstance(sms, int) for sms in gpcs):
        return None
    if count < 1 or not gpcs or sum(gpcs) == count:
        return None
    tpcs, single_sm = divmod(count, 2)
    each, rest = divmod(tpcs, len(gpcs))
    sms_per_gpc = [2 * (each + (index < rest)) for index in range(len(gpcs))]
    sms_per_gpc[-1] += single_sm
    return [sms for sms in sms_per_gpc if sms > 0]


def tree_layer(data: object, file: str, bare_source: str | None = None) -> Layer:
    """Return the layer of a parsed file; with ``bare_source`` a leaf may be a bare value, assumed, from there."""
    layer: Layer = {}
    _walk(data, Tree, "", file, bare_source, layer)
    return layer


def _walk(data: object, model: type[Section], prefix: str, file: str, bare_source: str | None, layer: Layer) -> None:
    fields = model.model_fields
    if not isinstance(data, dict):
        where = f"{file}: {prefix[:-1]}" if prefix else file
        raise ArchError(where, f"a mapping with {', '.join(fields)}", shown(data) if prefix else described(data))
    for key, item in data.items():
        path = f"{prefix}{key if str(key).isprintable() else shown(key)}"
        where = f"{file}: {path}"
        if key not in fields:
            raise ArchError(where, f"one of {', '.join(fields)}", f"{shown(str(key))}{closest(str(key), fields)}")
        section = section_at(fields[key])
        if section is not None:
            _walk(item, section, f"{path}.", file, bare_source, layer)
        elif prefix:
            layer[path] = _leaf(item, where, bare_source)
        else:
            layer[path] = Entry(item, None, where)


def _leaf(item: object, where: str, bare_source: str | None) -> Entry:
    if not isinstance(item, dict):
        if bare_source is None:
            raise ArchError(where, _LEAF_SHAPE, shown(item))
        return Entry(item, Source(kind="assumed", source=bare_source), where)
    for key in item:
        if key not in _LEAF_KEYS:
            raise ArchError(
                f"{where}.{key}", f"one of {', '.join(_LEAF_KEYS)}", f"{shown(str(key))}{closest(str(key), _LEAF_KEYS)}"
            )
    for key in _LEAF_KEYS:
        if key not in item:
            raise ArchError(f"{where}.{key}", _LEAF_SHAPE, "nothing")
    kind, source = item["kind"], item["from"]
    if kind not in _KINDS:
        raise ArchError(f"{where}.kind", f"one of {', '.join(_KINDS)}", f"{shown(kind)}{closest(str(kind), _KINDS)}")
    if not isinstance(source, str) or not source.strip():
        raise ArchError(f"{where}.from", "a text that names the source", shown(source))
    return Entry(item["value"], Source(kind=kind, source=source), where)


def _find(name: str, folder: Path, where: str) -> tuple[Path, str]:
    """Return a file and what to call it in errors; a shipped name, in any case of letters, goes before a file of that name."""
    names = arch_names()
    if shipped := shipped_name(name, names):
        return data_folder("arch_configs") / f"{shipped}.yaml", f"{shipped}.yaml"
    path = folder / name
    try:
        found = path.is_file()
    except (OSError, ValueError):  # a name too long, or with characters no file can have
        found = False
    if not found:
        raise ArchError(where, f"one of {', '.join(names)}, or the path of a file", f"{shown(name)}{closest(name, names)}")
    return path, name if folder == Path() else str(path)


def _read(path: Path, file: str) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ArchError(file, "a readable file", (error.strerror or "an error").lower()) from None
    except UnicodeDecodeError:
        raise ArchError(file, "text in UTF-8", "other bytes") from None


def parse_yaml(text: str, where: str) -> object:
    """Return what a YAML text says, as ``stcsim.yaml_text`` reads it.

    Raises:
        ArchError: with the line, when it cannot be read.
    """
    try:
        return read_yaml(text, where)
    except StcsimError as error:
        raise ArchError(error.where, error.expected, error.found) from None
