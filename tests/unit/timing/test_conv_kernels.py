"""What convolutions have of their own: which bytes of the input move how often, patches of pixels, and a menu of kernels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stcsim.arch import Arch, load_arch
from stcsim.errors import UnsupportedError
from stcsim.isa import dtype
from stcsim.timing.catalogue.families import kernels
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.catalogue.menu import find, menu
from stcsim.timing.engine.fast import simulate
from stcsim.timing.lowering.conv_traffic import Reuse, conv_reuse
from stcsim.timing.lowering.cut import Cut
from stcsim.timing.lowering.lower import lower
from stcsim.timing.lowering.tiling import load_share, stage_bytes
from stcsim.timing.problem import Problem
from stcsim.trace import Conv2d
from tests.shapes import cut_of

A100, A40 = load_arch("a100"), load_arch("a40")
TILE = Kernel("sm80", False, 128, 128, 64, 5, 2, 2)
PATCH = Kernel("sm80", True, 64, 64, 192, 4, 2, 2, max_splits=1, patch=(8, 8), taps=3)
INT8 = dtype("int8")


def conv(**sizes: object) -> Conv2d:
    fields = {"name": "c", "batch": 1, "c": 64, "h": 56, "w": 56, "k": 64, "r": 3, "s": 3, "stride": (1, 1), "padding": (1, 1),
              "dilation": (1, 1), "groups": 1, "origin": "test"}  # fmt: skip
    return Conv2d(**(fields | sizes))  # type: ignore[arg-type]


def conv_problem(op: Conv2d, element: str = "fp16") -> Problem:
    g, kind = op.gemm(), dtype(element)
    return Problem(m=g.m, n=g.n, k=g.k, batch=g.batch, dtype=kind, out_bytes=kind.bits // 8, conv=op)


def crowded(arch: Arch, each: Problem, kernel: Kernel, stages: int, **tiling: int) -> Cut:
    """Return ``each`` cut by a kernel whose stages fill the shared memory with one CTA on an SM, though they would not fit."""
    cut = cut_of(arch, each, kernel)
    return cut._replace(tiling=replace(cut.tiling, stages=stages, ctas_per_sm=1, **tiling))


def test_convolution_fetches_a_pixel_once_where_l1_holds_its_tile() -> None:
    # 128 output pixels of 56 columns: 3 rows of output, (2 + 3) x (55 + 3) = 290 input pixels for 128 x 9 reads
    small = Kernel("sm80", False, 64, 128, 64, 3, 2, 2)
    each = conv_problem(conv())
    # from L2 with the halo; from DRAM without it, a ninth of the reads; every load is of other bytes
    assert conv_reuse(cut_of(A100, each, small)) == Reuse(290 / (128 * 9), 1 / 9, 18)


def test_convolution_reads_every_tap_from_l2_where_l1_is_too_small() -> None:
    small = Kernel("sm80", False, 64, 128, 64, 3, 2, 2)
    assert conv_reuse(crowded(A100, conv_problem(conv()), small, stages=16)) == Reuse(1.0, 1.0, 2)
    # 7 x 7 taps, stride 2, two iterations: 4/49 of the reads are distinct, less than one load; the one chunk is 8/49 of a tile
    stem = conv_problem(conv(c=3, r=7, s=7, stride=(2, 2), padding=(3, 3), h=224, w=224))
    assert conv_reuse(crowded(A100, stem, small, stages=16, k_iters=2)) == Reuse(1.0, pytest.approx(8 / 49), 1)


def test_bytes_of_a_miss_are_those_of_the_input() -> None:
    # 12,544 pixels of 64 channels in fp16: what comes from DRAM is the input once, and the filters; taps come from L2
    each = conv_problem(conv(batch=4, h=224, w=224))
    kernel = Kernel("sm80", False, 64, 128, 64, 3, 2, 2)
    timing = simulate(lower(cut_of(A100, each, kernel)))
    assert timing.dram_read_bytes - each.a_bytes(False) == pytest.approx(each.b_bytes, rel=0.01)


def test_pointwise_convolution_is_a_plain_gemm() -> None:
    each = conv_problem(conv(r=1, s=1, padding=(0, 0)))
    cut = cut_of(A100, each, TILE)
    assert conv_reuse(cut) == Reuse(1.0, 1.0, cut.tiling.k_iters)


def test_menu_of_8_bit_convolutions() -> None:
    # 3 x 3 with stride 1 has patches; other filters have not; 16 bits, plain GEMMs, Hopper and Turing have the common menu
    stride_2, pointwise = conv(stride=(2, 2)), conv(r=1, s=1, padding=(0, 0))
    assert any(kernel.patch for kernel in menu("sm86", True, INT8, conv()))
    for other in (stride_2, pointwise, conv(dilation=(2, 2), padding=(2, 2))):
        assert not any(kernel.patch for kernel in menu("sm86", True, INT8, other))
    assert all(kernel.k_bytes == 64 or kernel.patch for kernel in menu("sm80", False, INT8, conv()))
    assert menu("sm80", True, dtype("fp16"), conv()) == kernels("sm80", True) == menu("sm80", True, INT8, None)
    assert menu("sm90", True, INT8, conv()) == kernels("sm90", True) and menu("sm75", False, INT8, conv()) == kernels(
        "sm75", False
    )


def test_names_of_the_menu_are_unique_and_found() -> None:
    for sparse in (False, True):
        listed = menu("sm86", sparse, INT8, conv())
        assert len({kernel.name(INT8) for kernel in listed}) == len(listed)
        assert [find("sm86", sparse, INT8, conv(), kernel.name(INT8))[0] for kernel in listed] == list(listed)
    with pytest.raises(UnsupportedError):  # a plain GEMM has no pixels to form a patch
        find("sm86", True, INT8, None, PATCH.name(INT8))


@pytest.mark.parametrize(("side", "tiles", "filled"), [(56, 49, 1.0), (28, 16, 784 / 1024), (7, 1, 49 / 64)])
def test_patches_hang_over_the_edges_of_an_image(side: int, tiles: int, filled: float) -> None:
    each = conv_problem(conv(batch=3, h=side, w=side), "int8")
    cut = cut_of(A40, each, PATCH)
    assert (cut.tiling.n_tiles, cut.tiling.filled) == (3 * tiles, pytest.approx(filled))
    assert simulate(lower(cut)).write_bytes == pytest.approx(each.d_bytes, rel=1e-3)


def test_traffic_of_a_patch() -> None:
    # 8 x 8 pixels and three taps of 64 channels: a load brings 8 rows of 10 pixels, its MMAs read 8 x 8 x 3
    each = conv_problem(conv(batch=64), "int8")
    assert load_share(PATCH) == pytest.approx(80 / 192)
    assert stage_bytes(PATCH, each) == 64 * (192 // 2 + 192 // 8) + 80 * 64
    cut = cut_of(A40, each, PATCH)
    plan = lower(cut)
    # 10 x 10 input pixels for 64 x 9 reads where L1 holds them, and three loads (filter rows) of one slice of channels
    assert conv_reuse(cut) == Reuse(pytest.approx(100 / 576), pytest.approx(1 / 9), 3)
    assert np.all(plan.b_l2_bytes == np.ceil(64 * 192 * 100 / 576))
    assert simulate(plan).dram_read_bytes - each.a_bytes(True) == pytest.approx(each.b_bytes, rel=0.01)


def test_a_patch_without_l1_loads_each_filter_row_again() -> None:
    share, full = 80 / 192, crowded(A40, conv_problem(conv(), "int8"), PATCH, stages=10)
    assert conv_reuse(full) == Reuse(pytest.approx(share), pytest.approx(1 / 3), 1)
