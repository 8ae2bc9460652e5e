"""Does pruning keep what its docstring says, ties included, for every type and shape?"""

from __future__ import annotations

from itertools import combinations, product

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stcsim.errors import StcsimError, UnsupportedError
from stcsim.isa import DTYPES
from stcsim.numerics.codes import magnitudes
from stcsim.numerics.formats import code_type
from stcsim.numerics.sparse.pruning import METHODS, check_mask, keep_mask, prune
from stcsim.numerics.sparse.sparse24 import compress
from tests.numerics.matrices import SPARSE_TYPES

pytestmark = pytest.mark.small

FLOATS = [np.float16, np.float32, np.float64, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2]
INTEGERS = [np.int8, np.uint8, np.int32, ml_dtypes.int4, ml_dtypes.uint4]


def sentence(call: object, *arguments: object, **options: object) -> str:
    with pytest.raises(StcsimError) as error:
        call(*arguments, **options)  # type: ignore[operator]
    return str(error.value)


def kept(*weights: float, **options: object) -> list[int]:
    return np.flatnonzero(keep_mask(np.array(weights), **options)).tolist()  # type: ignore[arg-type]


def test_the_two_largest_magnitudes_stay() -> None:
    w = np.array([[1.0, -3.0, 2.0, 0.5], [-0.1, 0.0, -0.2, 0.3]])
    assert prune(w).tolist() == [[0, -3, 2, 0], [0, 0, -0.2, 0.3]]
    assert w[0, 0] == 1.0  # the weights themselves are left alone


def test_of_equal_magnitudes_the_lowest_index_stays() -> None:
    assert kept(1, 1, 1, 1) == [0, 1]
    assert kept(1, -1, 1, 2) == [0, 3]
    assert kept(0, 0, 0, 0) == [0, 1]
    assert kept(-0.0, 0.0, 1, 0) == [0, 2]
    assert kept(1, 2, 2, 2, 2, 2, 1, 1, pattern="4:8") == [1, 2, 3, 4]
    assert kept(1, 1, 1, 1, pattern="1:4") == [0]
    assert kept(*[1] * 8, pattern="4:8-pairs") == [0, 1, 2, 3]


@pytest.mark.parametrize(("pattern", "n", "m"), [("2:4", 2, 4), ("1:4", 1, 4), ("4:8", 4, 8), ("1:2", 1, 2), ("3:5", 3, 5)])
@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.integers(-4, 4), min_size=40, max_size=40))
def test_n_of_m_keeps_what_a_stable_sort_keeps(pattern: str, n: int, m: int, values: list[int]) -> None:
    w = np.array(values, np.float32).reshape(1, -1)
    for group, mask in zip(np.abs(w).reshape(-1, m), keep_mask(w, pattern).reshape(-1, m), strict=True):
        assert set(np.flatnonzero(mask)) == set(np.argsort(-group, kind="stable")[:n])


@pytest.mark.parametrize("kind", FLOATS + INTEGERS, ids=lambda kind: np.dtype(kind).name)
def test_every_type_keeps_its_own_bits(kind: type) -> None:
    low = 0 if np.dtype(kind).name.startswith("u") else -7
    w = np.random.default_rng(1).integers(low, 8, (8, 16)).astype(np.float64).astype(kind)
    for method in METHODS:
        got = prune(w, method=method)
        mask = keep_mask(w.astype(np.float64), method=method)
        assert got.dtype == w.dtype
        np.testing.assert_array_equal(got.astype(np.float64), np.where(mask, w.astype(np.float64), 0))


@pytest.mark.parametrize("dtype", SPARSE_TYPES)
def test_raw_codes_prune_as_the_numbers_they_stand_for(dtype: str) -> None:
    row = DTYPES[dtype]
    kind = {"tf32": np.float32}.get(dtype) or np.dtype(getattr(ml_dtypes, row.numpy, row.numpy))
    w = np.random.default_rng(2).integers(-7 if dtype[0] != "u" else 0, 8, (8, 16)).astype(kind)
    codes = w.view(code_type(row)) & (0xF if row.bits == 4 else -1 % 2**row.bits)
    for method in METHODS:
        got = prune(codes, method=method, dtype=dtype)
        np.testing.assert_array_equal(got, np.where(keep_mask(w, method=method), codes, 0), strict=True)
    np.testing.assert_array_equal(magnitudes(codes, dtype), np.abs(w.astype(np.float64)))


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "int8", "uint8", "int4", "uint4"])
def test_magnitudes_of_every_code(name: str) -> None:
    kind = np.dtype(getattr(ml_dtypes, name, name))
    if name in ("int4", "uint4"):
        w = np.arange(-8 if name == "int4" else 0, 8 if name == "int4" else 16).astype(kind)
    else:
        w = np.arange(256**kind.itemsize, dtype=f"u{kind.itemsize}").view(kind)
    with np.errstate(invalid="ignore"):
        w = w[~np.isnan(w.astype(np.float32))]
        expected = np.abs(w.astype(np.float32).astype(np.float64))
    np.testing.assert_array_equal(magnitudes(w), expected)


