"""Are groups and magnitudes counted as plain numpy counts them?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stcsim.checkpoint.roles import Along, conv, matrix
from stcsim.checkpoint.stored import of_array
from stcsim.inspection import counting
from stcsim.inspection.counting import count, satisfies
from stcsim.inspection.permuting import kept_permuted
from stcsim.isa import DTYPES
from stcsim.numerics.codes import magnitudes
from tests.unit.checkpoints import drawn, pruned

Array = np.ndarray[Any, Any]

pytestmark = pytest.mark.small

TYPES = ("fp16", "fp32", "fp64", "bf16", "e4m3", "e5m2", "int8", "int4", "e2m1")


def numbers(dtype: str, shape: tuple[int, ...], zeros: float, seed: int) -> Array:
    """Return random codes of a type, every finite one, a share of them zero and some of these -0."""
    row = DTYPES[dtype]
    random = np.random.default_rng(seed)
    if not row.is_float:
        half = 1 << (row.bits - 1)
        codes = random.integers(-half, half, shape).astype(np.int8)
        return np.where(random.random(shape) < zeros, 0, codes).astype(np.int8)
    top = (row.largest_code if not row.has_inf else row.largest_code - 1) if row.bits <= 16 else row.largest_code // 2
    codes = random.integers(1, top, shape, dtype=np.int64).astype(f"u{row.code_bits // 8}")
    codes = np.where(random.random(shape) < zeros, 0, codes)
    signs = random.integers(0, 2, shape).astype(codes.dtype) << np.array(row.bits - 1, codes.dtype)
    codes = (codes | signs).astype(f"u{row.code_bits // 8}")
    return codes.view(row.numpy) if dtype in ("fp16", "fp32", "fp64") else codes


def groups_of(weights: Array, along: Along) -> Array:
    """Return (groups, 4) of magnitudes in a direction, by moving axes about: slow and plain."""
    if along.channels_last:
        return np.moveaxis(weights, 1, -1).reshape(-1, 4)
    before, after = weights.shape[: along.first], weights.shape[along.last :]
    flat = weights.reshape(*before, -1, *after)
    return np.moveaxis(flat, along.first, -1).reshape(-1, 4)


def expected(weights: Array, along: Along) -> tuple[int, int, int]:
    filled = np.count_nonzero(groups_of(weights, along), axis=1)
    return len(filled), int((filled > 2).sum()), int((filled > 1).sum())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("zeros", [0.1, 0.5, 0.8])
def test_counts_are_those_of_numpy(dtype: str, zeros: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "SLAB_BYTES", 2000)  # several pieces, the last of them short
    for seed, (shape, role) in enumerate(
        [
            ((37, 24), matrix((37, 24))),
            ((100, 20), matrix((100, 20), turned=True)),
            ((3, 36, 8), matrix((3, 36, 8))),
            ((3, 36, 8), matrix((3, 36, 8), turned=True)),
            ((12, 8, 3, 2), conv((12, 8, 3, 2))),
            ((12, 6, 2, 2), conv((12, 6, 2, 2))),
            ((16, 12, 1, 1), conv((16, 12, 1, 1))),
            ((16, 12, 5), conv((16, 12, 5), transposed=True)),
        ]
    ):
        codes = numbers(dtype, shape, zeros, seed)
        weights = magnitudes(codes, dtype if DTYPES[dtype].is_float else "int8")
        found = count(of_array("w", codes, dtype), role.along)
        assert found.zeros == int((weights == 0).sum()) and (found.nan, found.nan_at) == (0, ())
        whole = [along for along in role.along if np.prod(shape[along.first : along.last]) % 4 == 0]
        assert [each.along for each in found.filled] == [along.name for along in whole]
        for each, along in zip(found.filled, whole, strict=True):
            assert (each.groups, each.over, each.over_one) == expected(weights, along)
            assert bool(each.first_over) == bool(each.over)
        if whole[:1] == [role.along[0]]:
            largest = np.sort(groups_of(weights, role.along[0]), axis=1)[:, 2:]
            assert found.kept == pytest.approx(largest.sum() / weights.sum(), rel=1e-6)
            assert found.kept_squares == pytest.approx((largest**2).sum() / (weights**2).sum(), rel=1e-6)


@pytest.mark.parametrize(
    ("weights", "along", "at"),
    [
        (pruned(64, 32), matrix((64, 32)).along[0], (41, 8)),
        (pruned(64, 32, axis=0), matrix((64, 32), turned=True).along[0], (36, 5)),
        (pruned(8, 16, 3, 3, axis=1), conv((8, 16, 3, 3)).along[0], (5, 12, 2, 1)),
    ],
)
def test_the_first_group_that_is_too_full_is_named(
    weights: Array, along: Along, at: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "SLAB_BYTES", 512)
    weights = weights.copy()
    places = [list(at) for _ in range(4)]
    for step, place in enumerate(places):
        place[along.first] += step
        weights[tuple(place)] = 1
    filled = count(of_array("w", weights, "fp16"), (along,)).filled[0]
    assert (filled.over, filled.first_over) == (1, at)


def test_filters_whose_channels_are_no_groups_of_four_are_read_across_taps() -> None:
    weights = np.zeros((2, 6, 2, 1), np.float16)
    weights[1, 4:, 0] = weights[1, :2, 1] = 1  # r,s,c: channels 4 and 5 of the first tap, 0 and 1 of the second, are one group
    filled = {each.along: each for each in count(of_array("w", weights, "fp16"), conv(weights.shape).along).filled}
    assert (filled["r,s,c"].over, filled["r,s,c"].first_over) == (1, (1, 4, 0, 0)) and filled["c,r,s"].over == 0


@pytest.mark.parametrize(
    ("dtype", "nan"), [("fp16", 0x7E00), ("bf16", 0xFFC0), ("e4m3", 0x7F), ("e5m2", 0x7D), ("fp32", 0x7FC00000)]
)
def test_nan_are_counted_and_the_first_is_named(dtype: str, nan: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "SLAB_BYTES", 100)
    codes = numbers(dtype, (16, 12), 0.5, 1)
    bits = codes.view(f"u{codes.itemsize}")
    bits[9, 3] = bits[14, 0] = nan
    found = count(of_array("w", codes, dtype), matrix((16, 12)).along)
    assert (found.nan, found.nan_at) == (2, (9, 3))


def test_an_infinity_is_no_nan_but_has_no_share() -> None:
    weights = drawn(8, 8, dtype="float32")
    weights[1, 1] = np.inf
    found = count(of_array("w", weights, "fp32"), matrix((8, 8)).along)
    assert (found.nan, found.kept, found.kept_squares) == (0, None, None)
    assert kept_permuted(of_array("w", weights, "fp32"), matrix((8, 8)).along[0]) is None


def test_zeros_of_a_weight_without_whole_groups_are_counted() -> None:
    weights = np.array([[0, 1, 2], [0, 0, 3], [1, 1, 1]], np.float16)
    assert count(of_array("w", weights, "fp16"), matrix((3, 3)).along) == counting.Counts((), 3, 0, (), None, None)


@pytest.mark.parametrize(
    ("row", "holds"),
    [
        ([1, 0, 0, 0, 0, 2, 0, 0], "1:2 1:4 2:4 2:8 4:8 pairs"),
        ([1, 2, 3, 4, 0, 0, 0, 0], "4:8 pairs"),
        ([1, 0, 2, 0, 0, 3, 4, 0], "1:2 2:4 4:8"),
        ([1, 2, 3, 0, 0, 0, 0, 4], "4:8"),
        ([0, 0, 0, 5, 0, 0, 0, 0], "1:2 1:4 1:8 2:4 2:8 4:8 pairs"),
    ],
)
def test_other_patterns_are_told_apart(row: list[int], holds: str) -> None:
    patterns = {"1:2": (1, 2, 1), "1:4": (1, 4, 1), "1:8": (1, 8, 1), "2:4": (2, 4, 1), "2:8": (2, 8, 1), "4:8": (4, 8, 1),
                "pairs": (2, 8, 2)}  # fmt: skip
    weights = np.array([row] * 3, np.float16)
    for codes, along in ((weights, matrix((3, 8)).along[0]), (weights.T, matrix((8, 3), turned=True).along[0])):
        found = satisfies(of_array("w", np.ascontiguousarray(codes), "fp16"), along, list(patterns.values()))
        assert " ".join(name for name, held in zip(patterns, found, strict=True) if held) == holds


@pytest.mark.parametrize("turned", [False, True])
def test_an_order_of_channels_keeps_more(turned: bool) -> None:
    weights = np.where(np.arange(16) < 8, 1.0, 0.01) * np.abs(drawn(64, 16, dtype="float32"))  # all large channels side by side
    weights = weights.astype(np.float32)
    stored = np.ascontiguousarray(weights.T) if turned else weights
    role = matrix(stored.shape, turned)
    before = count(of_array("w", stored, "fp32"), role.along).kept
    after = kept_permuted(of_array("w", stored, "fp32"), role.along[0])
    assert before is not None and after is not None and before < 0.9 and after > 0.98


def test_an_order_of_filters_channels_is_searched_with_every_tap_a_row() -> None:
    weights = (np.where(np.arange(8) < 4, 1.0, 0.01)[:, None, None] * np.abs(drawn(16, 8, 3, 3, dtype="float64"))).astype(
        np.float32
    )
    after = kept_permuted(of_array("w", weights, "fp32"), conv(weights.shape).along[0])
    assert after is not None and after > 0.98
    assert kept_permuted(of_array("w", weights[:, :6], "fp32"), conv((16, 6, 3, 3)).along[0]) is None
