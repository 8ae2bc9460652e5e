"""YAML as files of stcsim have it: plain values, each key once, and nothing that grows beyond what is written.

PyYAML speaks YAML 1.1, lets duplicate keys pass, overruns its stack on deep nesting and lets merge keys grow without end.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from stcsim.errors import StcsimError

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML built without libyaml: same result, slower
    from yaml import SafeLoader  # type: ignore[assignment]

_MAX_DEPTH = 50
_MERGE = "tag:yaml.org,2002:merge"
_MAX_MERGED = 1000
"""Keys that merge keys may bring into one mapping; an architecture has about a hundred in all."""


class _DuplicateKeyError(yaml.MarkedYAMLError):
    """A key stands twice in one mapping, which YAML forbids and PyYAML lets pass."""


class _Loader(SafeLoader):
    """Safe loading, with duplicate keys refused and 1e3 read as a number (YAML 1.2; PyYAML speaks 1.1)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return the mapping after a look at its keys.

        Raises:
            _DuplicateKeyError: when a key is there twice.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _DuplicateKeyError(problem=f"'{key.value}'", problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put what merge keys (``<<``) name into the mapping; each may name others, and a few lines so become gigabytes.

        Raises:
            yaml.MarkedYAMLError: when more is merged than any file needs.
        """
        merged = 0
        for key, value in node.value:
            if key.tag != _MERGE:
                continue
            for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(each, yaml.MappingNode):
                    self.flatten_mapping(each)
                    merged += len(each.value)
                if merged > _MAX_MERGED:
                    problem = f"more than {_MAX_MERGED} keys merged into one mapping"
                    raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        super().flatten_mapping(node)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


class _AsWrittenLoader(_Loader):
    """The same, but ``+8`` and ``1:4`` stay texts: a sign says that a number is relative, and YAML 1.1 takes 1:4 for 64."""


def _number_as_written(loader: _AsWrittenLoader, node: yaml.ScalarNode) -> object:
    if node.value.startswith("+") or ":" in node.value:
        return node.value
    return loader.construct_yaml_int(node) if node.tag.endswith("int") else loader.construct_yaml_float(node)


for _tag in ("int", "float"):
    _AsWrittenLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _number_as_written)


def _check_depth(text: str) -> None:
    """Refuse absurd nesting, which would overrun the stack of the C loader."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem=f"more than {_MAX_DEPTH} levels")


def read_yaml(text: str, where: str, as_written: bool = False) -> object:
    """Return what a YAML text says; only plain mappings, lists, texts, numbers, true, false and null come out of it.

    Args:
        text: the whole text.
        where: what an error calls it.
        as_written: whether numbers with a plus before them, or a colon within, stay texts: they mean so much more, or a ratio.

    Raises:
        StcsimError: with the line, when the text is no YAML, names a key twice, or nests too deeply.
    """
    try:
        _check_depth(text)
        data: object = yaml.load(text, Loader=_AsWrittenLoader if as_written else _Loader)  # both are safe loaders
    except yaml.MarkedYAMLError as error:
        place = f" in line {mark.line + 1}, column {mark.column + 1}" if (mark := error.problem_mark) else ""
        if isinstance(error, _DuplicateKeyError):
            raise StcsimError(where, "each key once", f"{error.problem} again{place}") from None
        raise StcsimError(where, "valid YAML", f"a mistake{place} ({error.problem})") from None
    except (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError):
        # PyYAML lets Python's own errors through, e.g. for the date 2024-13-45 or for !!int abc
        raise StcsimError(where, "valid YAML", "characters or values that cannot be read") from None
    return data
