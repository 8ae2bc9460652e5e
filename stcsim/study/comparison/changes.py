"""What differs between the inputs of two results: version, GPU, work, options."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stcsim.arch import Arch, arch_from_dict, unit_of

OPTIONS = (
    *("dtype", "out_dtype", "sparsity", "engine", "kernel", "launch", "duration", "fusion", "library"),
    *("keep_dense", "dtype_of", "pruned_as", "weights_in_l2", "weight_copies", "data"),
)
_DEFAULTS: dict[str, object] = {"library": "cusparselt", "duration": "sustained"}
"""What results of earlier versions mean that do not say it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs.

    Attributes:
        kind: ``version``, ``gpu``, ``work`` or ``option``.
        what: its name: the path of a leaf, ``batch``, ``duration``.
        before: in the old result, as text.
        after: in the new one.
        source: of a leaf, where the new value comes from.
    """

    kind: str
    what: str
    before: str
    after: str
    source: str = ""


def leaves_changed(old: Arch, new: Arch) -> list[str]:
    """Return the paths of the leaves that differ, in the order of the tree."""
    paths = dict.fromkeys([*old.sources, *new.sources])
    return [path for path in paths if old.value(path) != new.value(path)]


def value_text(arch: Arch, path: str) -> str:
    """Return a leaf as text, without its unit."""
    value = arch.value(path)
    return shown(list(value) if isinstance(value, tuple) else value)


def changes_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Change]:
    """Yield everything that differs between the inputs of two results."""
    if before.get("version") != after.get("version"):
        yield Change("version", "stcsim", shown(before.get("version")), shown(after.get("version")))
    ours, theirs = arch_from_dict(before["arch"]), arch_from_dict(after["arch"])
    if ours.name != theirs.name:
        yield Change("gpu", "name", ours.name, theirs.name)
    for path in leaves_changed(ours, theirs):
        unit, source = unit_of(path), theirs.sources.get(path)
        was, now = (f"{value_text(arch, path)} {unit}".rstrip() for arch in (ours, theirs))
        yield Change("gpu", path, was, now, f"{source.kind}: {source.source}" if source else "")
    yield from _work_changes(before, after)
    for name in OPTIONS:
        if option_of(before, name) != option_of(after, name):
            yield Change("option", name, shown(option_of(before, name)), shown(option_of(after, name)))


def _work_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    if "gemm" in old:
        for name in ("m", "n", "k", "batch"):
            if old["gemm"][name] != new["gemm"][name]:
                yield Change("work", name, str(old["gemm"][name]), str(new["gemm"][name]))
        return
    ours, theirs = old["trace"], new["trace"]
    for name in ("name", "batch"):
        if ours[name] != theirs[name]:
            yield Change("work", name, str(ours[name]), str(theirs[name]))
    if ours != theirs and ours["batch"] == theirs["batch"]:
        before, after = ({op["name"]: op for op in trace["ops"]} for trace in (ours, theirs))
        changed = sum(name in after and after[name] != op for name, op in before.items())
        yield Change("work", "operations", f"{len(before)}", f"{len(after)}, {changed} of the same name are others")


def work_text(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return what differs in the network, or the GEMM, in a line; empty where nothing does."""
    if old.get("gemm") == new.get("gemm") and old.get("trace") == new.get("trace"):
        return ""
    found = [f"{change.what} {change.before} → {change.after}" for change in _work_changes(old, new)]
    return ", ".join(found) or "what the network says of itself"


def option_of(inputs: Mapping[str, Any], name: str) -> object:
    """Return an option of a run, by its default where a result of an earlier version does not say it."""
    return inputs.get(name, _DEFAULTS.get(name))


def shown(value: object) -> str:
    """Return a value as text: ``"none"`` for nothing, members with commas between."""
    if value is None or value == [] or value == {}:
        return "none"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return ", ".join(f"{key}={each}" for key, each in value.items()) if isinstance(value, Mapping) else str(value)
