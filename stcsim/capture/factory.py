"""The networks of users: ``module:factory`` becomes a row like those known by name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stcsim.capture.networks import Network, Shape, causal_tokens
from stcsim.errors import TraceError, closest


def custom_network(name: str, input_shape: Shape) -> Network:
    """Return the network that ``module:factory`` makes, fed with one input of ``input_shape``.

    Raises:
        TraceError: when the module or the factory in it cannot be found.
    """
    factory = _find(name)
    built: list[nn.Module] = []

    def build() -> nn.Module:
        made = factory if isinstance(factory, nn.Module) else factory()
        if not isinstance(made, nn.Module):
            raise TraceError(f"capture {name}", "a callable that returns a torch.nn.Module", type(made).__name__)
        built[:] = [made]
        return made

    return Network(
        title=", ".join([name, "x".join(["{}"] * len(input_shape))]),
        library=name.partition(":")[0].partition(".")[0],
        model=name,
        notes="",
        batch=1,
        input_names=tuple(f"axis {axis}" for axis in range(len(input_shape))),
        input_shape=input_shape,
        build=build,
        inputs=lambda batch, shape: _inputs(built[0], batch, shape),
    )


def library_version(library: str) -> str:
    """Return the version of an installed library, or ``"unknown"``."""
    try:
        return version(library)
    except PackageNotFoundError:
        return str(getattr(sys.modules.get(library), "__version__", "unknown"))


def _find(name: str) -> Callable[[], Any] | nn.Module:
    """Import the module, the current folder first, and look the factory up in it."""
    place, _, attribute = name.partition(":")
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(place)
    except Exception as error:
        raise TraceError(f"capture {name}", f"an importable module '{place}'", first_line(error)) from error
    finally:
        sys.path.remove(folder)
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = [word for word in dir(found) if not word.startswith("_")]
            raise TraceError(f"capture {name}", f"'{attribute}' in module '{place}'", f"none{closest(part, known)}")
        found = getattr(found, part)
    if not callable(found):
        raise TraceError(f"capture {name}", "a callable that returns a torch.nn.Module", type(found).__name__)
    factory: Callable[[], Any] | nn.Module = found
    return factory


def first_line(error: Exception) -> str:
    """Return an exception as one short line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _inputs(module: nn.Module, batch: int, shape: Shape) -> Any:
    """Return token ids where the module reads tokens, else one floating-point tensor."""
    if getattr(module, "main_input_name", None) == "input_ids" and len(shape) == 1:  # transformers says so
        return causal_tokens(batch, shape)
    tokens = len(shape) == 1 and any(isinstance(part, nn.Embedding) for part in module.modules())
    return (torch.zeros(batch, *shape, dtype=torch.long if tokens else torch.float32),)
