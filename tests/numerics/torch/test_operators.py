"""Does every operator that multiplies run on the datapath, with the shape, the type and nearly the numbers of PyTorch?

tf32 keeps 11 bits, so that results are those of fp32 but for a thousandth of the largest; whole numbers are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install stcsim[torch])")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from stcsim.errors import StcsimError  # noqa: E402
from stcsim.numerics import torch as simulated  # noqa: E402


def whole(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return whole numbers from -3 to 3: every product and sum of them is exact in every type."""
    return torch.randint(-3, 4, shape, generator=torch.Generator().manual_seed(seed)).float()


def run(call: Callable[[], Any], arch: str = "h100", dtype: str = "tf32", **options: Any) -> simulated.Record:
    """Compare a call on the datapath with the same one beside it, exactly, and return the record."""
    with torch.no_grad():
        expected = call()
        with simulated.datapath(arch, dtype, **options) as record:
            result = call()
    assert (result.shape, result.dtype) == (expected.shape, expected.dtype)
    assert torch.equal(result, expected)
    return record


X, W = whole(2, 3, 8, seed=1), nn.Parameter(whole(8, 7, seed=2))
A, B = whole(2, 3, 5, 8, seed=3), whole(2, 3, 8, 7, seed=4)

#: (what is called, [(kind, m, n, k, batch)] of its products)
MATRICES = {
    "linear": (lambda: F.linear(X, W.t(), whole(7)), [("linear", 7, 6, 8, 1)]),
    "linear of a vector": (lambda: F.linear(X[0, 0], W.t()), [("linear", 7, 1, 8, 1)]),
    "batches": (lambda: A @ B, [("matmul", 5, 7, 8, 6)]),
    "a weight on the right": (lambda: A @ W, [("matmul", 7, 30, 8, 1)]),
    "a weight on the left": (lambda: W.t() @ B, [("matmul", 7, 42, 8, 1)]),
    "one matrix left of a batch": (lambda: A[0, 0] @ B, [("matmul", 5, 42, 8, 1)]),
    "one matrix right of a batch": (lambda: A @ B[0, 0], [("matmul", 7, 30, 8, 1)]),
    "broadcast batches": (lambda: A[:, :1] @ B[:1], [("matmul", 5, 7, 8, 6)]),
    "a repeated matrix": (lambda: torch.bmm(A[0], B[0, :1].expand(3, 8, 7)), [("matmul", 7, 15, 8, 1)]),
    "matrix and vector": (lambda: A[0, 0] @ B[0, 0, :, 0], [("matmul", 5, 1, 8, 1)]),
    "vector and matrix": (lambda: A[0, 0, 0] @ B[0, 0], [("matmul", 1, 7, 8, 1)]),
    "vector and batch": (lambda: A[0, 0, 0] @ B, [("matmul", 1, 42, 8, 1)]),
    "two vectors": (lambda: A[0, 0, 0] @ B[0, 0, :, 0], [("matmul", 1, 1, 8, 1)]),
    "addmm": (lambda: torch.addmm(whole(7), A[0, 0], W, beta=2, alpha=3), [("matmul", 7, 5, 8, 1)]),
    "addmm with a matrix": (lambda: torch.addmm(whole(5, 7), A[0, 0], W), [("matmul", 7, 5, 8, 1)]),
    "addmm without its first": (lambda: torch.addmm(whole(7) / 0, A[0, 0], W, beta=0), [("matmul", 7, 5, 8, 1)]),
    "addmv": (lambda: torch.addmv(whole(5), A[0, 0], B[0, 0, :, 0]), [("matmul", 5, 1, 8, 1)]),
    "baddbmm": (lambda: torch.baddbmm(whole(3, 5, 7), A[0], B[0], beta=2, alpha=3), [("matmul", 5, 7, 8, 3)]),
    "baddbmm with one row": (lambda: torch.baddbmm(whole(1, 1, 7), A[0], B[0]), [("matmul", 5, 7, 8, 3)]),
    "in place": (lambda: whole(3, 5, 7).baddbmm_(A[0], B[0]), [("matmul", 5, 7, 8, 3)]),
    "into a tensor": (lambda: torch.mm(A[0, 0], B[0, 0], out=torch.empty(5, 7)), [("matmul", 5, 7, 8, 1)]),
    "einsum": (lambda: torch.einsum("bhik,bhkj->bijh", A, B), [("matmul", 5, 7, 8, 6)]),
    "tensordot": (lambda: torch.tensordot(A, B, dims=([3], [2])), [("matmul", 30, 42, 8, 1)]),
    "double": (lambda: A.double() @ B.double(), [("matmul", 5, 7, 8, 6)]),
    "bf16": (lambda: A[0, 0].bfloat16() @ B[0, 0].bfloat16(), [("matmul", 5, 7, 8, 1)]),
}


