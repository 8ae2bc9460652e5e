"""By what a cell is known: a hash of all that decides its answer, and of nothing else.

That is every value of the GPU (not where it comes from), what is run, each option, and the model itself: its version and a
hash of the source of the rooms that take part. Titles of GPUs and the wording of their sources decide nothing, but whether a GPU
is as it ships does: intervals of its figures are narrower where its very board was measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from stcsim.arch import Arch
from stcsim.arch.tree import IDENTITY
from stcsim.trust.accuracy import is_changed
from stcsim.version import __version__

_PLACES = ("arch", "isa", "replay", "result", "timing", "trace", "trust", "study/sweeps/figures.py")
_SOURCES = (".py", ".json")
_UNDECIDED = ("title",)


@cache
def model() -> str:
    """Return what tells this model from every other: its version, and a hash of its source."""
    package = Path(__file__).resolve().parents[2]
    seen = hashlib.sha256()
    for place in (package / each for each in _PLACES):
        for path in sorted(place.rglob("*")) if place.is_dir() else (place,):
            if path.suffix in _SOURCES:
                seen.update(f"{path.relative_to(package).as_posix()}\n".encode())
                seen.update(path.read_bytes())
    return f"{__version__} {seen.hexdigest()[:16]}"


def digest(content: object) -> str:
    """Return a hash of plain values, whatever the order of names in mappings."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def values_of(arch: Arch) -> dict[str, object]:
    """Return the plain value of every leaf by its path, those that the file leaves out among them."""
    return {leaf.path: leaf.value for leaf in arch.leaves()}


def arch_digest(arch: Arch, changed: Mapping[str, object]) -> str:
    """Return a hash of what a GPU is with some of its leaves changed."""
    names = {name: getattr(arch, name) for name in IDENTITY if name not in _UNDECIDED}
    ships = not changed and not is_changed(arch)
    return digest({"names": names, "values": {**values_of(arch), **changed}, "ships": ships})
