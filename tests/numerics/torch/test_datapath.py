"""Do the settings of a datapath do what they say, layer by layer, and is every wrong one refused in a sentence?"""

from __future__ import annotations

import re

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install stcsim[torch])")

from torch import nn  # noqa: E402

from stcsim.errors import StcsimError  # noqa: E402
from stcsim.numerics import encode, gemm, values  # noqa: E402
from stcsim.numerics import torch as simulated  # noqa: E402
from stcsim.numerics.epilogue import Epilogue  # noqa: E402
from tests.numerics.torch.by_hand import pruned  # noqa: E402


def network() -> nn.Module:
    """Return two linear layers with names, the first of which is pruned 2:4."""
    torch.manual_seed(0)
    model = nn.Sequential()
    model.add_module("first", pruned(nn.Linear(64, 32)))
    model.add_module("second", nn.Linear(32, 16))
    return model.eval()


def rows(model: nn.Module, x: torch.Tensor, arch: str = "a100", dtype: str = "fp16", **options) -> dict:
    with torch.no_grad(), simulated.datapath(arch, dtype, **options) as record:
        model(x)
    return {row.name: row for row in record.layers}


INPUT = torch.randn(5, 64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("sparse", "ran"),
    [(None, ()), ("none", ()), ("auto", ("first",)), ("first", ("first",)), (["f*", "second"], ("first",))],
)
def test_sparse_says_which_layers_run_the_sparse_instruction(sparse, ran: tuple[str, ...]) -> None:
    found = rows(network(), INPUT, sparse=sparse)
    assert tuple(name for name, row in found.items() if row.sparse) == ran
    for name, row in found.items():
        assert row.instruction == f"mma{'.sp' * row.sparse}.m16n8k{32 if row.sparse else 16}.f32.f16.f16.f32", name


def test_a_layer_that_cannot_run_sparse_runs_dense_and_says_why() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 8), nn.Conv2d(2, 4, 2)).eval()
    model[2].weight.data[:] = 0  # 2:4 over taps and channels together, but 2 channels are no group
    model.forward = lambda x: model[2](model[1](model[0](x)).reshape(1, 2, 4, 4)) @ torch.ones(3, 3)
    why = [row.why_dense for row in rows(model, torch.randn(4, 6), sparse="auto").values()]
    assert why[0] == "6 channels along k are no multiple of 4"
    assert why[1].startswith("not pruned: row 0, group 0 (columns 0 to 3): expected at most 2 non-zeros of 4, found ")
    assert why[2] == "2 channels along k are no multiple of 4"
    assert why[3] == "no weight: both factors are activations"


def test_volta_has_no_sparse_instruction() -> None:
    assert {row.why_dense for row in rows(network(), INPUT, "sm_70", sparse="auto").values()} == {
        "sm_70 has no 2:4 instruction for fp16 to fp32"
    }


@pytest.mark.parametrize(
    ("dtype", "model_type", "output", "expected"),
    [
        ("fp16", torch.float32, "same", "fp16"),
        ("bf16", torch.float32, "same", "bf16"),
        ("tf32", torch.float32, "same", "fp32"),
        ("int8", torch.float32, "same", "fp16"),
        ("int8", torch.bfloat16, "same", "bf16"),
        ("e4m3", torch.float32, "same", "bf16"),
        ("e5m2", torch.float16, "same", "fp16"),
        ("fp16", torch.float32, "fp32", "fp32"),
        ("int8", torch.float32, "fp32", "fp32"),
    ],
)
def test_results_have_the_type_that_kernels_write(dtype: str, model_type, output: str, expected: str) -> None:
    model = network().to(model_type)
    with torch.no_grad(), simulated.datapath("h100", dtype, output=output) as record:
        result = model(INPUT.to(model_type))
    assert result.dtype == model_type
    assert {row.output for row in record.layers} == {expected}
    numbers = result.float()
    assert torch.equal(numbers, torch.from_numpy(values(encode(numbers, expected), expected)).float())


