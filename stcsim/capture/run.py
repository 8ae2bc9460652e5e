"""Runs a network at a batch and at twice that, and makes one trace of what the dispatch mode saw."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING

from stcsim.capture.composites import put_together
from stcsim.capture.follow import alike, evened, follow_batch
from stcsim.capture.foreign import STOPS, first_line, imports
from stcsim.capture.fusing import decide_fusion
from stcsim.capture.networks import NETWORKS, Given, Network, Shape
from stcsim.capture.networks.network import IMAGE
from stcsim.capture.tensors import TensorShape, common_batch, read_shapes
from stcsim.data import shipped_name
from stcsim.errors import TraceError, closest, quoted
from stcsim.isa import dtype as known_dtype
from stcsim.trace import Memory, Source, Trace
from stcsim.words import text, texts

if TYPE_CHECKING:
    from torch import nn

    from stcsim.capture.dispatch import Recorder
    from stcsim.capture.values import Values

TRANSFORMERS = "transformers"


def capture(
    name: str,
    batch: int | None = None,
    input_shape: Sequence[int] | None = None,
    dtype: str = "fp16",
    arguments: Mapping[str, object] | None = None,
    inputs: Sequence[str] | None = None,
) -> Trace:
    """Return the trace of a network (see ``stcsim.capture.capture``).

    Raises:
        UnsupportedError: a type or a name that is none.
        TraceError: a network that cannot be built or run, or inputs that do not fit it.
    """
    known_dtype(text(dtype, "dtype", "the name of an element type"))
    name = shipped_name(name, list(NETWORKS)) or name
    place = f"capture {text(name, 'name', 'the name of a network, module:factory or transformers:model')}"
    tensors = read_shapes(place, texts(inputs or (), "inputs", "texts such as 'ids=1x128:int64'"))
    if not isinstance(arguments or {}, Mapping):
        raise TraceError("arguments", "a mapping of names to values", quoted(arguments))
    network = _network(name, input_shape, dict(arguments or {}), tensors)
    shape = _shape(place, network, input_shape)
    asked = common_batch(place, tensors, batch) if tensors else batch
    samples = _positive(f"{place}: batch", network.batch if asked is None else asked)
    runs, refusal = _run(place, network, shape, samples)
    once, twice, fourfold = [*(put_together(run.ops) for run in runs), (), ()][:3]
    ops, problems = follow_batch(once, twice, fourfold, refusal)
    ops = [evened(op) for op in ops]
    if all(isinstance(op, Memory) for op in ops):
        missed = f"none (not handled: {', '.join(runs[0].unhandled)})" if runs[0].unhandled else "none"
        raise TraceError(place, "at least one matrix product or convolution", missed)
    one_tensor = network.input_names == IMAGE or network.input_names[0].startswith("axis ")
    return Trace(
        name=name.partition(":")[2] or name,
        title=network.title.format(*shape),
        source=_source(network, runs[0], problems),
        batch=samples,
        input_shape=shape if one_tensor else dict(zip(network.input_names, shape, strict=True)),
        dtype=dtype,
        rescalable=not problems,
        ops=decide_fusion(ops),
    )


def _network(
    name: str, input_shape: Sequence[int] | None, arguments: dict[str, object], tensors: Sequence[TensorShape]
) -> Network:
    """Return the row of a network; torch is needed from here on."""
    if name not in NETWORKS and ":" not in name:
        expected = f"one of {', '.join(NETWORKS)}, module:factory, or transformers:model"
        raise TraceError("capture", expected, f"'{name}'{closest(name, NETWORKS)}")
    _need("torch", "PyTorch")
    with imports("stcsim capture", "torch"):
        import torch  # noqa: F401
    if name in NETWORKS:
        if arguments or tensors:
            argument = "arguments" if arguments else "inputs"
            raise TraceError(f"{argument} of {name}", "module:factory or transformers:model", "a network known by name")
        if NETWORKS[name].library != "stcsim":
            _need(NETWORKS[name].library, NETWORKS[name].library)
        return NETWORKS[name]
    if name.partition(":")[0] == TRANSFORMERS:
        _need(TRANSFORMERS, TRANSFORMERS)
        with imports(f"capture {name}", TRANSFORMERS):
            from stcsim.capture.pretrained import transformers_network

        return transformers_network(name, arguments, tensors)
    if input_shape is None and not tensors:
        expected = "the shape of one sample without the batch, such as 3x224x224"
        raise TraceError(f"capture {name}: input", expected, "none")
    from stcsim.capture.factory import custom_network

    return custom_network(name, tuple(input_shape or ()), arguments, tensors)


def _need(library: str, called: str) -> None:
    if find_spec(library) is None:
        raise TraceError("stcsim capture", f"{called} to run the model code (install stcsim[torch])", "none")


def _shape(place: str, network: Network, input_shape: Sequence[int] | None) -> Shape:
    """Return the input shape asked for, or the network's own."""
    shape = network.input_shape if input_shape is None else tuple(input_shape)
    if len(shape) != len(network.input_names) or not shape:
        expected = f"{len(network.input_names) or 'one or more'} numbers ({', '.join(network.input_names)})"
        raise TraceError(f"{place}: input", expected, "x".join(map(str, shape)) or "none")
    return tuple(_positive(f"{place}: input", size) for size in shape)


