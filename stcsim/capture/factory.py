"""The networks of users: ``module:factory`` becomes a row like those known by name."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stcsim.capture.networks import Network, Shape
from stcsim.capture.tensors import TensorShape, with_batch_first
from stcsim.errors import TraceError, closest


def custom_network(
    name: str, input_shape: Shape, arguments: Mapping[str, object] | None = None, tensors: Sequence[TensorShape] = ()
) -> Network:
    """Return the network that ``module:factory`` makes.

    Args:
        name: where the factory is.
        input_shape: of one sample of its one input, when there are no ``tensors``.
        arguments: given to the factory by name.
        tensors: every input of the network; those with a name are given by it, the others in order.

    Raises:
        TraceError: when the module or the factory in it cannot be found, or does not take the arguments.
    """
    factory = _find(name)
    if isinstance(factory, nn.Module) and arguments:
        raise TraceError(f"arguments of {name}", "a callable that takes arguments", "a module that is built already")
    built: list[nn.Module] = []

    def build() -> nn.Module:
        made = factory if isinstance(factory, nn.Module) else factory(**(arguments or {}))
        if not isinstance(made, nn.Module):
            raise TraceError(f"capture {name}", "a callable that returns a torch.nn.Module", type(made).__name__)
        built[:] = [made]
        return made

    names, shape = named_sizes(tensors) if tensors else (tuple(f"axis {axis}" for axis in range(len(input_shape))), input_shape)
    return Network(
        title=", ".join([name, "x".join(["{}"] * len(shape))]),
        library=name.partition(":")[0].partition(".")[0],
        model=name,
        notes=told(arguments),
        batch=1,
        input_names=names,
        input_shape=shape,
        build=build,
        inputs=lambda batch, shape: given(tensors, batch) if tensors else _inputs(built[0], batch, shape),
    )


def named_sizes(tensors: Sequence[TensorShape]) -> tuple[tuple[str, ...], Shape]:
    """Return a name and a number for each axis of the inputs but the batch; one input without a name is a plain shape."""
    sizes: dict[str, int] = {}
    for place, tensor in enumerate(with_batch_first(tensors)):
        called = tensor.name or ("axis" if len(tensors) == 1 else f"input {place}")
        own = [size for size in tensor.sizes if size]
        for axis, size in enumerate(own):
            sizes[called if len(own) == 1 and called != "axis" else f"{called} {axis}"] = size
    return tuple(sizes), tuple(sizes.values())


def given(tensors: Sequence[TensorShape], batch: int) -> Any:
    """Return the arguments of a forward pass: by name where every input has one, else in order."""
    made = {tensor: torch.zeros(tensor.at(batch), dtype=getattr(torch, tensor.dtype)) for tensor in with_batch_first(tensors)}
    named = {tensor.name: value for tensor, value in made.items() if tensor.name}
    return named if len(named) == len(made) else tuple(made.values())


def told(arguments: Mapping[str, object] | None) -> str:
    """Return the arguments as the notes of a trace say them."""
    return ", ".join(f"{name} = {value!r}" for name, value in (arguments or {}).items())


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
        return token_ids(module, batch, shape[0])
    tokens = len(shape) == 1 and any(isinstance(part, nn.Embedding) for part in module.modules())
    return (torch.zeros(batch, *shape, dtype=torch.long if tokens else torch.float32),)


def token_ids(module: nn.Module, batch: int, length: int) -> dict[str, torch.Tensor]:
    """Return token ids for a model of transformers.

    One that keeps no cache looks for packed sequences in values that tensors without data lack, unless it is given a 4-D mask.
    """
    ids = {"input_ids": torch.zeros(batch, length, dtype=torch.long)}
    if getattr(getattr(module, "config", None), "use_cache", True):
        return ids
    return {**ids, "attention_mask": torch.ones(batch, 1, length, length, dtype=torch.bool)}
