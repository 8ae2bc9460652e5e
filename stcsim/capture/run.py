"""Runs a network twice, at a batch and at twice that, and makes one trace of what the dispatch mode saw."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from stcsim.capture.networks import NETWORKS, Network, Shape
from stcsim.errors import TraceError, closest
from stcsim.isa import dtype as known_dtype
from stcsim.trace import Conv2d, Gemm, Source, Trace

if TYPE_CHECKING:
    from stcsim.capture.dispatch import Recorder

Product = Gemm | Conv2d


def capture(name: str, batch: int | None = None, input_shape: Sequence[int] | None = None, dtype: str = "fp16") -> Trace:
    """Return the trace of a known network, or of ``module:factory`` (see ``stcsim.capture.capture``)."""
    known_dtype(dtype)
    network = _network(name, input_shape)
    shape = _shape(name, network, input_shape)
    samples = _positive(f"capture {name}: batch", network.batch if batch is None else batch)
    once, twice = _run(name, network, shape, samples)
    ops, problems = _follow_batch(once.ops, twice.ops if twice else [])
    if not ops:
        missed = f"none (not handled: {', '.join(once.unhandled)})" if once.unhandled else "none"
        raise TraceError(f"capture {name}", "at least one matrix product or convolution", missed)
    return Trace(
        name=name.partition(":")[2] or name,
        title=network.title.format(*shape),
        source=_source(network, once.unhandled, problems),
        batch=samples,
        input_shape=dict(zip(network.input_names, shape, strict=True)) if "tokens" in network.input_names else shape,
        dtype=dtype,
        rescalable=not problems,
        ops=tuple(ops),
    )


def _network(name: str, input_shape: Sequence[int] | None) -> Network:
    """Return the row of a network; torch is needed from here on."""
    if name not in NETWORKS and ":" not in name:
        expected = f"one of {', '.join(NETWORKS)}, or module:factory"
        raise TraceError("capture", expected, f"'{name}'{closest(name, NETWORKS)}")
    _need("torch", "PyTorch")
    if name in NETWORKS:
        _need(NETWORKS[name].library, NETWORKS[name].library)
        return NETWORKS[name]
    if input_shape is None:
        expected = "the shape of one sample without the batch, such as 3x224x224"
        raise TraceError(f"capture {name}: input", expected, "none")
    from stcsim.capture.factory import custom_network

    return custom_network(name, tuple(input_shape))


def _need(library: str, called: str) -> None:
    if find_spec(library) is None:
        raise TraceError("stcsim capture", f"{called} to run the model code (install stcsim[torch])", "none")


def _shape(name: str, network: Network, input_shape: Sequence[int] | None) -> Shape:
    """Return the input shape asked for, or the network's own."""
    shape = network.input_shape if input_shape is None else tuple(input_shape)
    if len(shape) != len(network.input_names) or not shape:
        expected = f"{len(network.input_names) or 'one or more'} numbers ({', '.join(network.input_names)})"
        raise TraceError(f"capture {name}: input", expected, "x".join(map(str, shape)) or "none")
    return tuple(_positive(f"capture {name}: input", size) for size in shape)


def _positive(where: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise TraceError(where, "a whole number above 0", repr(value))
    return value


def _run(name: str, network: Network, shape: Shape, batch: int) -> tuple[Recorder, Recorder | None]:
    """Return what ran at ``batch`` and at twice that (``None`` when the module refuses that batch)."""
    import torch

    from stcsim.capture.dispatch import Recorder
    from stcsim.capture.factory import first_line

    def watch(samples: int) -> Recorder:
        given = network.inputs(samples, shape)
        return Recorder(module).run(kwargs=given) if isinstance(given, dict) else Recorder(module).run(given)

    with warnings.catch_warnings(), torch.device("meta"), torch.no_grad():
        warnings.simplefilter("ignore")  # of libraries, about themselves
        try:
            module = network.build().to("meta").eval()
            once = watch(batch)
        except TraceError:
            raise
        except Exception as error:
            expected = "a module that can be built and run on shapes alone (meta tensors)"
            raise TraceError(f"capture {name}", expected, first_line(error)) from error
        try:
            return once, watch(2 * batch)
        except Exception:
            return once, None


def _follow_batch(once: list[Product], twice: list[Product]) -> tuple[list[Product], list[str]]:
    """Return the operations, each with what grows with the batch, and why some do not follow it."""
    if [op.kind for op in once] != [op.kind for op in twice]:
        return once, ["the operations depend on the batch"]
    followed = [_grow(one, two) for one, two in zip(once, twice, strict=True)]
    problems = [f"{one.name} does not follow the batch" for one, op in zip(once, followed, strict=True) if op is None]
    return [op or one for one, op in zip(once, followed, strict=True)], problems


def _grow(one: Product, two: Product) -> Product | None:
    """Return ``one`` with the dimension that doubled with the batch, or ``None`` when that says nothing simple."""
    if isinstance(one, Conv2d):
        return one if two == one.changed(batch=2 * one.batch) else None
    sizes = ("m", "n", "k", "batch")
    grown = [size for size in sizes if getattr(one, size) != getattr(two, size)]
    if not grown:
        return one.changed(scales_with_batch=None)
    size = grown[0]
    if len(grown) > 1 or getattr(two, size) != 2 * getattr(one, size):
        return None
    if size in ("n", "batch"):
        return one.changed(scales_with_batch=size)
    if size == "m" and one.weight_operand is None:  # D^T = B^T . A^T: without a weight either operand may come first
        return one.changed(m=one.n, n=one.m, scales_with_batch="n")
    return None


def _source(network: Network, unhandled: list[str], problems: list[str]) -> Source:
    """Return where the trace comes from, with everything a reader must know about it."""
    from stcsim.capture.factory import library_version

    shown = problems[:3] + ([f"{len(problems) - 3} more"] if len(problems) > 3 else [])
    notes = "; ".join(part for part in (network.notes, *shown) if part)
    torch_version = library_version("torch").partition("+")[0]
    version = f"{library_version(network.library)} (torch {torch_version})"
    return Source(model=network.model, library=network.library, version=version, notes=notes, unhandled=tuple(unhandled))