def test_minus_128_is_the_largest_int8_and_infinity_the_largest_float() -> None:
    assert np.flatnonzero(keep_mask(np.array([127, -127, -128, 126], np.int8))).tolist() == [0, 2]
    assert kept(1e30, -np.inf, np.inf, 2.0) == [1, 2]
    tile = np.ones((4, 4))
    tile[2, 3] = np.inf
    for method in ("2d-best", "2d-greedy"):
        assert keep_mask(tile, method=method)[2, 3]


def brute_best(tile: np.ndarray) -> np.ndarray:
    """The first best of all 4x4 patterns with two in every row and column, by trying the 6**4 row choices in order."""
    best, most = None, -1.0
    for rows in product(list(combinations(range(4), 2)), repeat=4):
        mask = np.zeros((4, 4), np.bool_)
        for row, columns in enumerate(rows):
            mask[row, list(columns)] = True
        if (mask.sum(axis=0) == 2).all() and tile[mask].sum() > most:
            best, most = mask, tile[mask].sum()
    assert best is not None
    return best


def brute_greedy(tile: np.ndarray) -> np.ndarray:
    mask = np.zeros((4, 4), np.bool_)
    for at in np.argsort(-tile.ravel(), kind="stable"):
        row, column = divmod(int(at), 4)
        if mask[row].sum() < 2 and mask[:, column].sum() < 2:
            mask[row, column] = True
    return mask


@pytest.mark.parametrize(("method", "brute"), [("2d-best", brute_best), ("2d-greedy", brute_greedy)])
@pytest.mark.parametrize("spread", [2, 5, 1000])
def test_tiles_agree_with_brute_force(method: str, brute: object, spread: int) -> None:
    w = np.random.default_rng(spread).integers(-spread, spread + 1, (8, 12)).astype(np.float32)  # small spread: many ties
    mask = keep_mask(w, method=method)
    for row, column in product(range(0, 8, 4), range(0, 12, 4)):
        tile = slice(row, row + 4), slice(column, column + 4)
        np.testing.assert_array_equal(mask[tile], brute(np.abs(w[tile])))  # type: ignore[operator]
    assert (np.abs(w) * keep_mask(w, method="2d-best")).sum() >= (np.abs(w) * keep_mask(w, method="2d-greedy")).sum()


def test_torch_keeps_the_same_greedy_tile() -> None:
    torch = pytest.importorskip("torch")
    conversions = pytest.importorskip("torch.sparse._semi_structured_conversions")
    w = np.random.default_rng(3).integers(1, 9, (16, 24)).astype(np.float32)  # positive: torch's routine reads signed values
    theirs = conversions._sparse_semi_structured_tile(torch.from_numpy(w.copy())).numpy()
    np.testing.assert_array_equal(prune(w, method="2d-greedy"), theirs)


def test_a_2d_mask_is_2_4_both_ways() -> None:
    w = np.random.default_rng(4).standard_normal((64, 128)).astype(np.float16)
    for method in ("2d-best", "2d-greedy"):
        got = prune(w, method=method)
        compress(got, "fp16")
        compress(np.ascontiguousarray(got.T), "fp16")


def test_axes_and_leading_dimensions() -> None:
    w = np.random.default_rng(5).standard_normal((8, 12, 3, 3)).astype(np.float32)  # a convolution's (K, C, R, S)
    flat = np.moveaxis(w, 1, -1)
    np.testing.assert_array_equal(np.moveaxis(prune(w, axis=1), 1, -1), prune(np.ascontiguousarray(flat)))
    tiles = prune(w, method="2d-greedy", axis=1, row_axis=0)
    np.testing.assert_array_equal(tiles[:, :, 2, 1], prune(w[:, :, 2, 1], method="2d-greedy"))
    batch = w[..., 0].transpose(2, 0, 1)
    for method in METHODS:
        np.testing.assert_array_equal(prune(batch, method=method)[1], prune(batch[1], method=method))
    columns = w[:, :, 0, 0]
    np.testing.assert_array_equal(prune(columns, axis=0), prune(columns.T).T)
    np.testing.assert_array_equal(prune(columns, method="2d-best", axis=0), prune(columns.T, method="2d-best").T)
    assert prune(np.zeros((0, 8))).shape == (0, 8)


