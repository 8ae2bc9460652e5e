"""The datapath held against whole kernels on an H200: cuBLAS, cuSPARSELt and cuDNN, bit for bit."""

from __future__ import annotations

import hashlib
from itertools import groupby

import numpy as np
import pytest

from stcsim import numerics
from tests.validation.h200.products import Product, digest, encoded, recorded, simulate

CASES = [
    pytest.param(list(each), id=" ".join(str(part) for part in key))
    for key, each in groupby(recorded(), lambda each: (each.m, each.n, each.k, each.dtype, "2:4" if each.sparse else "dense"))
]


@pytest.mark.parametrize("products", CASES)
def test_a_kernel_gives_the_bits_of_one_order_of_additions(products: list[Product]) -> None:
    for product in products:
        for corner in (0, 1):
            found = digest(simulate(product, product.orders[corner], corner))
            assert found == product.results[corner], (product.kernels, product.orders[corner])


def test_the_chain_is_not_the_order_of_them_all() -> None:
    """fp8 without fast accumulation, split-k and cuSPARSELt's segments differ from a chain, so that the test above can fail."""
    others = [each for each in recorded() if each.orders[0] != "chain" and each.out_dtype == "fp32" and each.k <= 4096]
    assert len(others) > 20
    for product in others[:: len(others) // 6]:
        assert digest(simulate(product, "chain", 0)) != product.results[0], product.kernels


def test_kernels_without_fast_accumulation_promote_every_four_instructions() -> None:
    slow = [each for each in recorded() if any("_algo2_" in name for name in each.kernels) and each.k > 64]
    assert {order for each in slow if not any("splitK" in name for name in each.kernels) for order in each.orders} == {
        "promote=4"
    }
    assert all("promote=4" in order for each in slow for order in each.orders)


# Hashes of the first 64 filters at the first 64 pixels, in fp16: c, size, filters, taps, the channels that a block holds.
CONVOLUTIONS = {
    (64, 56, 64, 3, None): "fc49646a2cb6d345455fd2a85d4359e81be522b23b58299df3c736d09956b63d",
    (256, 14, 256, 3, 64): "079584a71633677efb94421c4d08083a3e2fd1a98befcb65e486972a78cc5e8f",
    (256, 56, 64, 1, None): "8fd0a25085d69891adf3c5c8298dc0f5a2d71f65b38276c65ec0716f8e1dc328",
}


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolutions_add_in_the_order_of_taps_and_channels(case: tuple[int, int, int, int, int | None]) -> None:
    c, side, filters, taps, block = case
    rng = np.random.default_rng([c, side, filters, taps])
    x = rng.standard_normal((8, c, side, side)).astype(np.float32)[:1]
    w = (rng.standard_normal((filters, c, taps, taps)) / np.sqrt(c * taps * taps)).astype(np.float32)[:64]
    halves = encoded(x, "fp16"), encoded(w, "fp16")
    d = numerics.conv2d(*halves, padding=taps // 2, channel_block=block, arch="h200")
    found = numerics.encode(d.view(np.float32), "fp16")[0].reshape(64, -1)[:, :64]
    assert hashlib.sha256(np.ascontiguousarray(found, "<u2").tobytes()).hexdigest() == CONVOLUTIONS[case]
