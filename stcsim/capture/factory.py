"""The networks of users: ``module:factory`` becomes a row like those known by name."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from stcsim.capture.foreign import STOPS, first_line
from stcsim.capture.networks import Given, Network, Shape
from stcsim.capture.tensors import TensorShape, with_batch_first
from stcsim.errors import TraceError, closest

#: What may stand in the place of a factory: it is built already.
MODULES = (nn.Module, ExportedProgram)


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
    if isinstance(factory, MODULES) and arguments:
        raise TraceError(f"arguments of {name}", "a callable that takes arguments", "a module that is built already")
    built: list[nn.Module] = []

    def build() -> nn.Module:
        made = as_module(factory if isinstance(factory, MODULES) else factory(**(arguments or {})))
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
        inputs=lambda batch, shape: given(tensors, batch, built[0]) if tensors else _inputs(built[0], batch, shape),
    )


def as_module(made: Any) -> Any:
    """Return the module in what was compiled or exported, and anything else as it is."""
    if isinstance(made, ExportedProgram):
        return _exported(made)
    return getattr(made, "_orig_mod", made)  # of torch.compile


def _exported(program: ExportedProgram) -> nn.Module:
    module: Any = program.module(check_guards=False)
    module.eval = module.train = lambda *_: module  # it has one mode, and says so in an exception
    exported: nn.Module = module
    return exported


def named_sizes(tensors: Sequence[TensorShape]) -> tuple[tuple[str, ...], Shape]:
    """Return a name and a number for each axis of the inputs but the batch; one input without a name is a plain shape."""
    sizes: dict[str, int] = {}
    for place, tensor in enumerate(with_batch_first(tensors)):
        called = tensor.name or ("axis" if len(tensors) == 1 else f"input {place}")
        own = [size for size in tensor.sizes if size]
        for axis, size in enumerate(own):
            sizes[called if len(own) == 1 and called != "axis" else f"{called} {axis}"] = size
    return tuple(sizes), tuple(sizes.values())


def given(tensors: Sequence[TensorShape], batch: int, module: nn.Module | None = None) -> Given:
    """Return the arguments of a forward pass: those with a name by name, the others before them in order.

    A module that takes one argument and none of the names is given a dictionary.
    """
    made = [(tensor.name, _values(tensor, batch)) for tensor in with_batch_first(tensors)]
    named = {name: value for name, value in made if name}
    in_order = tuple(value for name, value in made if not name)
    if named and not in_order and module is not None and _takes_dictionary(module, named):
        return Given((named,), {})
    return Given(in_order, named)


def _values(tensor: TensorShape, batch: int) -> torch.Tensor:
    """Return an input: of a mask ones, else zeros."""
    fill = tensor.dtype == "bool" or tensor.name.endswith("mask")
    return torch.full(tensor.at(batch), fill, dtype=getattr(torch, tensor.dtype))


def _takes_dictionary(module: nn.Module, names: Collection[str]) -> bool:
    """Whether the one thing that ``forward`` must be given is none of these names."""
    try:
        parameters = inspect.signature(module.forward).parameters.values()
    except (TypeError, ValueError):
        return False
    if any(each.kind is each.VAR_KEYWORD or each.name in names for each in parameters):
        return False
    in_order = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return bool(in_order) and sum(each.default is each.empty for each in in_order) <= 1


def told(arguments: Mapping[str, object] | None) -> str:
    """Return the arguments as the notes of a trace say them."""
    return ", ".join(f"{name} = {value!r}" for name, value in (arguments or {}).items())


def library_version(library: str) -> str:
    """Return the version of an installed library, or ``"unknown"``."""
    try:
        return version(library)
    except PackageNotFoundError:
        return str(getattr(sys.modules.get(library), "__version__", "unknown"))


def _find(name: str) -> Any:
    """Import the module, the current folder first, and look the factory up in it."""
    place, _, attribute = name.partition(":")
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(place)
    except STOPS as error:
        raise TraceError(f"capture {name}", f"an importable module '{place}'", first_line(error)) from error
    finally:
        sys.path.remove(folder)
    for part in attribute.split("."):
        if not hasattr(found, part):
            known = [word for word in dir(found) if not word.startswith("_")]
            raise TraceError(f"capture {name}", f"'{attribute}' in module '{place}'", f"none{closest(part, known)}")
        found = getattr(found, part)
    if not callable(found) and not isinstance(found, MODULES):
        raise TraceError(f"capture {name}", "a callable that returns a torch.nn.Module", type(found).__name__)
    factory: Any = found
    return factory


def _inputs(module: nn.Module, batch: int, shape: Shape) -> Given | dict[str, torch.Tensor] | tuple[torch.Tensor, ...]:
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
