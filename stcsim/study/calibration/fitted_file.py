"""The arch file that a calibration writes: its base, and only the leaves that differ."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stcsim.arch import arch_names, load_arch
from stcsim.arch.layers import file_layer
from stcsim.arch.tree import IDENTITY
from stcsim.errors import ArchError, StcsimError
from stcsim.study.calibration.calibrate import Calibration, with_values


def check_target(base: str, output: Path) -> None:
    """Refuse to write over the arch file that the new one is to lie on, or over one of its bases.

    Raises:
        StcsimError: when ``output`` is one of them.
    """
    load_arch(base)
    try:
        file_layer(base, Path(), "output", (output.resolve(),))
    except ArchError:
        raise StcsimError(f"output {output}", "another file than ARCH and its bases", "one of them") from None


def arch_text(result: Calibration, output: Path) -> str:
    """Return the new arch file: its base, what ``--set`` changed, and the fitted leaves."""
    fitted = with_values(result.start, result.fit.values, result.source)
    changed = [path for path in fitted.sources if path in result.fit.values or fitted.value(path) != result.plain.value(path)]
    base = result.base if result.base in arch_names() else os.path.relpath(Path(result.base).resolve(), output.resolve().parent)
    names = {"base": base, "name": fitted.name}
    names |= {name: getattr(fitted, name) for name in IDENTITY if getattr(fitted, name) != getattr(result.plain, name)}
    tree: dict[str, Any] = {}
    whole = fitted.to_dict()
    for path in changed:
        *branches, last = path.split(".")
        there, here = whole, tree
        for branch in branches:
            there, here = there[branch], here.setdefault(branch, {})
        here[last] = there[last]
    head = f"# {fitted.title}: {len(result.fit.values)} parameters fitted by {result.source} (seed {result.seed})."
    return "\n".join([head, "", *(f"{key}: {_yaml(text)}" for key, text in names.items()), *_lines(tree, ""), ""])


def _lines(tree: dict[str, Any], indent: str) -> Iterator[str]:
    for key, item in tree.items():
        if "kind" in item:
            yield f"{indent}{key}: {{" + ", ".join(f"{word}: {_yaml(item[word])}" for word in ("value", "kind", "from")) + "}"
        else:
            yield from ([] if indent else [""])
            yield f"{indent}{key}:"
            yield from _lines(item, indent + "  ")


def _yaml(value: object) -> str:
    """Return ``value`` as JSON, which YAML reads; a plain word needs no quotes."""
    return value if isinstance(value, str) and value in ("fitted", "assumed") else json.dumps(value, ensure_ascii=False)
