"""Compute capabilities: ``sm_80`` and so on, and which one a GPU has, whatever it is called by.

The numerics wing needs nothing of a GPU but this, so the files of the shipped GPUs are asked for the one line that says it; they
are not parsed, and there is no second table of names.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Protocol

from stcsim.data import data_folder, data_names, shipped_name
from stcsim.errors import UnsupportedError, closest, quoted

#: Known compute capabilities, the oldest first.
ARCHS = ("sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")

_FOLDER, _ENDING = "arch_configs", ".yaml"
_NUMBER = re.compile(r"(\d+)\.(\d)")


class Described(Protocol):
    """A GPU that says its compute capability, such as ``stcsim.arch.Arch``."""

    @property
    def compute_capability(self) -> str:
        """E.g. ``"8.0"``."""


ArchLike = str | Described
"""What the numerics wing takes for a GPU."""


def capability(arch: ArchLike) -> str:
    """Return the compute capability of ``arch`` as the tables call it.

    Args:
        arch: a compute capability (``"sm_80"``, ``"sm_90a"``, ``"8.0"``), the name of a shipped GPU (``"a100"``), or an ``Arch``;
            texts in any case of letters.

    Raises:
        UnsupportedError: when it is none of these, or a capability that is not known.
    """
    found: object = getattr(arch, "compute_capability", arch)
    if isinstance(found, str):
        shipped = shipped_name(found.strip(), data_names(_FOLDER, _ENDING))
        plain = _in_tables(_stated(shipped) if shipped else found)
        if plain in ARCHS:
            return plain
    names = data_names(_FOLDER, _ENDING)
    expected = f"one of {', '.join(ARCHS)}, or a GPU ({', '.join(names)}, or an Arch)"
    raise UnsupportedError("arch", expected, f"{quoted(found)}{closest(found, [*names, *ARCHS])}")


def _in_tables(text: str) -> str:
    """Return ``"8.0"``, ``"SM_80"`` and ``"sm_80a"`` as ``"sm_80"``."""
    numbers = _NUMBER.fullmatch(text.strip())
    return f"sm_{numbers[1]}{numbers[2]}" if numbers else text.strip().lower().removesuffix("a")


@cache
def _stated(name: str) -> str:
    """Return the compute capability that the file of a shipped GPU states, or that of its base."""
    lines = (data_folder(_FOLDER) / f"{name}{_ENDING}").read_text(encoding="utf-8").splitlines()
    plain = dict(line.partition(": ")[::2] for line in lines if line and line[0].isalpha())
    return plain["compute_capability"].strip("\"' ") if "compute_capability" in plain else _stated(plain["base"].strip("\"' "))