def by_hand(layer: nn.Linear, x: torch.Tensor, dtype: str, scales: simulated.Scales | None) -> np.ndarray:
    """Return the results of a quantised layer in fp32: a scale for the tensor, one for each channel."""
    largest = {"int8": 127.0, "e4m3": 448.0, "e5m2": 57344.0}[dtype]
    activation = x.abs().max() if scales is None else torch.tensor(scales.activation)
    weight = layer.weight.abs().amax(1) if scales is None else torch.as_tensor(scales.weight, dtype=torch.float32)
    one, other = activation / largest, weight / largest
    by_channel = {"alpha": float(one), "row_scale": other.numpy()} if other.dim() else {"alpha": float(one) * float(other)}
    d = gemm(
        encode(layer.weight / other.reshape(-1, 1), dtype),
        np.ascontiguousarray(encode(x / one, dtype).T),
        arch="sm_90",
        dtype=dtype,
        epilogue=Epilogue(bias=layer.bias.numpy(), **by_channel),
    )
    return d.view(np.float32).T


@pytest.mark.parametrize("dtype", ["int8", "e4m3", "e5m2"])
@pytest.mark.parametrize("scales", [None, simulated.Scales(2.0, np.linspace(0.1, 0.2, 32)), simulated.Scales(9.0, 0.1)])
def test_quantised_layers_are_scaled_by_tensor_and_by_channel(dtype: str, scales) -> None:
    layer = network().first
    given = None if scales is None else {"linear": scales}
    with torch.no_grad():
        with simulated.datapath("sm_90", dtype, output="fp32", scales=given) as record:
            result = layer(INPUT)
        assert np.array_equal(result.numpy(), by_hand(layer, INPUT, dtype, scales))
    (row,) = record.layers
    assert row.scales == ("dynamic" if scales is None else "given")
    half_step = {"int8": 0.5 / 127, "e4m3": 16 / 448, "e5m2": 4096 / 57344}[dtype]  # beyond the largest number
    limit = float("inf") if scales is None else scales.activation * (1 + half_step)
    assert row.activations_beyond == int((INPUT.abs() >= limit).sum())
    assert (row.weights_beyond > 0) == (scales is not None)


def test_a_tensor_of_zeros_is_scaled_by_one() -> None:
    with torch.no_grad(), simulated.datapath("a100", "int8", output="fp32"):
        assert torch.equal(nn.functional.linear(torch.zeros(3, 8), torch.zeros(4, 8)), torch.zeros(3, 4))


def test_what_overflows_fp16_is_counted() -> None:
    layer = nn.Linear(16, 2, bias=False).eval()
    layer.weight.data[:] = 1
    layer.weight.data[0, :3] = 1e6
    x = torch.full((4, 16), 1.0)
    x[0, 0] = -70000
    (row,) = rows(layer, x).values()
    assert (row.activations_beyond, row.weights_beyond, row.not_finite) == (1, 3, 5)  # -inf . inf and 1 . inf in column 0, -inf


def test_an_order_reaches_the_datapath() -> None:
    x = torch.randn(3, 512)
    layer = nn.Linear(512, 64, bias=False).eval()
    with torch.no_grad():
        with simulated.datapath("h100", "e4m3", output="fp32"):
            chain = layer(x)
        with simulated.datapath("h100", "e4m3", output="fp32", order="promote=4") as record:
            promoted = layer(x)
    exact = x @ layer.weight.t()
    assert record.layers[0].order == "promote=4"
    assert not torch.equal(chain, promoted)
    assert (promoted - exact).abs().mean() < (chain - exact).abs().mean()


def test_single_layers_have_settings_of_their_own() -> None:
    found = rows(network(), INPUT, sparse="auto", layers={"second": {"dtype": "tf32"}, "f*": {"sparse": False}})
    assert [(row.dtype, row.sparse) for row in found.values()] == [("fp16", False), ("tf32", False)]


