"""What ModelOpt gives a recipe: are its masks those of the datapath's order, and its scales what they are called?"""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("modelopt", reason="needs nvidia-modelopt")

import torch
from torch import Tensor, nn

from stcsim.errors import StcsimError
from stcsim.numerics import keep_mask
from stcsim.workflow import modelopt
from stcsim.workflow.models import build, products
from stcsim.workflow.pruning import masks_of, permute
from stcsim.workflow.recipe import Prune
from stcsim.workflow.state import Amax

SIZES = {"channels": 32, "heads": 2, "hidden": 64, "layers": 2, "length": 16}
SHAPES = {"conv1d": (8, 1, 40), "conv2d": (8, 1, 8, 8)}


def network(kind: str) -> nn.Module:
    names = SIZES if kind == "transformer" else {"channels": 32}
    return build(kind, 10, names, seed=1).eval()


def samples(kind: str) -> Tensor:
    draw = torch.Generator().manual_seed(2)
    if kind == "transformer":
        return torch.randint(0, 10, (8, 16), generator=draw)
    return torch.randn(SHAPES[kind], generator=draw)


@pytest.fixture(params=["conv1d", "conv2d", "transformer"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@torch.no_grad()
def test_masks_are_those_of_numerics_along_the_order_that_kernels_reduce_in(kind: str) -> None:
    asked = network(kind)
    masks = masks_of(asked, Prune(after="x"), lambda each: each(samples(kind)))
    assert set(masks) == set(products(asked)) - ({"0"} if kind != "transformer" else set()), "one input channel cannot be pruned"
    for name, mask in masks.items():
        weight = products(asked)[name].weight.numpy()
        assert np.array_equal(mask.numpy(), keep_mask(weight, "2:4", axis=1)), name


@torch.no_grad()
def test_three_of_four_keep_what_two_of_four_keep_and_one_more(kind: str) -> None:
    asked = network(kind)
    two, three = (masks_of(asked, Prune(after="x", keep=keep), lambda each: None) for keep in ("2:4", "3:4"))
    for name, mask in three.items():
        assert not (two[name] & ~mask).any() and mask.double().mean() == 0.75


@torch.no_grad()
def test_sparsegpt_looks_at_activations() -> None:
    asked = network("transformer")
    forward = lambda each: each(samples("transformer"))  # noqa: E731
    before = {name: tensor.clone() for name, tensor in asked.state_dict().items()}
    masks = masks_of(asked, Prune(after="x", method="sparsegpt"), forward)
    magnitude = masks_of(asked, Prune(after="x"), forward)
    for mask in masks.values():
        assert (mask.reshape(-1, 4).sum(1) == 2).all()
    assert any(not torch.equal(mask, magnitude[name]) for name, mask in masks.items())
    assert all(torch.equal(before[name], tensor) for name, tensor in asked.state_dict().items()), "pruning is done by the stage"


@torch.no_grad()
def test_a_permutation_is_folded_and_keeps_more(kind: str) -> None:
    asked, x = network(kind), samples(kind)
    before, weights = asked(x), {name: layer.weight.clone() for name, layer in products(asked).items()}
    kept = kept_share(asked)
    gains = permute(asked, seed=0)
    assert torch.allclose(asked(x), before, atol=1e-5), "the network computes what it computed"
    assert any(not torch.equal(weights[name], layer.weight) for name, layer in products(asked).items())
    assert min(gains.values()) >= 1 and kept_share(asked) > kept


def kept_share(asked: nn.Module) -> float:
    masks = masks_of(asked, Prune(after="x"), lambda each: None)
    weights = {name: products(asked)[name].weight.abs() for name in masks}
    return float(sum((weights[name] * mask).sum() for name, mask in masks.items()) / sum(map(torch.sum, weights.values())))


@torch.no_grad()
def test_scales_of_the_largest_magnitudes_are_those(kind: str) -> None:
    asked, x = network(kind), samples(kind)
    inputs: dict[str, Tensor] = {}
    for name, layer in products(asked).items():
        layer.register_forward_pre_hook(lambda _, given, name=name: inputs.update({name: given[0]}))
    asked(x)
    found = modelopt.amax_of(modelopt.quantised(asked, "int8", lambda each: each(x)))
    for name, layer in products(asked).items():
        assert found[name].activation == inputs[name].abs().max()
        assert torch.equal(found[name].weight, layer.weight.flatten(1).abs().amax(1))


@torch.no_grad()
@pytest.mark.parametrize("dtype", ["int8", "fp8"])
def test_emulation_rounds_to_the_numbers_of_the_type(dtype: str) -> None:
    layer = nn.Sequential(nn.Linear(16, 8, bias=False))
    x = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    emulated = modelopt.quantised(layer, dtype, lambda each: each(x))
    scales = modelopt.amax_of(emulated)["0"]

    def rounded(numbers: Tensor, amax: Tensor) -> Tensor:
        step = amax / (127 if dtype == "int8" else 448)
        units = numbers / step
        return (units.round() if dtype == "int8" else units.to(torch.float8_e4m3fn).float()) * step

    expected = rounded(x, scales.activation) @ rounded(layer[0].weight, scales.weight[:, None]).T
    assert torch.allclose(emulated(x), expected, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "method"), [("int8", "percentile"), ("int8", "mse"), ("fp8", "percentile"), ("fp8", "mse")])
def test_a_calibration_clips_what_lies_far_out_of_many(dtype: str, method: str) -> None:
    layer = nn.Sequential(nn.Linear(64, 8, bias=False))
    x = torch.randn(512, 64, generator=torch.Generator().manual_seed(0))
    x[0, 0] = 60.0
    found = modelopt.amax_of(modelopt.quantised(layer, dtype, lambda each: each(x), method))["0"]
    largest = 60.0
    assert 3 < found.activation <= (1.2 if (dtype, method) == ("fp8", "mse") else 0.9) * largest
    assert torch.equal(found.weight, layer[0].weight.abs().amax(1)), "weights keep their largest magnitudes"


@torch.no_grad()
def test_mse_has_the_least_error_of_all_that_are_tried() -> None:
    layer = nn.Sequential(nn.Linear(16, 8, bias=False))
    x = torch.randn(256, 16, generator=torch.Generator().manual_seed(3)) ** 3
    found = modelopt.amax_of(modelopt.quantised(layer, "int8", lambda each: each(x), "mse"))["0"].activation

    def error(amax: float) -> float:
        step = amax / 127
        return float(((x / step).round().clamp(-127, 127) * step - x).square().mean())

    largest = float(x.abs().max())
    best = min(error(share / 50 * largest) for share in range(5, 61))
    assert error(float(found)) <= 1.0001 * best and error(largest) > 1.01 * best


@torch.no_grad()
def test_entropy_finds_a_scale_within_the_magnitudes() -> None:
    layer = nn.Sequential(nn.Linear(16, 8, bias=False))
    x = torch.randn(256, 16, generator=torch.Generator().manual_seed(0))
    found = modelopt.amax_of(modelopt.quantised(layer, "int8", lambda each: each(x), "entropy"))["0"].activation
    assert 0.3 * x.abs().max() < found <= x.abs().max()


@torch.no_grad()
def test_given_scales_are_those_that_quantisers_have() -> None:
    layer, x = nn.Sequential(nn.Linear(16, 8)), torch.ones(2, 16)
    emulated = modelopt.quantised(layer, "int8", lambda each: each(x))
    given = {"0": Amax(torch.tensor(2.5), torch.arange(1.0, 9.0))}
    modelopt.set_amax(emulated, given)
    found = modelopt.amax_of(emulated)["0"]
    assert math.isclose(found.activation, 2.5) and torch.equal(found.weight, given["0"].weight)


def test_modelopt_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    asked, x = network("transformer"), samples("transformer")
    masks_of(asked, Prune(after="x", method="sparsegpt"), lambda each: each(x))
    for method in ("max", "mse", "entropy"):
        modelopt.quantised(asked, "int8", lambda each: each(x), method)
    printed = capfd.readouterr()
    assert printed.out == "" and printed.err == ""


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modelopt, "find_spec", lambda name: None)
    expected = r"expected nvidia-modelopt and requests \(pip install 'stcsim\[workflow\]'\), found none"
    with pytest.raises(StcsimError, match=expected):
        modelopt.check_installed()
