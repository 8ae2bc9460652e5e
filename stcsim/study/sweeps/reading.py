"""Studies from YAML; what is wrong with one is said in one sentence that names the file and the field."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from stcsim.arch.tree import EXPECTED
from stcsim.errors import StcsimError, closest, quoted
from stcsim.isa.patterns import find_pattern, pattern_names
from stcsim.replay.door import element_of, library_of
from stcsim.study.axis import parse_gemm
from stcsim.study.sweeps.criteria import parse_constraint, parse_objective
from stcsim.study.sweeps.spec import OPTIONS, SIZES, Axis, Block, Change, Sources, Study
from stcsim.study.sweeps.values import once, text_of, texts_of
from stcsim.timing.board.duration import parse_duration
from stcsim.words import Fusion, Library, whole_of, word
from stcsim.yaml_text import read_yaml

Parsed = TypeVar("Parsed")
Fields = Mapping[str, object]

FIELDS = (
    *("title", "arch", "trace", "gemm", "batch", "seq", *OPTIONS),
    *("pattern", "axes", "variants", "constraints", "objectives", "marks"),
)
"""What a file may say."""


def load_study(path: str | os.PathLike[str]) -> Study:
    """Return the study in a YAML file; files of GPUs and networks that it names lie relative to it.

    Raises:
        StcsimError: when there is no such file, or it holds no study; names the file and the field.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        found = (error.strerror if isinstance(error, OSError) else None) or "bytes that are no UTF-8"
        raise StcsimError(f"study {file}", "a file (YAML) that can be read", found.lower()) from None
    with _inside(file.name):
        return read_study(read_yaml(text, "the file", as_written=True), file.parent)


def read_study(fields: object, folder: Path = Path()) -> Study:
    """Return the study that plain values describe; files that it names lie relative to ``folder``.

    Raises:
        StcsimError: when they describe none.
    """
    given = _mapping(fields, "study")
    for name in given:
        if name not in FIELDS:
            raise StcsimError("study", f"one of {', '.join(FIELDS)}", f"{quoted(name)}{closest(name, FIELDS)}")
    return Study(
        title=text_of(given.get("title", "")),
        archs=_files(given, "arch", folder, needed="a GPU, e.g. arch: a100"),
        axes=tuple(_axes(given)),
        marks=_files(given, "marks", folder),
        sources=_sources(given, folder),
        options={name: _option(given, name) for name in OPTIONS},
        constraints=_several(given, "constraints", parse_constraint),
        objectives=_several(given, "objectives", parse_objective),
    )


@contextmanager
def _inside(place: str) -> Iterator[None]:
    try:
        yield
    except StcsimError as error:
        raise type(error)(f"{place}: {error.where}", error.expected, error.found) from None


def _mapping(fields: object, where: str) -> Fields:
    if not isinstance(fields, Mapping) or not all(isinstance(name, str) for name in fields):
        raise StcsimError(where, "a mapping of names to values", quoted(fields))
    return fields


def _files(given: Fields, name: str, folder: Path, needed: str = "") -> tuple[str, ...]:
    """Return names of GPUs or networks; a file beside the study goes by its path."""
    if name not in given:
        if needed:
            raise StcsimError(name, needed, "none")
        return ()
    return once((_file(folder, each) for each in texts_of(given[name], name)), name)


def _file(folder: Path, name: str) -> str:
    return str(folder / name) if os.path.isfile(folder / name) else name  # False for what no file can be called, too


def _sources(given: Fields, folder: Path) -> Sources:
    """Return what is run."""
    if "trace" not in given and "gemm" not in given:
        raise StcsimError(
            "study", "trace: with names or files of networks, or gemm: with sizes such as 4096x4096x4096", "neither"
        )
    lengths: dict[str, tuple[int | None, ...]] = {"batch": (None,), "seq": (None,)}
    for name in lengths.keys() & given.keys():
        if "trace" not in given:
            raise StcsimError(name, "a trace that it belongs to", "GEMMs alone")
        lengths[name] = _wholes(given[name], name)
    gemms = tuple(_gemms(given["gemm"])) if "gemm" in given else ()
    return Sources(_files(given, "trace", folder), gemms, lengths["batch"], lengths["seq"])