@pytest.mark.parametrize("name", MATRICES)
def test_products_of_matrices(name: str) -> None:
    call, expected = MATRICES[name]
    record = run(call)
    assert [(each.kind, each.m, each.n, each.k, each.batch) for each in record.layers] == expected
    assert record.not_simulated == []


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 1},
        {"dilation": 2, "padding": 2, "groups": 2},
        {"padding": "same"},
        {"groups": 4},
        {"padding": 1, "padding_mode": "reflect"},
    ],
    ids=str,
)
def test_convolutions(dims: int, options: dict) -> None:
    layer = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1](4, 8, 3, **options).eval()
    layer.weight.data, layer.bias.data = whole(*layer.weight.shape), whole(8)
    image, groups = whole(2, 4, *(9, 8, 7)[:dims], seed=5), options.get("groups", 1)
    (row,) = run(lambda: layer(image)).layers
    assert (row.kind, row.m, row.k, row.batch) == (f"conv{dims}d", 8 // groups, 4 // groups * 3**dims, groups)
    assert run(lambda: layer(image[0])).layers[0].n * 2 == row.n


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 1, "output_padding": 1},
        {"dilation": 2, "padding": 3, "groups": 2},
        {"stride": 3, "padding": 4},  # more padding than the filter reaches: the image is cut
    ],
    ids=str,
)
def test_transposed_convolutions(dims: int, options: dict) -> None:
    layer = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 1](4, 8, 3, **options).eval()
    layer.weight.data, layer.bias.data = whole(*layer.weight.shape), whole(8)
    (row,) = run(lambda: layer(whole(2, 4, *(9, 8, 7)[:dims], seed=5))).layers
    groups = options.get("groups", 1)
    assert (row.kind, row.m, row.k, row.batch) == (f"conv_transpose{dims}d", 8 // groups, 4 // groups * 3**dims, groups)


Q, K, V = torch.randn(2, 4, 5, 8), torch.randn(2, 4, 6, 8), torch.randn(2, 4, 6, 7)
HIDDEN = torch.ones(5, 6, dtype=torch.bool).tril()
HIDDEN[2] = False


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.scaled_dot_product_attention(Q, K, V),
        lambda: F.scaled_dot_product_attention(Q, K, V, is_causal=True, scale=0.3),
        lambda: F.scaled_dot_product_attention(Q, K, V, attn_mask=HIDDEN),
        lambda: F.scaled_dot_product_attention(Q, K, V, attn_mask=torch.linspace(-2, 2, 30).reshape(5, 6)),
        lambda: F.scaled_dot_product_attention(Q[0], K[0], V[0]),
        lambda: F.scaled_dot_product_attention(Q, K[:, :2], V[:, :2], enable_gqa=True),
    ],
    ids=["plain", "causal", "mask", "added mask", "three dimensions", "shared heads"],
)
def test_attention_is_two_products_with_softmax_between(call: Callable[[], torch.Tensor]) -> None:
    with torch.no_grad():
        expected = call()
        with simulated.datapath("h100", "tf32") as record:
            result = call()
    assert [each.name for each in record.layers] == ["attention.qk", "attention.pv"]
    assert torch.isfinite(result).all() and (result - expected).abs().max() < 2e-3 * expected.abs().max()