def test_what_tf32_and_four_bits_need_compresses() -> None:
    w = np.random.default_rng(6).integers(-8, 8, (4, 64))
    compress(prune(w.astype(ml_dtypes.int4), "4:8-pairs"), "int4")
    compress(prune(w.astype(np.float32), "1:2"), "tf32")
    small_and_large = np.array([[1, 0, 0.75, 0.75, 0.5, 0.5, 0, 0]])  # pairs are compared by sums: 1, 1.5, 1, 0
    assert prune(small_and_large, "4:8-pairs").tolist() == [[1, 0, 0.75, 0.75, 0, 0, 0, 0]]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", FLOATS, ids=lambda kind: np.dtype(kind).name)
def test_nan_is_refused_by_row_and_column(kind: type, method: str) -> None:
    w = np.ones((4, 8), np.float32)
    w[3, 5] = np.nan
    assert sentence(prune, w.astype(kind), method=method) == "weight at row 3, column 5: expected a number, found NaN"
    assert "matrix (0, 3), row 1, column 1: expected a number" in sentence(
        prune, w.astype(kind).reshape(1, 4, 2, 4), method="magnitude"
    )


def test_what_cannot_be_pruned_is_refused() -> None:
    w = np.ones((6, 8))
    assert sentence(prune, w, "3:7") == "weights of shape (6, 8): expected dimension 1 to be a multiple of 7, found 8"
    assert sentence(prune, w, axis=0) == "weights of shape (6, 8): expected dimension 0 to be a multiple of 4, found 6"
    assert sentence(prune, w, method="2d-best") == "weights of shape (6, 8): expected dimension 0 to be a multiple of 4, found 6"
    assert sentence(prune, w, axis=2) == "axis of prune: expected a dimension of weights that have 2, found 2"
    assert (
        sentence(prune, w[:4], method="2d-best", row_axis=1)
        == "row_axis of prune: expected another dimension than axis 1, found 1"
    )
    assert sentence(prune, w[0], method="2d-best") == "weights for a 2-D method: expected at least two dimensions, found 1"
    assert sentence(prune, w > 0).startswith("weights: expected integers or one of float32, float16, bfloat16, float8_e4m3fn,")
    assert sentence(prune, w, dtype="fp16") == (
        "fp16 weights: expected fp16 as an array of uint16 or float16, found an array of float64 (numerics.encode rounds it)"
    )
    for pattern in ("4:4", "0:4", "two of four", "2:4-pairs"):
        with pytest.raises(
            UnsupportedError, match=f"pruning pattern: expected N:M with 1 <= N < M, or 4:8-pairs, found '{pattern}'"
        ):
            prune(w, pattern)
    with pytest.raises(UnsupportedError, match=r"pruning method: expected one of magnitude, .*, found 'magnitud' \(did you mean"):
        prune(w, method="magnitud")
    with pytest.raises(UnsupportedError, match="pruning method '2d-best': expected pattern 2:4, found '1:4'"):
        prune(w, "1:4", "2d-best")


@pytest.mark.parametrize("method", METHODS)
def test_scores_that_are_magnitudes_change_nothing(method: str) -> None:
    w = np.random.default_rng(11).integers(-5, 6, (8, 24)).astype(np.float32)  # many ties
    for scores in (np.abs(w), np.abs(w).astype(np.int64), np.abs(w).astype(np.float16), np.abs(w).astype(ml_dtypes.bfloat16)):
        np.testing.assert_array_equal(prune(w, method=method, scores=scores), prune(w, method=method))
    pairs = prune(w, "4:8-pairs", scores=np.abs(w))
    np.testing.assert_array_equal(pairs, prune(w, "4:8-pairs"))


@pytest.mark.parametrize("method", METHODS)
def test_scores_decide_and_not_the_weights(method: str) -> None:
    rng = np.random.default_rng(12)
    w, scores = rng.standard_normal((2, 8, 16)), rng.standard_normal((2, 8, 16))
    mask = keep_mask(w, method=method, scores=scores)
    np.testing.assert_array_equal(mask, keep_mask(np.ones_like(w), method=method, scores=scores))
    np.testing.assert_array_equal(prune(w, method=method, scores=scores), np.where(mask, w, 0))
    assert not np.array_equal(mask, keep_mask(w, method=method))
    shifted = keep_mask(w, method=method, scores=np.round(scores * 1024) - 10_000)  # all negative: only the order counts
    np.testing.assert_array_equal(shifted, keep_mask(w, method=method, scores=np.round(scores * 1024)))
    np.testing.assert_array_equal(keep_mask(w.transpose(0, 2, 1), method=method, axis=1, scores=scores.transpose(0, 2, 1)),
                                  mask.transpose(0, 2, 1))  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.integers(-4, 4), min_size=16, max_size=16))
def test_scores_keep_what_a_stable_sort_keeps(values: list[int]) -> None:
    scores = np.array(values, np.float64).reshape(1, -1)
    mask = keep_mask(np.ones((1, 16)), scores=scores).reshape(-1, 4)
    for group, kept_here in zip(scores.reshape(-1, 4), mask, strict=True):
        assert set(np.flatnonzero(kept_here)) == set(np.argsort(-group, kind="stable")[:2])