def test_a_layer_may_be_left_to_pytorch() -> None:
    model, x = network(), torch.arange(64.0)[None] - 30
    model.second.weight.data.round_()
    with torch.no_grad(), simulated.datapath("a100", skip="second") as record:
        result = model(x)
    assert [row.name for row in record.layers] == ["first"]
    assert [(each.name, each.why) for each in record.not_simulated] == [("second", "it was to be left to PyTorch (skip)")]
    with torch.no_grad(), simulated.datapath("a100"):
        first = model.first(x)
    with torch.no_grad():
        assert torch.allclose(result, model.second(first), rtol=1e-6, atol=0)


def test_names_are_paths_of_modules_and_of_parameters() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(8, 8)
            self.matrix = nn.Parameter(torch.ones(8, 8))
            self.memory = nn.LSTM(8, 8)
            self.normed = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))

        def forward(self, x):
            x = self.normed(self.inner(self.inner(x))) @ self.matrix
            return self.memory((x @ x.t()) @ x)[0]

    assert list(rows(Shared().eval(), torch.randn(2, 8))) == [
        "inner",
        "inner#2",
        "normed",
        "matrix",
        "matmul",
        "matmul#2",
        "memory.weight_ih_l0",
        "memory.weight_hh_l0",
        "memory.weight_hh_l0#2",
    ]


def test_a_wrapped_network_is_the_same_as_a_block() -> None:
    model = network()
    wrapped = simulated.wrap(model, "a100", "fp16", sparse="auto", reference="network")
    with torch.no_grad():
        first, second = wrapped(INPUT), wrapped(INPUT)
        with simulated.datapath("a100", sparse="auto") as record:
            expected = model(INPUT)
    assert torch.equal(first, expected) and torch.equal(second, expected)
    assert [row.name for row in wrapped.record.layers] == [row.name for row in record.layers] == ["first", "second"]
    assert wrapped.state_dict().keys() == {f"model.{name}" for name in model.state_dict()}


def test_changed_weights_are_seen_even_where_no_version_counts_them() -> None:
    model = network()
    with torch.no_grad(), simulated.datapath("a100"):
        before = model(INPUT)
        model.first.weight.data.mul_(2)
        assert not torch.equal(model(INPUT), before)


def test_both_blockings_stand_beside_each_other() -> None:
    torch.manual_seed(0)
    model = pruned(nn.Sequential(nn.Linear(256, 64), nn.ReLU(), nn.Linear(64, 8))).eval()
    report = simulated.both_blockings(model, torch.randn(4, 256), arch="a100", output="fp32")
    assert all(row.sparse for row in (*report.kept.layers, *report.expanded.layers))
    assert set(report.layers) == {"0", "2"}
    assert 0 < report.layers["0"] < 1 and 0 < report.output <= 1
    assert 0 < report.max_difference < 1e-4
    exact = simulated.both_blockings(model, torch.zeros(4, 256), arch="a100", kwargs={})
    assert (exact.output, exact.max_difference) == (0, 0)


def test_pytorch_has_its_threads_and_its_operators_back() -> None:
    threads = torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), torch.no_grad(), simulated.datapath("a100"):
        raise ZeroDivisionError
    assert torch.get_num_threads() == threads
    assert torch.backends.mha.get_fastpath_enabled()
    assert not nn.modules.module._global_forward_hooks and not nn.modules.module._global_forward_pre_hooks
    layer = nn.Linear(2, 2)
    assert layer(torch.ones(1, 2)).requires_grad


def test_an_error_inside_of_a_network_leaves_no_module_behind() -> None:
    model = network()
    with torch.no_grad(), simulated.datapath("a100") as record:
        with pytest.raises(StcsimError, match="gemm: B: expected shape .*, with a row for each column of A"):
            model(torch.ones(2, 3))
        model(INPUT)
    assert [row.name for row in record.layers][-2:] == ["first#2", "second"]