def test_dropout_in_attention_is_refused() -> None:
    message = "expected dropout_p = 0, as in evaluation, found 0.5"
    with torch.no_grad(), simulated.datapath("h100"), pytest.raises(StcsimError, match=message):
        F.scaled_dot_product_attention(Q, K, V, dropout_p=0.5)


@pytest.mark.parametrize(
    ("module", "arguments", "products"),
    [
        (nn.MultiheadAttention(8, 2, batch_first=True), (X, X, X), 4),
        (nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2), (X,), 12),
        (nn.LSTM(8, 6, 2, bidirectional=True, batch_first=True), (X,), 16),
        (nn.GRU(8, 6, batch_first=True), (X,), 4),
        (nn.RNN(8, 6, batch_first=True), (X,), 4),
        (nn.LSTMCell(8, 6), (X[0],), 2),
    ],
    ids=lambda each: type(each).__name__,
)
def test_modules_that_pytorch_fuses_are_taken_apart(module: nn.Module, arguments: tuple, products: int) -> None:
    module.eval()
    with torch.no_grad():
        expected = module(*arguments)
        with simulated.datapath("h100", "tf32") as record:
            result = module(*arguments)
    ours, theirs = (each[0] if isinstance(each, tuple) else each for each in (result, expected))
    assert (ours - theirs).abs().max() < 2e-3 * theirs.abs().max()
    assert (len(record.layers), record.not_simulated) == (products, [])
    assert torch.backends.mha.get_fastpath_enabled() and torch.backends.mkldnn.enabled


def test_experts_of_a_mixture_are_products_of_their_own() -> None:
    tokens, experts = whole(6, 16), whole(3, 16, 8, seed=1)
    ends = torch.tensor([2, 2, 6], dtype=torch.int32)
    with torch.no_grad(), simulated.datapath("h100", "bf16") as record:
        result = torch._grouped_mm(tokens.bfloat16(), experts.bfloat16(), ends)
    assert torch.equal(result.float(), torch.cat([tokens[:2] @ experts[0], tokens[2:] @ experts[2]]))
    assert [(each.m, each.n) for each in record.layers] == [(2, 8), (4, 8)]


@pytest.mark.parametrize(
    ("call", "operator", "why"),
    [
        (lambda: A[0, 0, :, :1] @ B[0, 0, :1], "matmul", "an outer product (k = 1), which no kernel sends to tensor cores"),
        (lambda: A.long() @ B.long(), "aten.matmul", "a tensor of int64"),
        (lambda: A.to(torch.complex64) @ B.to(torch.complex64), "aten.matmul", "a tensor of complex64"),
        (lambda: torch.bilinear(X[0], X[0], whole(2, 8, 8), None), "aten._trilinear", "the datapath has no such operator"),
        (lambda: torch.linalg.inv(torch.eye(3)), "aten.linalg_inv_ex", "the datapath has no such operator"),
    ],
    ids=["k = 1", "integers", "complex", "bilinear", "inverse"],
)
def test_what_is_not_simulated_is_written_down(call: Callable[[], torch.Tensor], operator: str, why: str) -> None:
    record = run(call)
    assert record.layers == []
    assert [(each.operator, each.why) for each in record.not_simulated] == [(operator, why)]


def test_nothing_to_multiply_is_no_product() -> None:
    record = run(lambda: whole(0, 8) @ whole(8, 3))
    assert (record.layers, record.not_simulated) == ([], [])


def test_networks_run_in_inference_mode_too() -> None:
    layer = nn.Sequential(nn.Linear(8, 4)).eval()
    with torch.inference_mode(), simulated.datapath("h100", "tf32") as record:
        layer(X)
        A @ B.transpose(-1, -2).transpose(-1, -2)
    assert [each.name for each in record.layers] == ["0", "matmul"]
