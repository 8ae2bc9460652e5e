"""Whatever a caller hands to the numerics wing, the answer is a result or a sentence of stcsim, never another package's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stcsim import numerics
from stcsim.errors import StcsimError, quoted
from stcsim.numerics.sparse.cutlass_layouts import CutlassLayout, HopperLayout
from stcsim.numerics.sparse.layouts import RegisterImage

W = np.arange(64 * 128, dtype=np.float16).reshape(64, 128)
TWO_FOUR = numerics.prune(W)
SPARSE = numerics.compress(TWO_FOUR, "fp16")
TILE = numerics.compress(TWO_FOUR[:16, :32], "fp16")
DENSE, SP = "mma.m16n8k16.f32.f16.f16.f32", "mma.sp.m16n8k32.f32.f16.f16.f32"
X = np.ones((1, 8, 5, 5), np.float16)

#: Every public function, with arguments that work.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "mma": (numerics.mma, {"instruction": DENSE, "a": W[:16, :16], "b": W[:16, :8], "c": None, "arch": "a100", "engine": "fast"}),
    "mma_sp": (
        numerics.mma_sp,
        {"instruction": SP, "a": TILE, "b": W[:32, :8], "c": None, "arch": "sm_90", "blocking": "kept", "ordered": True},
    ),
    "gemm": (
        numerics.gemm,
        {"a": W, "b": W.T[:, :8], "c": None, "arch": "a100", "dtype": "fp16", "b_dtype": "fp16", "acc_dtype": "fp32",
         "sparsity": "dense", "instruction": None, "blocking": "kept", "ordered": True, "order": "chain", "epilogue": None,
         "engine": "fast", "workers": 1},
    ),
    "gemm of a compressed matrix": (numerics.gemm, {"a": SPARSE, "b": W.T[:, :8], "arch": "a100", "workers": None}),
    "conv2d": (
        numerics.conv2d,
        {"x": X, "w": np.ones((8, 8, 3, 3), np.float16), "c": None, "filter_shape": None, "stride": 1, "padding": 1,
         "dilation": 1, "groups": 1, "channel_block": None, "epilogue": None, "arch": "a100"},
    ),
    "conv2d of a compressed matrix": (
        numerics.conv2d,
        {"x": X, "w": numerics.compress(TWO_FOUR[:8, :72], "fp16"), "filter_shape": (3, 3), "arch": "a100"},
    ),
    "prune": (
        numerics.prune,
        {"w": W, "pattern": "2:4", "method": "2d-best", "axis": -1, "row_axis": 0, "dtype": "fp16", "scores": W},
    ),
    "keep_mask": (numerics.keep_mask, {"w": W, "pattern": "2:4", "method": "magnitude", "axis": 1}),
    "check_mask": (numerics.check_mask, {"mask": TWO_FOUR[:, :] != 0, "pattern": "2:4", "axis": 1}),
    "compress": (numerics.compress, {"w": TWO_FOUR, "dtype": "fp16"}),
    "expand": (numerics.expand, {"s": SPARSE}),
    "encode": (numerics.encode, {"x": W, "dtype": "e4m3", "saturate": True}),
    "values": (numerics.values, {"codes": W, "name": "fp16"}),
    "storage_bytes": (numerics.storage_bytes, {"shape": (64, 128), "dtype": "fp16"}),
    "pack_metadata": (numerics.pack_metadata, {"s": SPARSE, "word_bits": 16}),
    "unpack_metadata": (numerics.unpack_metadata, {"words": numerics.pack_metadata(SPARSE)}),
    "register_image": (numerics.register_image, {"s": TILE, "instruction": SP, "selector": 0}),
    "from_register_image": (numerics.from_register_image, {"image": numerics.register_image(TILE, SP)}),
    "cutlass_layout": (numerics.cutlass_layout, {"s": SPARSE}),
    "from_cutlass_layout": (numerics.from_cutlass_layout, {"layout": numerics.cutlass_layout(SPARSE)}),
    "cutlass_hopper_layout": (numerics.cutlass_hopper_layout, {"s": SPARSE, "tile_k": 128}),
    "from_cutlass_hopper_layout": (numerics.from_cutlass_hopper_layout, {"layout": numerics.cutlass_hopper_layout(SPARSE)}),
    "permute_channels": (numerics.permute_channels, {"w": W[:4, :16], "axis": 1, "escapes": 1, "seed": 0, "dtype": None}),
    "reduction_order": (numerics.reduction_order, {"w": np.ones((8, 8, 3, 3)), "kept": 2, "group": 4}),
    "Order": (
        numerics.Order,
        {"split_k": 1, "serial": False, "pairwise": False, "stream_k": 4, "tile": (64, 64, 64), "split_tiles": None,
         "promote_every": 0},
    ),
    "Epilogue": (
        numerics.Epilogue,
        {"alpha": 1.0, "beta": 1.0, "c_dtype": "fp16", "bias": W[0], "bias_along": "column", "row_scale": W[0],
         "column_scale": W[0], "activation": "relu", "out_scale": 1.0, "out_dtype": "fp16", "saturate": None,
         "style": "cutlass-3"},
    ),
    "Sparse24": (
        lambda **fields: numerics.expand(numerics.Sparse24(**fields)),
        {"values": SPARSE.values, "metadata": SPARSE.metadata, "dtype": "fp16", "k": 128},
    ),
    "RegisterImage": (
        lambda **fields: numerics.from_register_image(RegisterImage(**fields)),
        {"instruction": SP, "selector": 0, "a": numerics.register_image(TILE, SP).a,
         "metadata": numerics.register_image(TILE, SP).metadata},
    ),
    "CutlassLayout": (
        lambda **fields: numerics.from_cutlass_layout(CutlassLayout(**fields)),
        {"values": SPARSE.values, "metadata": numerics.cutlass_layout(SPARSE).metadata, "dtype": "fp16"},
    ),
    "HopperLayout": (
        lambda **fields: numerics.from_cutlass_hopper_layout(HopperLayout(**fields)),
        {"values": SPARSE.values, "metadata": numerics.cutlass_hopper_layout(SPARSE).metadata, "dtype": "fp16", "tile_k": 128},
    ),
}  # fmt: skip


class Hostile:
    """An object whose methods raise errors of their own."""

    def __array__(self, *_: object, **__: object) -> None:
        raise RuntimeError("no array of this")

    def __repr__(self) -> str:
        return "a\x1b[2J" + "b" * 5000


#: What may come in anywhere.
THINGS: tuple[Any, ...] = (
    *(None, True, -1, 0, 3, 2**31, 2**63, -(2**63), 10**5000, 1.5, float("nan"), float("inf"), 1j),
    *("", "x", "a\nb", "2:4", "9" * 5000, b"fp16", object(), Hostile(), int, len),
    *([], [[1, 2], [3]], [1, [2]], (1,), (1, 2), (0, 0), (-1, 2), ("a", "b"), {}, {"a": 1}, {1}),
    *(np.zeros(()), np.zeros(0), np.zeros((4, 4)), np.zeros((1, 1, 1, 1, 4)), np.zeros((4, 4), object)),
    *(np.zeros(4, "U3"), np.zeros(4, "V4"), np.zeros(4, "M8[s]"), np.zeros(4, np.complex64), np.zeros((16, 16), ">f2")),
    *(np.zeros((64, 128), "f2").T, np.zeros(4, [("a", "i4")]), np.ma.masked_array([1.0, 2.0]), np.float16(1), np.int64(4)),
    *(SPARSE, TILE),
)  # fmt: skip


SLOW_THINGS = tuple(thing for thing in THINGS if not isinstance(thing, int) or not 3 < thing < 2**63)
"""The same without what asks for work without end."""


@pytest.mark.parametrize("name", CALLS)
def test_anything_in_any_argument_gives_a_result_or_a_sentence(name: str) -> None:
    call, arguments = CALLS[name]
    call(**arguments)
    refused = 0
    for argument in arguments:
        for thing in THINGS if argument != "escapes" else SLOW_THINGS:
            try:
                call(**{**arguments, argument: thing})
            except StcsimError as error:
                refused += 1
                assert "\n" not in str(error) and "\x1b" not in str(error) and len(str(error)) < 1500
            except Exception as error:
                pytest.fail(f"{name}({argument}={quoted(thing)}): {type(error).__name__}: {error}")
    assert refused > len(arguments) * 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"groups": 0}, "groups: expected a whole number above 0, found 0"),
        ({"groups": -1}, "groups: expected a whole number above 0, found -1"),
        ({"groups": 3}, "conv2d: w: expected a multiple of 3 filters"),
        ({"stride": -1}, "stride: expected a whole number above 0, found -1"),
        ({"stride": 0}, "stride: expected a whole number above 0, found 0"),
        ({"stride": (1,)}, "stride: expected one number, or two for rows and columns, found"),
        ({"padding": -1}, "padding: expected a whole number from 0 on, found -1"),
        ({"padding": 2**62}, "an image that fits in memory with its padding"),
        ({"dilation": 0}, "dilation: expected a whole number above 0, found 0"),
        ({"dilation": 10**9}, "an image of at least 2000000001 x 2000000001 with its padding, found 5 x 5"),
        ({"workers": 0}, "workers: expected a whole number above 0, found 0"),
        ({"workers": -1}, "workers: expected a whole number above 0, found -1"),
        ({"w": np.ones((8, 8, 0, 3), np.float16)}, "none of them 0, found (8, 8, 0, 3)"),
    ],
)
def test_edges_of_a_convolution_are_refused(options: dict[str, Any], said: str) -> None:
    arguments: dict[str, Any] = {"x": X, "w": np.ones((8, 8, 3, 3), np.float16), "arch": "a100", **options}
    with pytest.raises(StcsimError) as refusal:
        numerics.conv2d(**arguments)
    assert said in str(refusal.value)


def test_types_of_torch_that_numpy_lacks_go_in_everywhere() -> None:
    torch = pytest.importorskip("torch")
    numbers = torch.from_numpy(np.random.default_rng(1).standard_normal((16, 64), np.float32))
    images = torch.ones((1, 8, 5, 5))
    filters = torch.ones((8, 8, 3, 3))
    for kind, dtype, arch in (
        (torch.bfloat16, "bf16", "a100"),
        (torch.float8_e4m3fn, "e4m3", "h100"),
        (torch.float8_e5m2, "e5m2", "h100"),
        (torch.float16, "fp16", "a100"),
    ):
        w = numbers.to(kind)
        codes = numerics.encode(numbers, dtype)
        pruned = numerics.prune(w)
        assert pruned.dtype == kind
        mask = numerics.keep_mask(w)
        assert np.array_equal(mask, numerics.keep_mask(codes, dtype=dtype))
        assert np.array_equal(numerics.check_mask(torch.from_numpy(mask)), mask)
        sparse = numerics.compress(pruned, dtype)
        assert np.array_equal(numerics.expand(sparse), np.where(mask, codes, 0))
        d = numerics.gemm(w, w.T, arch=arch, dtype=dtype)
        assert np.array_equal(d, numerics.gemm(codes, codes.T, arch=arch, dtype=dtype))
        assert np.array_equal(
            numerics.gemm(sparse, w.T, arch=arch), numerics.gemm(sparse, np.ascontiguousarray(codes.T), arch=arch)
        )
        y = numerics.conv2d(images.to(kind), filters.to(kind), arch=arch, dtype=dtype)
        assert numerics.values(y, "fp32").max() == 72.0
        assert np.array_equal(numerics.values(w, dtype), numerics.values(codes, dtype))
        assert numerics.reduction_order(pruned) == "both"
        assert numerics.permute_channels(w, escapes=0).kept_after > 0
        assert np.array_equal(numerics.encode(w, dtype), codes)


@pytest.mark.parametrize("kind", ["meta", "sparse"])
def test_a_tensor_without_data_in_memory_is_one_sentence(kind: str) -> None:
    torch = pytest.importorskip("torch")
    w = torch.ones((16, 64), device="meta") if kind == "meta" else torch.ones((16, 64)).to_sparse()
    for call in (
        lambda: numerics.prune(w),
        lambda: numerics.encode(w, "fp16"),
        lambda: numerics.compress(w, "fp16"),
        lambda: numerics.reduction_order(w),
        lambda: numerics.gemm(w, w.T, arch="a100", dtype="tf32"),
    ):
        with pytest.raises(StcsimError, match="torch tensor: expected a dense one with data"):
            call()