def test_negative_scores_choose_the_best_tile_by_its_sum() -> None:
    scores = -np.random.default_rng(13).random((4, 4))
    rows = [np.isin(np.arange(4), pair) for pair in combinations(range(4), 2)]
    tiles = [np.array(tile) for tile in product(rows, repeat=4) if (np.sum(tile, axis=0) == 2).all()]
    best = max(tiles, key=lambda tile: scores[tile].sum())
    np.testing.assert_array_equal(keep_mask(np.ones((4, 4)), method="2d-best", scores=scores), best)


def test_a_mask_is_a_score() -> None:
    w, mask = np.ones((2, 4), np.float16), np.array([[True, False, True, False], [False, False, True, True]])
    np.testing.assert_array_equal(keep_mask(w, scores=mask), mask)
    np.testing.assert_array_equal(keep_mask(w, scores=np.where(mask, np.inf, 0)), mask)


def test_torch_tensors_are_pruned_to_tensors_of_their_type() -> None:
    torch = pytest.importorskip("torch")
    numbers = np.random.default_rng(14).standard_normal((8, 16)).astype(np.float32)
    for kind in (torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
        w = torch.tensor(numbers).to(kind).requires_grad_()
        got = prune(w)
        assert got.dtype == kind
        mask = keep_mask(w.detach().float().numpy())
        assert torch.equal(got.float(), torch.where(torch.tensor(mask), w.detach().float(), 0))
    scores = torch.tensor(numbers[::-1].copy()).bfloat16()
    np.testing.assert_array_equal(keep_mask(numbers, scores=scores), keep_mask(numbers, scores=scores.float().numpy()))


def test_scores_that_cannot_decide_are_refused() -> None:
    w, scores = np.ones((4, 8)), np.ones((4, 8))
    scores[3, 5] = np.nan
    for method in METHODS:
        assert sentence(prune, w, method=method, scores=scores) == (
            "score at row 3, column 5: expected a number above minus infinity, found nan"
        )
    assert sentence(prune, w, scores=scores[:3]) == "scores: expected shape (4, 8), that of the weights, found (3, 8)"
    assert sentence(prune, w, scores=np.full((4, 8), "x")) == "scores: expected numbers, found an array of str32"
    assert "found -inf" in sentence(keep_mask, w, scores=np.full((4, 8), -np.inf))
    w[1, 2] = np.nan
    assert sentence(prune, w, scores=np.ones((4, 8))) == "weight at row 1, column 2: expected a number, found NaN"


def test_a_mask_that_is_2_4_comes_back_as_booleans() -> None:
    w = np.random.default_rng(15).standard_normal((6, 16))
    for pattern in ("2:4", "1:4", "4:8-pairs"):
        mask = keep_mask(w, pattern)
        np.testing.assert_array_equal(check_mask(mask, pattern), mask, strict=True)
        np.testing.assert_array_equal(check_mask(mask.astype(np.uint8), pattern), mask, strict=True)
        np.testing.assert_array_equal(check_mask(mask.T, pattern, axis=0), mask.T, strict=True)
    assert not check_mask(np.zeros((2, 4), np.int64)).any()  # fewer than two may be kept
    assert check_mask(np.zeros((0, 4), bool)).shape == (0, 4)


def test_a_mask_that_is_not_2_4_is_refused_by_row_and_group() -> None:
    mask = np.zeros((3, 12), np.int8)
    mask[1, 4:7] = 1
    assert sentence(check_mask, mask) == "mask, row 1, group 1: expected at most 2 kept weights, found 3"
    assert sentence(check_mask, mask[None]) == "mask, matrix (0), row 1, group 1: expected at most 2 kept weights, found 3"
    assert sentence(check_mask, mask.T, axis=0) == "mask, row 1, group 1: expected at most 2 kept weights, found 3"
    pairs = np.array([[1, 0, 0, 1, 1, 1, 0, 0]])
    assert sentence(check_mask, pairs, "4:8-pairs") == (
        "mask, row 0, group 0: expected at most 2 pairs with a kept weight, found 3"
    )
    assert sentence(check_mask, mask[:, :10]) == "mask of shape (3, 10): expected dimension 1 to be a multiple of 4, found 10"
    for wrong in (mask * 2, mask.astype(float)):
        assert sentence(check_mask, wrong).startswith("mask: expected booleans, or integers 0 and 1, found an array of ")
    assert sentence(check_mask, mask, "2:x").startswith("pruning pattern: expected N:M")
    assert sentence(check_mask, mask, axis=2) == "axis of check_mask: expected a dimension of a mask that has 2, found 2"
