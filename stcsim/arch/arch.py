"""A GPU as a tree of plain numbers, each with its source: load one, ask what it can do, print it.

``arch.sm.count`` is a plain value and ``arch.sources["sm.count"]`` says where it comes from. ``stcsim.arch.tree`` has the tree,
``stcsim.arch.layers`` the files; users of an ``Arch`` need this module only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from os import PathLike, fspath
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import Field, ValidationError

from stcsim.arch.layers import Layer, arch_names, file_layer, shown, tree_layer
from stcsim.arch.leaf import Kind, RuleError, Source
from stcsim.arch.overrides import with_overrides
from stcsim.arch.tree import EXPECTED, IDENTITY, OPTIONAL, Tree
from stcsim.data import shipped_name
from stcsim.errors import ArchError, UnsupportedError, quoted
from stcsim.isa import DType, timed_types
from stcsim.isa import dtype as known_dtype
from stcsim.isa.patterns import NATIVE

__all__ = ["Arch", "ArchOrName", "Leaf", "Source", "arch_from_dict", "arch_names", "load_arch", "unit_of"]

_UNITS = {
    "_bytes_per_clk_per_sm": "B/clk/SM",
    "_bytes_per_clk": "B/clk",
    "_pj_per_mac": "pJ/MAC",
    "_pj_per_byte": "pJ/B",
    "_gb_per_s": "GB/s",
    "_cycles": "cycles",
    "_mhz": "MHz",
    "_kib": "KiB",
    "_mib": "MiB",
    "_gib": "GiB",
    "_us": "µs",
    "_w": "W",
}


_LEFT_OUT = {
    "tensor_core.sparse_rate_ratio": "as many as elements of a group for each that is kept",
    "tensor_core.metadata_bits_per_index": "as the rows of the pattern and the type have it",
}


class Leaf(NamedTuple):
    """One row of ``stcsim arch``: dotted path, plain value, unit ("" for counts and shares), kind and source."""

    path: str
    value: object
    unit: str
    kind: Kind | Literal["absent"]
    source: str


class Arch(Tree):
    """One GPU: the tree, and the source of every leaf.

    Attributes:
        sources: dotted path of every leaf that the file has to its source, in the order of the tree.
    """

    sources: dict[str, Source] = Field(repr=False)

    def value(self, path: str) -> object:
        """Return the plain value at a dotted path, in the unit of its name."""
        return reduce(getattr, path.split("."), self)

    def leaves(self) -> list[Leaf]:
        """Return every leaf in the order of the tree, identity fields left out; ``absent`` is what the file leaves out."""
        return [self._leaf(path) for path in EXPECTED if path in self.sources or path in OPTIONAL]

    def _leaf(self, path: str) -> Leaf:
        value, unit = self.value(path), unit_of(path)
        if path not in self.sources:
            return Leaf(path, value, unit, "absent", f"not in the file, so {_LEFT_OUT.get(path, 'not in hardware')}")
        return Leaf(path, value, unit, self.sources[path].kind, self.sources[path].source)

    def to_dict(self) -> dict[str, Any]:
        """Return the tree as plain mappings, lists and numbers: dumped to YAML or JSON, it loads again unchanged."""
        tree: dict[str, Any] = {name: getattr(self, name) for name in IDENTITY}
        for leaf in (each for each in self.leaves() if each.kind != "absent"):
            value = list(leaf.value) if isinstance(leaf.value, tuple) else leaf.value
            _put(tree, leaf.path, {"value": value, "kind": leaf.kind, "from": leaf.source})
        return tree

    def peak_tops(self, dtype: str, sparse: bool) -> float | None:
        """Return the vendor's peak, 10^12 operations a second (an FMA counts 2; pruned zeros count when ``sparse``).

        ``None`` where the GPU lacks the type or Sparse Tensor Cores, or hardware has no structured sparsity for the type.

        Raises:
            UnsupportedError: when ``dtype`` is no known type at all.
        """
        element, ratio = known_dtype(dtype), self.sparse_rate_ratio
        fma_per_clk = self.tensor_core.fma_per_clk_per_sm.of(element.name)
        if fma_per_clk is None:
            return None
        dense_tops = 2 * self.sm.count * fma_per_clk * self.clock.peak_mhz * 1e-6
        if not sparse:
            return dense_tops
        return None if ratio is None or not element.sparse_group else dense_tops * ratio

    @property
    def pattern_name(self) -> str:
        """Name of the pattern of structured sparsity that the GPU runs; ``"2:4"`` too where it has none and none can be meant."""
        return (self.tensor_core.pattern or NATIVE).name

    @property
    def sparse_rate_ratio(self) -> float | None:
        """Multiply-adds of a sparse instruction, skipped ones counted, for each of a dense one in the same time."""
        core = self.tensor_core
        if core.pattern is None:
            return None
        return core.pattern.skipped_ratio if core.sparse_rate_ratio is None else core.sparse_rate_ratio

    def element(self, dtype: str) -> DType:
        """Return the row of a type, cut and stored as the GPU's pattern of structured sparsity has it.

        Raises:
            UnsupportedError: when ``dtype`` is no known type at all.
        """
        row, core = known_dtype(dtype), self.tensor_core
        return row if core.pattern is None else core.pattern.of(row, core.metadata_bits_per_index)

    def supports(self, dtype: str, sparse: bool) -> bool:
        """Say whether the tensor cores have this input type, and 2:4 sparsity where asked for."""
        return self.peak_tops(dtype, sparse) is not None

    def require(self, dtype: str, sparse: bool) -> None:
        """Do nothing if the GPU can do it.

        Raises:
            UnsupportedError: with one sentence on what is missing.
        """
        if sparse and self.tensor_core.sparse_group is None:
            raise UnsupportedError(
                self.name,
                "a GPU with Sparse Tensor Cores (compute capability 8.0 or newer)",
                f"{self.generation.capitalize()} ({self.compute_capability}), which has none",
            )
        if not self.supports(dtype, False):
            present = [row.name for row in timed_types() if self.supports(row.name, False)]
            raise UnsupportedError(self.name, f"a type of its tensor cores ({', '.join(present)})", f"'{dtype}'")
        if sparse and not self.supports(dtype, True):
            present = [row.name for row in timed_types() if self.supports(row.name, True)]
            raise UnsupportedError(self.name, f"a type with structured sparsity ({', '.join(present)})", f"'{dtype}'")


def unit_of(path: str) -> str:
    """Return the unit that the last words of a dotted path stand for, "" for counts, shares and words."""
    if ".fma_per_clk_per_sm." in path:
        return "FMA/clk/SM"
    return next((unit for suffix, unit in _UNITS.items() if path.endswith(suffix)), "")


ArchOrName = Arch | str | PathLike[str]
"""A GPU, or what ``load_arch`` finds it by."""


def load_arch(arch: ArchOrName, overrides: Mapping[str, object] | Sequence[str] = ()) -> Arch:
    """Return a shipped GPU by name, or one from a file, with overrides on top.

    Args:
        arch: e.g. ``"a100"``, in any case of letters, or ``"my_what_if.yaml"`` (YAML or JSON; it may say ``base: a100``); a GPU
            that is loaded already is returned, or changed by the overrides.
        overrides: ``["sm.count=144"]`` as on the command line, or ``{"sm.count": 144}``; ``"x1.5"``, ``"+8"`` and ``"-8"`` are
            relative to the value beneath.

    Raises:
        ArchError: one sentence with the file, the dotted path, what was expected and what was found.
    """
    if isinstance(arch, Arch):
        return _build(with_overrides(tree_layer(arch.to_dict(), arch.name), overrides), arch.name) if overrides else arch
    if not isinstance(arch, str | PathLike):
        raise ArchError("arch", "the name of a GPU, the path of a file, or an Arch", quoted(arch))
    name = fspath(arch)
    layer = file_layer(name, Path(), "arch")
    shipped = shipped_name(name, arch_names())
    return _build(with_overrides(layer, overrides), f"{shipped}.yaml" if shipped else name)


def arch_from_dict(data: object, where: str = "arch") -> Arch:
    """Return the GPU that ``Arch.to_dict`` wrote, e.g. into a result; errors begin with ``where``.

    Raises:
        ArchError: as ``load_arch``.
    """
    return _build(tree_layer(data, where), where)


def _build(layer: Layer, file: str) -> Arch:
    tree: dict[str, Any] = {}
    for path in EXPECTED:
        if path not in layer:
            if path in OPTIONAL:
                continue
            expected = "a mapping {value: ..., kind: ..., from: ...}" if "." in path else EXPECTED[path]
            raise ArchError(f"{file}: {path}", expected, "nothing")
        _put(tree, path, layer[path].value)
    tree["sources"] = {path: source for path in EXPECTED if path in layer and (source := layer[path].source) is not None}
    try:
        return Arch.model_validate(tree)
    except ValidationError as error:
        raise _first_mistake(error, layer, file) from None


def _put(tree: dict[str, Any], path: str, value: object) -> None:
    *branches, last = path.split(".")
    reduce(lambda branch, key: branch.setdefault(key, {}), branches, tree)[last] = value


def _first_mistake(error: ValidationError, layer: Layer, file: str) -> ArchError:
    """Return pydantic's first complaint in the words of the house."""
    first = error.errors(include_url=False)[0]
    words = [str(word) for word in first["loc"]]
    rule = first.get("ctx", {}).get("error")
    if isinstance(rule, RuleError):
        return ArchError(layer[".".join([*words, rule.leaf])].where, rule.expected, rule.found)
    path = next((path for length in range(len(words), 0, -1) if (path := ".".join(words[:length])) in EXPECTED), None)
    if path is None:  # a section of which every leaf may be left out
        return ArchError(f"{file}: {'.'.join(words)}", "at least one of its leaves", "nothing")
    entry = layer[path]
    return ArchError(entry.where, EXPECTED[path], shown(entry.value))
