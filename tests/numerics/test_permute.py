"""Does the channel search keep more, honestly counted, and the same each time?"""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest

from stcsim.errors import StcsimError
from stcsim.numerics.sparse.permute import permute_channels
from stcsim.numerics.sparse.pruning import prune

pytestmark = pytest.mark.small

WORKED = np.array(
    [
        [1.3, 1.9, 0.2, 1.2, 4.2, 3.5, 7.2, 0.6],
        [0.4, 1.1, 1.5, 6.9, 0.8, 6.7, 5.4, 8.8],
        [0.2, 1.3, 8.0, 0.8, 4.2, 1.3, 5.6, 9.7],
        [1.5, 0.6, 1.3, 0.5, 8.8, 4.2, 8.9, 8.9],
    ]
)


def kept(w: np.ndarray) -> float:
    return float(np.abs(prune(w)).sum())


def test_the_worked_example() -> None:
    found = permute_channels(WORKED)
    assert round(found.kept_before, 6) == 83.7
    assert round(found.kept_after, 6) == 102.9  # the best there is: test below
    assert kept(WORKED[:, found.order]) == pytest.approx(102.9)
    assert found.total == pytest.approx(WORKED.sum())


def test_eight_channels_are_searched_exhaustively() -> None:
    for seed in range(5):
        w = np.random.default_rng(seed).standard_normal((6, 8))
        best = max(kept(w[:, [*first, *(each for each in range(8) if each not in first)]]) for first in combinations(range(8), 4))
        assert permute_channels(w).kept_after == pytest.approx(best)
    best = max(kept(WORKED[:, list(order)]) for order in list(permutations(range(8)))[::97])
    assert best <= permute_channels(WORKED).kept_after + 1e-9


def test_more_channels_keep_more() -> None:
    w = np.random.default_rng(7).standard_normal((24, 32)) * np.random.default_rng(8).random(32) ** 2
    plain, escaped = permute_channels(w, escapes=0), permute_channels(w, escapes=20)
    assert plain.kept_before < plain.kept_after <= escaped.kept_after <= escaped.total
    for found in (plain, escaped):
        assert sorted(found.order) == list(range(32))
        assert (np.diff(found.order.reshape(-1, 4)) > 0).all()
        assert found.kept_after == pytest.approx(kept(w[:, found.order]))
        assert found.kept_before == pytest.approx(kept(w))


def test_the_same_seed_gives_the_same_order() -> None:
    w = np.random.default_rng(9).standard_normal((16, 24)).astype(np.float16)
    first, again = (permute_channels(w, escapes=10, seed=3) for _ in range(2))
    assert (first.order == again.order).all()
    np.testing.assert_array_equal(permute_channels(w.view(np.uint16), escapes=10, seed=3, dtype="fp16").order, first.order)


def test_rows_are_every_other_dimension() -> None:
    w = np.random.default_rng(10).standard_normal((6, 16, 3, 3))  # (K, C, R, S)
    found = permute_channels(w, axis=1, escapes=5)
    rows = np.moveaxis(w, 1, -1).reshape(-1, 16)
    assert found.kept_after == pytest.approx(kept(rows[:, found.order]))
    assert found.kept_after == pytest.approx(float(np.abs(prune(w.take(found.order, axis=1), axis=1)).sum()))


@pytest.mark.parametrize("w", [np.zeros((4, 16)), np.ones((4, 16)), np.ones((0, 8)), np.ones((4, 0)), np.ones((2, 4))])
def test_where_nothing_can_be_gained_channels_stay(w: np.ndarray) -> None:
    found = permute_channels(w, escapes=2)
    assert found.order.tolist() == list(range(w.shape[1]))
    assert found.kept_after == found.kept_before == kept(w)


def test_what_cannot_be_permuted_is_refused() -> None:
    def sentence(w: np.ndarray, axis: int = -1) -> str:
        with pytest.raises(StcsimError) as error:
            permute_channels(w, axis)
        return str(error.value)

    w = np.ones((4, 8))
    assert sentence(w[:, :6]) == "weights of shape (4, 6): expected channels to be a multiple of 4, found 6"
    assert sentence(w, 2) == "axis of permute_channels: expected a dimension of weights that have 2, found 2"
    assert (
        sentence(np.where(np.eye(4, 8) > 0, np.inf, w))
        == "weights of permute_channels: expected finite numbers, found an infinity"
    )
    assert sentence(np.where(np.arange(8) == 6, np.nan, w)) == "weight at row 0, column 6: expected a number, found NaN"