def call(model: nn.Module, x: torch.Tensor, *arguments, **options) -> None:
    with torch.no_grad(), simulated.datapath(*arguments, **options):
        model(x)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int4"}, "dtype: expected one of fp16, bf16, tf32, int8, e4m3, e5m2, found 'int4' (did you mean 'int8'?)"),
        ({"dtype": "e4m3"}, "sm_80: expected dense types of a GEMM (fp16 x fp16 to fp32, "),
        ({"acc_dtype": "int32"}, "sm_80: expected dense types of a GEMM (fp16 x fp16 to fp32, "),
        ({"output": "int8"}, "output: expected one of fp32, fp16, bf16, found 'int8'"),
        ({"reference": "layers"}, "reference: expected one of layer, network, none, found 'layers' (did you mean 'layer'?)"),
        ({"blocking": "keep"}, "blocking: expected one of kept, expanded, found 'keep'"),
        ({"order": "split=2"}, "order: expected words of chain, split-k=S"),
        ({"sparse": "frist"}, "sparse: expected names or patterns of products that ran, found 'frist' (did you mean 'first'?)"),
        ({"skip": "third"}, "skip: expected names or patterns of products that ran, found 'third'"),
        ({"layers": {"x*": {}}}, "layers: expected names or patterns of products that ran, found 'x*'"),
        ({"layers": {"first": {"dtyp": "bf16"}}}, "layers['first']: expected settings of a layer (dtype, acc_dtype, "),
        ({"scales": {"first": 1.0}}, "scales['first']: expected Scales(activation, weight), found 'float'"),
        (
            {"scales": {"first": simulated.Scales(-1.0, 1.0)}},
            "scales['first']: activation: expected largest magnitudes from 0 on, found -1.0",
        ),
        (
            {"scales": {"first": simulated.Scales(1.0, "a")}},
            "scales['first']: weight: expected largest magnitudes from 0 on, found 'a'",
        ),
        (
            {"scales": {"first": simulated.Scales(10**60, [[]])}},
            "scales['first']: activation: expected largest magnitudes from 0 on, found 100",
        ),
        (
            {"dtype": "int8", "scales": {"first": simulated.Scales(1.0, np.ones(3))}},
            "first: A: expected 32 largest magnitudes, one for each channel, or one for all, found 3",
        ),
    ],
)
def test_wrong_settings_are_refused(options: dict, message: str) -> None:
    with pytest.raises(StcsimError, match=re.escape(message)):
        call(network(), INPUT, "a100", **options)


def test_sparse_layers_by_name_want_a_gpu_that_has_the_instruction() -> None:
    with pytest.raises(
        StcsimError, match=re.escape("sm_70: expected 2:4 sparse types of a GEMM (none), found fp16 x fp16 to fp32")
    ):
        call(network(), INPUT, "sm_70", sparse="first")


def test_training_is_refused() -> None:
    model = network()
    with pytest.raises(StcsimError, match="datapath: expected a forward pass under torch.no_grad"), simulated.datapath("a100"):
        model(INPUT)
    with pytest.raises(
        StcsimError, match=re.escape("expected a network in evaluation: call model.eval(), found one in training")
    ):
        call(model.train(), INPUT, "a100")


def test_a_block_inside_of_another_is_refused() -> None:
    wrapped = simulated.wrap(network(), "a100")
    with pytest.raises(StcsimError, match="datapath: expected one datapath at a time, found a block inside of another one's"):
        call(wrapped, INPUT, "h100")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_integers_do_not_have_are_refused(number: float) -> None:
    x = INPUT.clone()
    x[1, 2] = number
    with pytest.raises(StcsimError, match="first: B: expected finite numbers to encode as int8, found NaN or infinity"):
        call(network(), x, "a100", dtype="int8")
