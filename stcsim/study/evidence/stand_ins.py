"""Other functions in the place of a few of the timing model's, for as long as a context is open.

Most mechanisms of the model are switched off by a number of the GPU's file. Some are rules without a number: these are replaced
as a whole. ``FUNCTIONS`` names every function that is ever replaced, and a test sees to it that each is there and that something
replaces it. Stand-ins are seen by the whole process, so not from several threads at once.
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

#: Name here: ``module:function``, or ``module:Class.method``.
FUNCTIONS = {
    "kernels": "stcsim.timing.catalogue.families:kernels",
    "metadata_bytes": "stcsim.isa.columns:DType.metadata_bytes",
    "smem_read_bytes": "stcsim.timing.rates:smem_read_bytes",
    "iteration_cycles": "stcsim.timing.rates:iteration_cycles",
    "tensor_rate": "stcsim.timing.rates:tensor_rate",
    "warp_rate": "stcsim.timing.rates:warp_rate",
    "out_bytes": "stcsim.timing.lowering.lower:_out_bytes",
    "held_in_l2": "stcsim.timing.rates:held_in_l2",
    "held_share": "stcsim.timing.rates:_held",
    "reduction_us": "stcsim.timing.rates:reduction_us",
    "reduction_ticks": "stcsim.timing.lowering.lower:reduction_ticks",
    "choose": "stcsim.timing.choice.outcome:choose",
}
_USERS = ("stcsim.timing", "stcsim.replay")
"""Packages that are loaded as a whole first: a module that took a stand-in when it was imported would keep it."""


def shipped(name: str) -> Callable[..., Any]:
    """Return the function that ``FUNCTIONS`` has under ``name``, as the model has it unless a context is open."""
    owner, attribute = _home(name)
    found: Callable[..., Any] = getattr(owner, attribute)
    return found


def _home(name: str) -> tuple[ModuleType | type, str]:
    """Return the module or class that defines a function, and what it calls it."""
    module, path = FUNCTIONS[name].split(":")
    *classes, attribute = path.split(".")
    owner: ModuleType | type = import_module(module)
    for each in classes:
        owner = getattr(owner, each)
    return owner, attribute


@contextmanager
def instead_of(name: str, stand_in: Callable[..., Any]) -> Iterator[None]:
    """Let every module that has the function called ``name`` have ``stand_in`` instead, until the end of the context.

    A method is replaced in its class.
    """
    _load_users()
    original, (owner, _) = shipped(name), _home(name)
    with ExitStack() as undo:
        for place in [owner] if isinstance(owner, type) else _modules():
            for attribute in [each for each, value in vars(place).items() if value is original]:
                setattr(place, attribute, stand_in)
                undo.callback(setattr, place, attribute, original)
        yield


@cache
def _load_users() -> None:
    for package in _USERS:
        for found in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            import_module(found.name)


def _modules() -> list[ModuleType]:
    return [module for name, module in list(sys.modules.items()) if name.split(".")[0] == "stcsim"]
