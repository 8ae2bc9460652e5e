"""What a shell may complete: names of GPUs and traces, paths of values, kernels, words; looked up when it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from stcsim.data import data_names
from stcsim.words import Pick

_GPUS = ("t4", "a100", "h100")
"""Their kernels are completed where no GPU is named yet."""


def traces(incomplete: str) -> list[str]:
    """Return the shipped traces that begin so."""
    return _beginning(data_names("traces", ".json"), incomplete)


def recipes(incomplete: str) -> list[str]:
    """Return the shipped recipes that begin so."""
    return _beginning(data_names("recipes", ".yaml"), incomplete)


def archs(incomplete: str) -> list[str]:
    """Return the shipped GPUs that begin so."""
    return _beginning(data_names("arch_configs", ".yaml"), incomplete)


def several_archs(incomplete: str) -> list[str]:
    """Return lists of shipped GPUs with commas between, of which the last begins so."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in archs(last) if name not in before.split(",")]


def dtypes(incomplete: str) -> list[str]:
    """Return the element types that begin so."""
    from stcsim.isa import timed_types

    return _beginning((row.name for row in timed_types()), incomplete)


def several_dtypes(incomplete: str) -> list[str]:
    """Return lists of element types with commas between."""
    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in dtypes(last) if name not in before.split(",")]


def settings(incomplete: str) -> list[str]:
    """Return the dotted paths of a GPU's values that begin so, with the ``=`` that follows; nothing once it is there."""
    if "=" in incomplete:
        return []
    from stcsim.arch.tree import EXPECTED

    return [f"{path}=" for path in _beginning((path for path in EXPECTED if "." in path), incomplete)]


def knobs(incomplete: str) -> list[str]:
    """Return lists of what a search may vary, with commas between, of which the last begins so."""
    from stcsim.arch.tree import NUMBERS
    from stcsim.study.whatif.knobs import short_names

    before, comma, last = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in _beginning([*short_names(), *NUMBERS], last) if name not in before.split(",")]


def kernels(ctx: Any, incomplete: str) -> list[str]:
    """Return the kernels of the GPU named on the same line that begin so, in its element type; of all GPUs without one."""
    from stcsim.errors import StcsimError
    from stcsim.study.kernels import kernels_of

    arch, dtype = ctx.params.get("arch"), ctx.params.get("dtype") or "fp16"
    try:
        found = [row.name for name in ([arch] if arch else _GPUS) for row in kernels_of(name, dtype).rows]
    except StcsimError:
        found = []
    return _beginning(dict.fromkeys([*Pick, *found]), incomplete)


def durations(incomplete: str) -> list[str]:
    """Return the words for how long a board is under load that begin so."""
    return _beginning(("burst", "sustained"), incomplete)


def networks(incomplete: str) -> list[str]:
    """Return the networks that can be captured by name and begin so."""
    from stcsim.capture import network_names

    return _beginning(network_names(), incomplete)


def studies(incomplete: str) -> list[str]:
    """Return the published studies that begin so."""
    from stcsim.study.reproduce.studies import STUDIES

    return _beginning((study.name for study in STUDIES), incomplete)


def of(words: type[StrEnum]) -> Callable[[str], list[str]]:
    """Return what completes one of ``words``."""

    def complete(incomplete: str) -> list[str]:
        return _beginning(words, incomplete)

    return complete


def _beginning(names: Iterable[str], incomplete: str) -> list[str]:
    """Return the names that begin so, in any case of letters; what was typed stays as it is, as shells want it."""
    return [incomplete + name[len(incomplete) :] for name in names if name.lower().startswith(incomplete.lower())]