def _wholes(given: object, where: str) -> tuple[int, ...]:
    return tuple(_whole(text, where) for text in texts_of(given, where))


def _whole(text: str, where: str) -> int:
    number = whole_of(text)
    if not number:
        raise StcsimError(where, "whole numbers above 0", quoted(text))
    return number


def _gemms(given: object) -> Iterator[Block]:
    """Yield sizes: of texts such as ``"4096x4096x4096"``, or of a mapping with values for m, n and k."""
    if not isinstance(given, Mapping):
        for text in texts_of(given, "gemm"):
            pattern = parse_gemm(text)
            if pattern.free:
                raise StcsimError("gemm", "three numbers, or a mapping of m, n and k to values", quoted(text))
            m, n, k = pattern.sizes(1)
            yield (m,), (n,), (k,)
        return
    if set(given) != set(SIZES):
        raise StcsimError("gemm", "a mapping of m, n and k to values", f"one of {', '.join(map(str, given)) or 'nothing'}")
    m_sizes, n_sizes, k_sizes = (_wholes(given[name], f"gemm: {name}") for name in SIZES)
    yield m_sizes, n_sizes, k_sizes


def _option(given: Fields, name: str) -> tuple[str | None, ...]:
    if name not in given:
        return (OPTIONS[name],)
    spelled: dict[str, Callable[[str], str]] = {
        "dtype": lambda text: element_of(text).name,
        "library": lambda text: library_of(word(Library, text, "library")),
        "fusion": lambda text: word(Fusion, text, "fusion").value,
        "duration": lambda text: str(parse_duration(text)),
    }
    return once(map(spelled[name], texts_of(given[name], name)), name)


def _axes(given: Fields) -> Iterator[Axis]:
    """Yield the axes along which GPUs change: leaves in the order of the file, then variants, then patterns."""
    axes = [_leaf_axis(path, values) for path, values in _mapping(given.get("axes", {}), "axes").items()]
    if "variants" in given:
        axes.append(_variants(_mapping(given["variants"], "variants")))
    if "pattern" in given:
        axes.append(Axis("pattern", tuple(map(_pattern, texts_of(given["pattern"], "pattern")))))
    _refuse_twice(axes)
    yield from axes


def _leaf_axis(path: str, values: object) -> Axis:
    where = f"axes: {_leaf(path, 'axes')}"
    return Axis(path, tuple(Change(text, ((path, text),)) for text in texts_of(values, where)))


def _leaf(path: str, where: str) -> str:
    leaves = [each for each in EXPECTED if "." in each]
    if path not in leaves:
        expected = "the dotted path of one value, e.g. l2.capacity_mib"
        raise StcsimError(where, expected, f"{quoted(path)}{closest(path, leaves)}")
    return path


def _variants(named: Fields) -> Axis:
    if not named:
        raise StcsimError("variants", "at least one variant", "none")
    changes = []
    for name, settings in named.items():
        where = f"variants: {name}"
        each = _mapping(settings, where)
        changes.append(Change(name, tuple((_leaf(path, where), text_of(value)) for path, value in each.items())))
    return Axis("variant", tuple(changes))


def _pattern(text: str) -> Change:
    kept, _, group = (whole_of(part) if part != ":" else None for part in text.partition(":"))
    if kept is None or group is None or find_pattern(kept, group) is None:
        raise StcsimError("pattern", f"one of {', '.join(pattern_names())}", quoted(text))
    return Change(text, (("tensor_core.sparse_kept", str(kept)), ("tensor_core.sparse_group", str(group))))


def _refuse_twice(axes: Sequence[Axis]) -> None:
    """Refuse a leaf that two axes change: which of them counts would depend on their order."""
    owner: dict[str, str] = {}
    for axis in axes:
        for leaf in dict.fromkeys(leaf for change in axis.changes for leaf, _ in change.settings):
            if (other := owner.setdefault(leaf, axis.name)) != axis.name:
                raise StcsimError("axes", f"{leaf} in one place", f"it in {other} and in {axis.name}")


def _several(given: Fields, name: str, parse: Callable[[str], Parsed]) -> tuple[Parsed, ...]:
    return tuple(map(parse, texts_of(given[name], name))) if name in given else ()
