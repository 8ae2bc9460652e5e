"""The numerics' doors: right, edgy and nonsensical types, shapes and words; what is right is held against the other engine."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.fuzz import damage
from tests.fuzz.case import Case
from tests.fuzz.kinds import numerics_calls as calls
from tests.fuzz.kinds.arrays import any_array, short

_MODES = ("valid", "edge", "misuse")
_NUMBERS = (0, -1, 1, 2, 3, 4, 7, 8, 16, 2**31, 2**63, -(2**63))
_WORDS = (*damage.TEXTS, *calls.TYPES, "mma", "sm_90", "2:4")


def setup() -> dict[str, Any]:
    """List the instructions."""
    return calls.setup()


def bent(rng: random.Random, given: dict[str, Any], mode: str, odds: float = 0.25) -> None:
    """Replace some arguments: by others of the same Python type (``edge``), or by anything (``misuse``)."""
    import numpy as np

    for name, old in list(given.items()):
        if mode == "valid" or rng.random() > odds:
            continue
        if mode == "misuse":
            given[name] = any_array(rng) if rng.random() < 0.5 else damage.value(rng)
        elif isinstance(old, np.ndarray):
            given[name] = any_array(rng)
        elif isinstance(old, str):
            given[name] = rng.choice(_WORDS)
        elif isinstance(old, int) and not isinstance(old, bool):
            given[name] = rng.choice(_NUMBERS)


def make(state: dict[str, Any], rng: random.Random, index: int) -> Case:
    """Draw one call."""
    part, mode = rng.choice(list(calls.CALLS)), rng.choices(_MODES, (5, 4, 2))[0]
    call, given, check = calls.CALLS[part](state, rng, mode)
    bent(rng, given, mode)
    right: Callable[[Any], list[str]] = check if mode == "valid" else lambda result: []
    words = ", ".join(f"{name}={short(value)}" for name, value in given.items())
    return Case(f"{part} {mode}", f"{part}({words})", lambda: call(**given), right)
