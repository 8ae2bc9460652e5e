"""Does every order of additions give what adding its parts by hand gives, with both engines, for floats and integers?"""

from __future__ import annotations

import numpy as np
import pytest

from stcsim.errors import StcsimError
from stcsim.isa import DTYPES
from stcsim.numerics import Order, conv2d, encode, gemm, values
from stcsim.numerics.conv import filter_matrix
from stcsim.numerics.evidence.draws import special_codes
from stcsim.numerics.orders import Cut, order
from stcsim.numerics.sparse.sparse24 import compress
from tests.numerics.matrices import random_sparse


def normal(shape: tuple[int, ...], seed: int, dtype: str, spread: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return encode(np.ldexp(rng.standard_normal(shape), rng.integers(-spread, spread + 1, shape)), dtype)


def added(*parts: np.ndarray) -> np.ndarray:
    """Return the codes of the float32 sum of fp32 codes, from the first to the last."""
    total = parts[0].view(np.float32)
    for part in parts[1:]:
        total = total + part.view(np.float32)
    return total.view(np.uint32)


def test_split_k_adds_slices_in_order() -> None:
    a, b, c = normal((20, 160), 1, "fp16"), normal((160, 9), 2, "fp16"), normal((20, 9), 3, "fp32")
    # ten instructions of 16 in three slices: four, four and two
    slices = [gemm(a[:, k : k + 64], b[k : k + 64], arch="sm_80") for k in (0, 64, 128)]

    assert np.array_equal(gemm(a, b, arch="sm_80", order="split-k=3"), added(*slices))
    assert np.array_equal(gemm(a, b, c, arch="sm_80", order=Order(split_k=3)), added(*slices, c))
    assert np.array_equal(gemm(a, b, c, arch="sm_80", order="split-k-serial=3"), added(*slices, c))
    assert not np.array_equal(gemm(a, b, arch="sm_80", order="split-k=3"), gemm(a, b, arch="sm_80"))
    # with a tile of 32 columns: five iterations, two and two and one
    parts = [gemm(a[:, k : k + 64], b[k : k + 64], arch="sm_80") for k in (0, 64)] + [gemm(a[:, 128:], b[128:], arch="sm_80")]
    assert np.array_equal(gemm(a, b, arch="sm_80", order="split-k=3,tile=128x128x32"), added(*parts))


def test_a_slice_that_nothing_is_left_for_does_not_exist() -> None:
    assert [cut.slices for _, _, cut in Order(split_k=4).regions(1, 1, 6 * 16, 16)] == [((0, 2), (2, 4), (4, 6))]
    assert [cut.slices for _, _, cut in Order(split_k=9).regions(1, 1, 16, 16)] == [((0, 1),)]


def test_promotion_adds_every_few_instructions() -> None:
    a, b, c = normal((20, 32 * 11), 4, "e4m3"), normal((32 * 11, 9), 5, "e4m3"), normal((20, 9), 6, "fp32")
    parts = [gemm(a[:, k : k + 128], b[k : k + 128], arch="sm_90", dtype="e4m3") for k in (0, 128, 256)]

    assert np.array_equal(gemm(a, b, arch="sm_90", dtype="e4m3", order="promote=4"), added(*parts))
    assert np.array_equal(gemm(a, b, c, arch="sm_90", dtype="e4m3", order=Order(promote_every=4)), added(*parts, c))
    assert np.array_equal(gemm(a, b, arch="sm_90", dtype="e4m3", order="promote=99"), gemm(a, b, arch="sm_90", dtype="e4m3"))


def test_promotion_inside_slices() -> None:
    a, b = normal((20, 32 * 10), 7, "e4m3"), normal((32 * 10, 9), 8, "e4m3")
    slices = [
        added(*(gemm(a[:, k : k + 64], b[k : k + 64], arch="sm_90", dtype="e4m3") for k in range(first, last, 64)))
        for first, last in ((0, 128), (128, 256), (256, 320))
    ]
    assert np.array_equal(gemm(a, b, arch="sm_90", dtype="e4m3", order="split-k=3,promote=2"), added(*slices))


def test_stream_k_cuts_each_tile_where_a_block_ends() -> None:
    regions = list(Order(stream_k=4, tile=(16, 8, 32)).regions(48, 16, 96, 16))
    # six tiles of three iterations of two instructions: 18 iterations for four blocks, which begin at 0, 5, 10 and 14
    assert [(region.rows.start, region.columns.start) for region in regions] == [
        (0, 0),
        (0, 8),
        (16, 0),
        (16, 8),
        (32, 0),
        (32, 8),
    ]
    whole = ((0, 6),)
    assert [region.cut.slices for region in regions] == [
        whole,
        ((0, 4), (4, 6)),
        whole,
        ((0, 2), (2, 6)),
        ((0, 4), (4, 6)),
        whole,
    ]

    a, b = normal((48, 96), 9, "fp16"), normal((96, 16), 10, "fp16")
    d = gemm(a, b, arch="sm_80", order="stream-k=4,tile=16x8x32")
    for rows, columns, cut in regions:
        parts = [gemm(a[rows, 16 * at : 16 * end], b[16 * at : 16 * end, columns], arch="sm_80") for at, end in cut.slices]
        assert np.array_equal(d[rows, columns], added(*parts))


def test_stream_k_counts_tiles_by_columns_where_rows_are_fewer_and_shares_the_first() -> None:
    regions = list(Order(stream_k=3, tile=(16, 8, 16), split_tiles=2).regions(32, 24, 64, 16))
    assert [(each.rows.start, each.columns.start) for each in regions] == [(0, 0), (16, 0), (0, 8), (16, 8), (0, 16), (16, 16)]
    # two tiles of four iterations for three blocks: they begin at 0, 3 and 6
    assert [each.cut.slices for each in regions] == [((0, 3), (3, 4)), ((0, 2), (2, 4)), *[((0, 4),)] * 4]


def test_a_multiple_of_the_tiles_shares_each_tile_by_itself() -> None:
    # two tiles of seven iterations, four blocks: 4 and 3 in each tile, not 4, 4, 3 and 3 of all fourteen
    regions = list(Order(stream_k=4, tile=(16, 8, 16)).regions(32, 8, 7 * 16, 16))
    assert [each.cut.slices for each in regions] == [((0, 4), (4, 7))] * 2
    assert [each.cut.slices for each in Order(stream_k=1000, tile=(16, 8, 16)).regions(16, 8, 48, 16)] == [
        ((0, 1), (1, 2), (2, 3))
    ]


ORDERS = ("promote=1", "promote=3", "split-k=2", "split-k=3,promote=2", "stream-k=5,tile=8x4x128", "split-k-serial=4")
CASES = (
    ("sm_80", "fp16", {}),
    ("sm_80", "fp16", {"acc_dtype": "fp16"}),
    ("sm_80", "bf16", {}),
    ("sm_80", "tf32", {}),
    ("sm_90", "fp16", {}),
    ("sm_90", "e4m3", {}),
    ("sm_90", "e5m2", {"acc_dtype": "fp16"}),
    ("sm_90", "e4m3", {"instruction": "mma.m16n8k32.f32.e4m3.e4m3.f32"}),
    ("sm_89", "e4m3", {}),
    ("sm_100", "e4m3", {}),
    ("sm_80", "int8", {}),
    ("sm_80", "int8", {"instruction": "mma.m16n8k32.s32.s8.s8.s32.satfinite"}),
)


@pytest.mark.parametrize("taken", ORDERS)
@pytest.mark.parametrize(("arch", "dtype", "options"), CASES)
@pytest.mark.parametrize("sparsity", ["dense", "2:4"])
def test_both_engines_agree_on_every_order(arch: str, dtype: str, options: dict, taken: str, sparsity: str) -> None:
    if sparsity == "2:4" and "instruction" in options:
        words = options["instruction"].replace("mma.m16n8k32", "mma.sp.m16n8k64")
        options = {"instruction": words}
    seed = ORDERS.index(taken) * 100 + len(dtype)
    for kind in ("normal", "wide", "special"):
        a, b, c = operands(dtype, kind, seed, sparsity == "2:4")
        found = [
            gemm(a, b, c, arch=arch, dtype=dtype, sparsity=sparsity, order=taken, engine=engine, **options)
            for engine in ("fast", "reference")
        ]
        assert np.array_equal(*found), kind


def operands(dtype: str, kind: str, seed: int, sparse: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A (9, 256), B (256, 5) and C of a product: ordinary numbers, of wide exponents, or with infinities and NaN."""
    rng, form = np.random.default_rng(seed), DTYPES[dtype]
    shapes = (9, 256), (256, 5), (9, 5)
    if not form.is_float:
        spread = {"normal": 20, "wide": 128, "special": 128}[kind]
        a, b = (rng.integers(-spread, spread, shape).astype(np.int8) for shape in shapes[:2])
        c = rng.integers(-(2**31), 2**31 - 1, shapes[2]).astype(np.int32)
        if kind == "special":
            a, b = np.full_like(a, 127), np.full_like(b, 127)
    else:
        a, b = (normal(shape, seed + at, dtype, 6 * (kind == "wide")) for at, shape in enumerate(shapes[:2]))
        c = normal(shapes[2], seed + 2, "fp32", 20 * (kind == "wide"))
        if kind == "special":
            a, b, c = (np.where(rng.random(x.shape) < 0.002, rng.choice(special_codes(f), x.shape), x).astype(x.dtype)
                       for x, f in ((a, form), (b, form), (c, DTYPES["fp32"])))  # fmt: skip
    if sparse:
        keep = random_sparse("fp16", (9, 256), seed) != 0 if dtype != "tf32" else np.tile([True, False], (9, 128))
        a = np.where(keep, a, 0).astype(a.dtype)
    return a, b, c


@pytest.mark.parametrize("taken", ["chain", *ORDERS])
def test_integers_do_not_depend_on_the_order(taken: str) -> None:
    rng = np.random.default_rng(11)
    a, b = rng.integers(-128, 128, (24, 384)).astype(np.int8), rng.integers(-128, 128, (384, 16)).astype(np.int8)
    c = np.full((24, 16), 2**31 - 1000, np.int32)
    exact = (a.astype(np.int64) @ b.astype(np.int64) + c).astype(np.int32)  # wraps
    assert np.array_equal(gemm(a, b, c, arch="sm_80", dtype="int8", order=taken), exact)


def test_satfinite_clamps_each_part_and_parts_wrap() -> None:
    name = "mma.m16n8k32.s32.s8.s8.s32.satfinite"
    a, b = np.full((1, 64), 127, np.int8), np.full((64, 1), 127, np.int8)
    c = np.array([[2**31 - 1]], np.int32)
    assert gemm(a, b, c, arch="sm_80", dtype="int8", instruction=name)[0, 0] == 2**31 - 1
    assert gemm(a, b, c, arch="sm_80", dtype="int8", instruction=name, order="split-k=2")[0, 0] == 64 * 127**2 - 2**31 - 1


def test_sums_of_half_accumulators_are_fp32() -> None:
    a, b = normal((4, 64), 12, "fp16"), normal((64, 8), 13, "fp16")
    halves = [values(gemm(a[:, k : k + 16], b[k : k + 16], arch="sm_80", acc_dtype="fp16"), "fp16") for k in range(0, 64, 16)]
    d = gemm(a, b, arch="sm_80", acc_dtype="fp16", order="promote=1")
    assert d.dtype == np.uint32
    assert np.array_equal(d, added(*(encode(each, "fp32") for each in halves)))


def test_batches_convolutions_and_compressed_weights_take_an_order() -> None:
    a, b = normal((3, 20, 96), 14, "fp16"), normal((96, 8), 15, "fp16")
    d = gemm(a, b, arch="sm_80", order="stream-k=4,tile=16x8x32")
    assert d.shape == (3, 20, 8) and np.array_equal(d[2], gemm(a[2], b, arch="sm_80", order="stream-k=4,tile=16x8x32"))
    w = random_sparse("fp16", (16, 16 * 9), 16).reshape(16, 3, 3, 16).transpose(0, 3, 1, 2)
    x = normal((1, 16, 6, 6), 17, "fp16")
    by_hand = gemm(compress(filter_matrix(w), "fp16"), im2col_of(x), arch="sm_80", order="split-k=3")
    assert np.array_equal(conv2d(x, w, arch="sm_80", sparsity="2:4", order="split-k=3").reshape(16, -1), by_hand)


def im2col_of(x: np.ndarray) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x[0], (3, 3), axis=(1, 2))  # (c, p, q, r, s)
    return np.ascontiguousarray(windows.transpose(3, 4, 0, 1, 2)).reshape(9 * x.shape[1], -1)


def test_cancelling_parts_give_plus_zero_and_clashing_infinities_nan() -> None:
    one, minus = 0x3C00, 0xBC00
    a = np.array([[one] * 16 + [minus] * 16], np.uint16)
    b = np.full((32, 1), one, np.uint16)
    for engine in ("fast", "reference"):
        assert gemm(a, b, arch="sm_80", order="split-k=2", engine=engine)[0, 0] == 0
        infinite = np.where(np.arange(32) % 16 == 0, b.T | 0x7C00 - one, b.T).T.astype(np.uint16)
        assert gemm(a, infinite, arch="sm_80", order="split-k=2", engine=engine)[0, 0] == 0x7FFFFFFF


def test_an_order_is_the_text_that_it_prints() -> None:
    for text in ("chain", "split-k=3", "split-k-serial=2,promote=4", "stream-k=108,tile=128x128x64,split-tiles=7", "promote=4"):
        assert str(order(text)) == text
    assert order(None) == Order() and order(" Promote=4 ") == Order(promote_every=4)
    assert order(Order(split_k=2)) == Order(split_k=2)
    assert Cut(((0, 1),), 0) == Cut(slices=((0, 1),), promote_every=0)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: order("split=3"), "order: expected words of chain, split-k=S, split-k-serial=S, stream-k=BLOCKS, tile=MxNxK, "),
        (lambda: order("promote=x"), "order: expected words of chain, "),
        (lambda: order(4), "order: expected an Order, or words of chain, "),
        (lambda: order("split-k=0"), "split_k: expected a whole number above 0, found 0"),
        (lambda: Order(promote_every=-1), "promote_every: expected a whole number from 0 on, found -1"),
        (lambda: Order(stream_k=3), "stream_k: expected a tile beside it, and no split_k, found stream-k=3"),
        (lambda: Order(stream_k=3, split_k=2, tile=(16, 8, 32)), "stream_k: expected a tile beside it, and no split_k, found "),
        (lambda: Order(serial=True), "serial: expected split_k of 2 or more beside it, found chain"),
        (lambda: Order(serial=1, split_k=2), "serial: expected True or False, found 1"),
        (lambda: Order(split_tiles=3), "split_tiles: expected a number above 0 beside stream_k, found split-tiles=3"),
        (lambda: Order(tile=(16, 8)), "tile: expected three numbers (m, n, k), found (16, 8)"),
        (lambda: Order(tile=(16, 0, 8)), "tile: expected a whole number above 0, found 0"),
        (
            lambda: gemm(np.ones((4, 64), np.float16), np.ones((64, 4), np.float16), arch="sm_80", order="split-k=2,tile=8x8x24"),
            "order: tile: expected k a multiple of 16, that of the instruction, found 24",
        ),
    ],
)
def test_what_is_no_order_is_one_sentence(call, sentence: str) -> None:
    with pytest.raises(StcsimError) as caught:
        call()
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
