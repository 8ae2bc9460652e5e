"""Do codes lie where a product wants them: patches as ``conv2d`` takes them, in one to three dimensions?"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (pip install stcsim[torch])")

from stcsim.numerics.conv import im2col  # noqa: E402
from stcsim.numerics.torch import layouts  # noqa: E402


@pytest.mark.parametrize(
    ("taps", "stride", "padding", "dilation", "groups"),
    [
        ((1, 1), (1, 1), (0, 0), (1, 1), 1),
        ((3, 3), (1, 1), (1, 1), (1, 1), 1),
        ((3, 2), (2, 1), (0, 2), (1, 3), 2),
        ((7, 7), (2, 2), (3, 3), (1, 1), 6),
    ],
)
def test_patches_are_those_of_conv2d(taps, stride, padding, dilation, groups: int) -> None:
    image = np.random.default_rng(0).integers(0, 1 << 16, (2, 6, 9, 11)).astype(np.uint16)
    edges = [(each, each) for each in padding]
    ours = layouts.patches(image, taps, stride, edges, dilation, groups)
    theirs = im2col(image, taps, stride, padding, dilation, groups)
    assert np.array_equal(ours, theirs.reshape(*theirs.shape[:2], -1))
    assert layouts.out_sizes(image.shape[2:], taps, stride, edges, dilation) == theirs.shape[3:]


def test_a_row_of_patches_is_a_tap_of_a_channel() -> None:
    codes = np.arange(1, 13, dtype=np.uint8).reshape(1, 2, 6)  # two channels of six
    patches = layouts.patches(codes, (3,), (2,), [(1, 0)], (1,), 1)
    # taps in order, the channel fastest; the first pixel lies half in the border
    assert patches.tolist() == [[[0, 2, 4], [0, 8, 10], [1, 3, 5], [7, 9, 11], [2, 4, 6], [8, 10, 12]]]


def test_zeros_lie_between_the_pixels_of_a_transposed_convolution() -> None:
    assert layouts.spread(np.array([[[1, 2, 3]]]), (3,)).tolist() == [[[1, 0, 0, 2, 0, 0, 3]]]
    assert layouts.spread(np.array([[[[1, 2], [3, 4]]]]), (2, 1)).tolist() == [[[[1, 2], [0, 0], [3, 4]]]]


def test_a_batch_becomes_columns() -> None:
    codes = np.arange(12).reshape(2, 2, 3)
    assert layouts.batch_to_columns(codes).tolist() == [[0, 1, 2, 6, 7, 8], [3, 4, 5, 9, 10, 11]]
    assert layouts.rows_to_columns(codes).tolist() == [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    assert layouts.transposed(codes)[1].tolist() == [[6, 9], [7, 10], [8, 11]]
