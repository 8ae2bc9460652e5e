"""What NVIDIA's ModelOpt does for a recipe: masks, calibration, and networks that train with quantisers.

It prints, warns and draws bars of its own; here it is quiet.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from stcsim.errors import StcsimError
from stcsim.workflow.models import products
from stcsim.workflow.state import Amax

Forward = Callable[[nn.Module], None]

_PATTERN = "2:4 sparsity"
_BITS: Mapping[str, Any] = {"int8": 8, "fp8": (4, 3)}
_HISTOGRAMS: Mapping[str, Mapping[str, Any]] = {"percentile": {"percentile": 99.99}, "entropy": {"stride": 8}}
"""Calibrations from histograms of 2,048 bins, with their settings: entropy tries every eighth bin."""
_CLIPS = {"start_multiplier": 0.1, "stop_multiplier": 1.2, "step_size": 0.02}
"""Multiples of the largest magnitude that the smallest squared error is looked for among."""
_LIBRARIES = {"modelopt": "nvidia-modelopt", "requests": "requests"}


def check_installed() -> None:
    """Refuse to begin without the libraries.

    Raises:
        StcsimError: when one is missing.
    """
    missing = [name for module, name in _LIBRARIES.items() if find_spec(module) is None]
    if missing:
        raise StcsimError("stcsim workflow", f"{' and '.join(missing)} (pip install 'stcsim[workflow]')", "none")


def magnitude_masks(network: nn.Module) -> dict[str, Tensor]:
    """Return ModelOpt's 2:4 masks by magnitude: each layer's, true where a weight stays, of the layers that it prunes.

    It prunes linear layers and 2-D convolutions whose output channels are a multiple of 8 and whose input channels are one of 16,
    in groups of four input channels at one place of the filter, which is the order (r, s, c) that kernels reduce in. It knows no
    1-D convolutions; they are shown to it as 2-D ones of height 1.
    """
    return _masks(network, "sparse_magnitude", None)


def sparsegpt_masks(network: nn.Module, forward: Forward) -> dict[str, Tensor]:
    """Return ModelOpt's SparseGPT masks of a network of linear layers; it chooses weights and leaves the others as they are.

    Args:
        network: what is pruned.
        forward: runs samples through a network.
    """
    return _masks(network, "sparsegpt", forward)


def quantised(network: nn.Module, dtype: str, forward: Forward, method: str = "max") -> nn.Module:
    """Return a copy of the network with ModelOpt's quantisers before and in every layer with weights, calibrated.

    Weights have one scale for each output channel, of their largest magnitude; activations one for the tensor.

    Args:
        network: what is copied.
        dtype: ``"int8"`` or ``"fp8"`` (e4m3).
        forward: runs samples through a network.
        method: how the scales of activations are found: ``"max"``, ``"percentile"`` (99.99), ``"entropy"`` or ``"mse"``.
    """
    with _quiet():
        import modelopt.torch.quantization as mtq

        copy = deepcopy(network)
        settings = _config(copy, dtype, method)
        if method in _HISTOGRAMS:
            return _from_histograms(mtq.quantize(copy, settings), forward, method)
        calibrated: nn.Module = mtq.quantize(copy, settings, forward)
        return calibrated if method == "max" else _of_least_error(calibrated, network, forward)


def amax_of(network: nn.Module) -> dict[str, Amax]:
    """Return the largest magnitudes that each layer of a quantised network is quantised for."""
    found = {}
    for name in products(network):
        layer: Any = network.get_submodule(name)
        found[name] = Amax(layer.input_quantizer.amax.detach().reshape(()), layer.weight_quantizer.amax.detach().reshape(-1))
    return found


def set_amax(network: nn.Module, scales: Mapping[str, Amax]) -> None:
    """Let the quantisers of a network have these scales."""
    for name, amax in scales.items():
        layer: Any = network.get_submodule(name)
        for quantizer, value in ((layer.input_quantizer, amax.activation), (layer.weight_quantizer, amax.weight)):
            quantizer.amax = value.reshape(quantizer.amax.shape)


def _masks(network: nn.Module, mode: str, forward: Forward | None) -> dict[str, Tensor]:
    with _quiet():
        import modelopt.torch.sparsity as mts

        shown = _with_2d_convolutions(deepcopy(network))
        config = {} if forward is None else {"forward_loop": forward}
        pruned = mts.sparsify(shown, mode=mode, config={"pattern": _PATTERN, "verbose": False, **config})
    layers = products(network)
    kept = {name: getattr(pruned.get_submodule(name), "_weight_mask", None) for name in layers}
    return {
        name: mask.detach().reshape(layers[name].weight.shape)  # type: ignore[call-overload, unused-ignore]
        for name, mask in kept.items()
        if mask is not None and not bool(mask.all())
    }


def _with_2d_convolutions(network: nn.Module) -> nn.Module:
    """Put a 2-D convolution of height 1 in the place of each 1-D one; only its weights are looked at."""
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.Conv1d):
            flat = nn.Conv2d(layer.in_channels, layer.out_channels, (1, layer.kernel_size[0]))
            flat.weight = nn.Parameter(layer.weight.detach()[:, :, None])
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, flat)
    return network


def _config(network: nn.Module, dtype: str, method: str) -> dict[str, Any]:
    """Return ModelOpt's settings: quantisers of layers with weights alone; what a histogram finds is read later."""
    activation = {"num_bits": _BITS[dtype], "axis": None, **({"calibrator": "histogram"} if method in _HISTOGRAMS else {})}
    rules: list[dict[str, Any]] = [{"quantizer_name": "*", "enable": False}]
    for name in products(network):
        rules.append({"quantizer_name": f"{name}.weight_quantizer", "cfg": {"num_bits": _BITS[dtype], "axis": 0}})
        rules.append({"quantizer_name": f"{name}.input_quantizer", "cfg": activation})
    return {"quant_cfg": rules, "algorithm": None if method in _HISTOGRAMS else "max"}


