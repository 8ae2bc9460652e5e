"""Is every layer of a network what ``gemm`` and ``conv2d`` give by hand, bit for bit, on the inputs that the layer had?"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (pip install stcsim[torch])")

from torch import nn  # noqa: E402

from tests.numerics.torch.by_hand import bert, check, pruned, resnet34  # noqa: E402


class Small(nn.Module):
    """Two convolutions, attention and a linear layer, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 32, 3, padding=1)
        self.grouped = nn.Conv2d(32, 32, 3, stride=2, dilation=2, groups=2, bias=False)
        self.heads = nn.Linear(32, 96)
        self.linear = nn.Linear(32, 24)

    def forward(self, x):
        x = self.grouped(torch.relu(self.conv(x))).flatten(2).transpose(1, 2)
        q, k, v = self.heads(x).unflatten(-1, (3, 4, 8)).permute(2, 0, 3, 1, 4)
        return self.linear(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


@pytest.mark.parametrize(
    ("arch", "dtype", "options"),
    [
        ("sm_80", "fp16", {}),
        ("sm_90", "bf16", {}),
        ("sm_80", "tf32", {}),
        ("sm_80", "fp16", {"acc_dtype": "fp16"}),
        ("sm_90", "fp16", {"order": "split-k=2"}),
    ],
)
@pytest.mark.parametrize("sparse", [False, True])
def test_each_layer_of_a_small_network_is_what_it_is_by_hand(arch: str, dtype: str, options: dict, sparse: bool) -> None:
    torch.manual_seed(0)
    model, image = pruned(Small()).eval(), torch.randn(2, 4, 9, 9)
    prunable = 0 if dtype == "tf32" else 4  # tf32 wants 1:2, which these are not
    assert check(model, (image,), arch, dtype, sparse, **options) == (6, prunable if sparse else 0)


def test_expanded_blocks_are_those_of_expanded_by_hand() -> None:
    torch.manual_seed(1)
    model, x = pruned(nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 32))).eval(), torch.randn(5, 128)
    assert check(model, (x,), "sm_80", "fp16", True, blocking="expanded") == (2, 2)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("network", "products", "prunable"), [(lambda: bert(layers=2), 16, 12), (resnet34, 37, 36)])
def test_every_layer_of_a_real_network_is_what_it_is_by_hand(network, products: int, prunable: int, sparse: bool) -> None:
    model, arguments = network()
    compared, ran_sparse = check(pruned(model) if sparse else model, arguments, "sm_80", "fp16", sparse)
    assert (compared, ran_sparse) == (products, prunable if sparse else 0)
