"""Are the two orders of a filter's reduction told apart?"""

from __future__ import annotations

import numpy as np
import pytest

from stcsim.errors import StcsimError, UnsupportedError
from stcsim.numerics import keep_mask
from stcsim.numerics.sparse.filter_orders import as_matrix, crowded_groups, from_matrix, reduction_order


def filters(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def pruned(w: np.ndarray, order: str) -> np.ndarray:
    return w * from_matrix(keep_mask(as_matrix(w, order)), w.shape, order)


@pytest.mark.parametrize("order", ["rsc", "crs"])
@pytest.mark.parametrize("shape", [(8, 16, 3, 3), (8, 16, 5), (4, 8, 3, 1, 3)])
def test_filters_pruned_in_one_order_are_told_from_the_other(order: str, shape: tuple[int, ...]) -> None:
    w = pruned(filters(*shape), order)
    other = "crs" if order == "rsc" else "rsc"
    assert reduction_order(w) == order
    assert crowded_groups(w, order) == 0
    assert (crowded_groups(w, other) or 0) > 0


def test_filters_of_one_tap_and_matrices_are_the_same_in_both() -> None:
    assert reduction_order(pruned(filters(8, 16, 1, 1), "rsc")) == "both"
    assert reduction_order(pruned(filters(8, 16), "crs")) == "both"


def test_dense_filters_are_in_neither_and_so_are_odd_reductions() -> None:
    assert reduction_order(filters(8, 16, 3, 3)) == "neither"
    assert reduction_order(np.zeros((8, 3, 3, 3))) == "neither"
    assert crowded_groups(np.zeros((8, 3, 3, 3)), "rsc") is None


def test_channels_under_each_tap_are_the_order_of_kernels() -> None:
    """As ASP and ModelOpt cut (K, C, R, S): permuted to (R, S, K, C), groups along C."""
    w = filters(8, 16, 3, 3)
    by_tap = keep_mask(w.transpose(2, 3, 0, 1).reshape(-1, 16)).reshape(3, 3, 8, 16).transpose(2, 3, 0, 1)
    assert np.array_equal(by_tap, from_matrix(keep_mask(as_matrix(w, "rsc")), w.shape, "rsc"))
    assert reduction_order(by_tap) == "rsc"


def test_channels_that_are_no_multiple_of_four_run_on_into_the_next_tap() -> None:
    w = filters(2, 6, 2, 1)
    keep = from_matrix(keep_mask(as_matrix(w, "rsc")), w.shape, "rsc")
    group = np.array([w[0, 4, 0, 0], w[0, 5, 0, 0], w[0, 0, 1, 0], w[0, 1, 1, 0]])
    kept = np.array([keep[0, 4, 0, 0], keep[0, 5, 0, 0], keep[0, 0, 1, 0], keep[0, 1, 1, 0]])
    assert np.array_equal(kept, keep_mask(group))


def test_another_pattern_is_counted_by_its_own_groups() -> None:
    w = filters(4, 8) * keep_mask(filters(4, 8), "1:4")
    assert reduction_order(w, kept=1) == "both"
    assert reduction_order(filters(4, 8), kept=4, group=8) == "neither"


@pytest.mark.parametrize("order", ["rsc", "crs"])
def test_a_matrix_becomes_the_filters_again(order: str) -> None:
    w = filters(4, 6, 3, 2)
    assert np.array_equal(from_matrix(as_matrix(w, order), w.shape, order), w)


def test_an_unknown_order_and_too_few_dimensions_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="conv_order: expected one of rsc, crs, found 'rcs'"):
        as_matrix(filters(4, 4), "rcs")
    with pytest.raises(StcsimError, match="filters: expected at least two dimensions"):
        reduction_order(np.zeros(4))