def _from_histograms(network: nn.Module, forward: Forward, method: str) -> nn.Module:
    """Find the scales of activations from histograms of their magnitudes, those of weights from their largest ones."""
    from modelopt.torch.quantization.model_calib import enable_stats_collection

    enable_stats_collection(network)
    with torch.no_grad():
        forward(network)
    for name in products(network):
        layer: Any = network.get_submodule(name)
        layer.input_quantizer.load_calib_amax(method=method, **_HISTOGRAMS[method])
        layer.weight_quantizer.load_calib_amax()
        for each in (layer.input_quantizer, layer.weight_quantizer):
            each.enable_quant()
            each.disable_calib()
    return network


def _of_least_error(calibrated: nn.Module, network: nn.Module, forward: Forward) -> nn.Module:
    """Find the scales of activations whose squared error is smallest, among multiples of those of the largest magnitudes.

    ModelOpt 0.47 can find them in a histogram, too, but hands that the number of bits in the place of another argument.
    """
    from modelopt.torch.quantization.calib import MseCalibrator

    found: dict[str, Any] = {}
    for name in products(network):
        quantizer: Any = calibrated.get_submodule(name).input_quantizer
        found[name] = MseCalibrator(quantizer.amax.clone(), quant_func=partial(_quantise, quantizer), **_CLIPS)
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, calibrator=found[name]: calibrator.collect(inputs[0]))
        for name, layer in products(network).items()
    ]
    with torch.no_grad():
        forward(network)
    for hook in hooks:
        hook.remove()
    for name, calibrator in found.items():
        calibrated.get_submodule(name).input_quantizer.amax = calibrator.compute_amax()  # type: ignore[union-attr, unused-ignore]
    return calibrated


def _quantise(quantizer: Any, x: Tensor, amax: Tensor) -> Tensor:
    quantizer.amax = amax
    quantised_x: Tensor = quantizer(x)
    return quantised_x


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what ModelOpt prints, draws and warns of to ourselves; it warns of GPUs that are not there."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
