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

#: Known compute capabilities, the oldest first, as PTX calls them without the suffix of a family (``sm_100f``) or of one chip
#: (``sm_90a``). Beside each that nobody has measured stands the one whose arithmetic it is assumed to have; empty: its own.
#: GPUs: NVIDIA, "CUDA GPU compute capability"; targets: PTX ISA 9.1, ".target".
_ARITHMETIC = {
    "sm_70": "",  # V100
    "sm_72": "sm_70",  # Jetson AGX Xavier
    "sm_75": "",  # T4, RTX 20
    "sm_80": "",  # A100, A30
    "sm_86": "",  # A10, A40, RTX 30
    "sm_87": "sm_86",  # Jetson AGX Orin
    "sm_89": "",  # L4, L40S, RTX 40
    "sm_90": "",  # H100, H200
    "sm_100": "",  # B200
    "sm_103": "sm_100",  # B300
    "sm_110": "sm_100",  # Jetson AGX Thor
    "sm_120": "",  # RTX 50, RTX PRO 6000
    "sm_121": "sm_120",  # GB10 of DGX Spark
}
ARCHS = tuple(_ARITHMETIC)

_RENAMED = {"sm_101": "sm_110"}  # Thor, before PTX ISA 9.0
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
        arch: a compute capability (``"sm_80"``, ``"sm_90a"``, ``"sm_100f"``, ``"8.0"``), the name of a shipped GPU (``"a100"``),
            or an ``Arch``; texts in any case of letters.

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


def arithmetic(arch: str) -> str:
    """Return the compute capability whose arithmetic ``arch`` has: itself, or the relative that it is assumed to compute as."""
    return _ARITHMETIC[arch] or arch


def _in_tables(text: str) -> str:
    """Return ``"8.0"``, ``"SM_80"``, ``"sm_80a"`` and ``"sm_80f"`` as ``"sm_80"``."""
    numbers = _NUMBER.fullmatch(text.strip())
    plain = f"sm_{numbers[1]}{numbers[2]}" if numbers else re.sub(r"(?<=\d)[af]$", "", text.strip().lower())
    return _RENAMED.get(plain, plain)


@cache
def _stated(name: str) -> str:
    """Return the compute capability that the file of a shipped GPU states, or that of its base."""
    lines = (data_folder(_FOLDER) / f"{name}{_ENDING}").read_text(encoding="utf-8").splitlines()
    plain = dict(line.partition(": ")[::2] for line in lines if line and line[0].isalpha())
    return plain["compute_capability"].strip("\"' ") if "compute_capability" in plain else _stated(plain["base"].strip("\"' "))