def _positive(where: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise TraceError(where, "a whole number above 0", repr(value))
    return value


def _run(place: str, network: Network, shape: Shape, batch: int) -> tuple[list[Recorder], str]:
    """Return what ran at ``batch``, at twice that and, if that was something else, at four times; and what stopped the others."""
    import torch

    from stcsim.capture.dispatch import Recorder
    from stcsim.capture.modes import Build, Literals
    from stcsim.capture.values import Values

    values = Values()

    def watch(module: nn.Module, samples: int, kept: Collection[str] = ()) -> Recorder:
        with Literals(values), Build(values):
            given = network.inputs(samples, shape)
        arguments = given if isinstance(given, Given) else Given((), given) if isinstance(given, dict) else Given(given)
        recorder = Recorder(module, values, kept)
        try:
            return recorder.run(*arguments)
        except STOPS as error:
            raise _stopped(place, f"{first_line(error)} {recorder.place}") from error

    with warnings.catch_warnings(), torch.compiler.set_stance("force_eager"), torch.no_grad():
        warnings.simplefilter("ignore")  # of libraries, about themselves
        module = _build(place, network, values)
        with torch.device("meta"), torch.inference_mode():
            runs = [watch(module, batch)]
            try:
                runs.append(watch(module, 2 * batch))
                grown = {place for place, _ in runs[0].folded.items() ^ runs[1].folded.items()}
                if grown:  # with the batch, so that it is no constant
                    runs = [watch(module, samples, grown) for samples in (batch, 2 * batch)]
                if not alike(runs[0].ops, runs[1].ops):
                    runs.append(watch(module, 4 * batch, grown))
            except TraceError as error:
                return runs, error.found
    return runs, ""


def _build(place: str, network: Network, values: Values) -> nn.Module:
    """Return the module on tensors without data; one that cannot be built so (exported, traced) is built with data first."""
    import torch

    from stcsim.capture.modes import Build, Literals

    with suppress(*STOPS), silence(), torch.device("meta"), Literals(values), Build(values):
        return network.build().to("meta").eval()
    try:
        module = network.build()
        with Literals(values), Build(values):
            return module.to("meta").eval()
    except TraceError:
        raise
    except STOPS as error:
        raise TraceError(place, "a network that can be built", first_line(error)) from error


@contextmanager
def silence() -> Iterator[None]:
    """Keep libraries from logging what goes wrong, which is tried in another way or told in one sentence."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _stopped(place: str, found: str) -> TraceError:
    way_out = "replace or leave out what reads values, or export it to ONNX"
    return TraceError(place, f"a module that can be built and run on shapes alone (meta tensors; {way_out})", found)


def _source(network: Network, run: Recorder, problems: list[str]) -> Source:
    """Return where the trace comes from, with everything a reader must know about it."""
    from stcsim.capture.factory import library_version

    torch_version = library_version("torch").partition("+")[0]
    return Source(
        model=network.model,
        library=network.library,
        version=f"{library_version(network.library)} (torch {torch_version})",
        notes="; ".join(part for part in (network.notes, *run.told()) if part),
        unhandled=tuple(run.unhandled),
        unhandled_macs=run.unhandled.least_macs,
        fixed_batch=tuple(problems),
    )
