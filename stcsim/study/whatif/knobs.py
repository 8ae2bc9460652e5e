"""What a search may turn: short names for the numbers of a GPU that architects ask about, or any leaf by its path."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stcsim.arch import Arch
from stcsim.arch.tree import NUMBERS, RANGES
from stcsim.errors import StcsimError, closest, quoted
from stcsim.words import listed

MORE, LESS = 1, -1
_TYPE = "{dtype}"

#: (short name, path of the leaf, the way in which there is more of it); ``{dtype}`` stands for the type of the network.
_SHORT: tuple[tuple[str, str, int], ...] = (
    ("tensor", f"tensor_core.fma_per_clk_per_sm.{_TYPE}", MORE),
    ("smem", "shared_memory.bandwidth_bytes_per_clk", MORE),
    ("l2", "l2.bandwidth_bytes_per_clk", MORE),
    ("l2-size", "l2.capacity_mib", MORE),
    ("dram", "dram.bandwidth_gb_per_s", MORE),
    ("sm", "sm.count", MORE),
    ("clock", "clock.sustained_mhz", MORE),
    ("power", "power.board_limit_w", MORE),
    ("launch", "launch.graph_us", LESS),
)


@dataclass(frozen=True, slots=True)
class Knob:
    """A number of a GPU that may be changed.

    Attributes:
        name: as the user called it.
        path: of the leaf.
        before: its value.
        ways: in which it is turned: ``MORE``, ``LESS``, or both for a leaf called by its path.
    """

    name: str
    path: str
    before: float
    ways: tuple[int, ...]

    def at(self, log_factor: float) -> float:
        """Return the value at a factor, given as its natural logarithm: within the range of the leaf, in four digits."""
        if log_factor == 0:
            return self.before
        least, most = RANGES[self.path]
        value = min(max(self.before * math.exp(log_factor), least), most)
        return round(value) if NUMBERS[self.path] is int else float(f"{value:.4g}")


def short_names() -> list[str]:
    """Return the short names."""
    return [name for name, _, _ in _SHORT]


def knobs_of(words: str | Sequence[str], arch: Arch, dtype: str) -> tuple[Knob, ...]:
    """Return what ``words`` name, e.g. ``"smem,l2,dram"`` or ``"l2.shared_fraction"``.

    Args:
        words: short names and paths of leaves; one text may hold several with commas between.
        arch: the GPU.
        dtype: the type of the network, whose rate ``tensor`` is.

    Raises:
        StcsimError: a word that names no number, a number named twice, or one that this GPU lacks or has at 0.
    """
    knobs = tuple(_knob(str(word), arch, dtype) for word in listed(words, "vary", "names"))
    paths = [knob.path for knob in knobs]
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        raise StcsimError("vary", "each number once", f"{twice} twice")
    return knobs


def _knob(word: str, arch: Arch, dtype: str) -> Knob:
    known = {name: (path.replace(_TYPE, dtype), (way,)) for name, path, way in _SHORT}
    path, ways = known.get(word.lower(), (word, (MORE, LESS)))
    if path not in NUMBERS:
        expected = f"{', '.join(known)}, or the path of a number such as l2.shared_fraction"
        raise StcsimError("vary", expected, f"{quoted(word)}{closest(word, [*known, *NUMBERS])}")
    value = arch.value(path)
    if not isinstance(value, int | float) or value <= 0:
        raise StcsimError(f"vary {word}", f"a number above 0 at {path} of {arch.name}", "null" if value is None else f"{value}")
    return Knob(word, path, value, ways)
