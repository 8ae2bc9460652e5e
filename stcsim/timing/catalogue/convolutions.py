"""Kernels that only 8-bit convolutions have, in data: TensorRT's for Ampere and Ada."""

from __future__ import annotations

from dataclasses import dataclass, replace

from stcsim.timing.catalogue import ampere
from stcsim.timing.catalogue.row import Menu, Row
from stcsim.trace import Conv2d

_CHANNEL_BYTES = 64  # of one tap in one iteration
_TAPS = 3

IMPLICIT_GEMM = Menu(
    source="Nine tiles in the tactic names of public build logs and of the TensorRT developer guide"
    " (sm80_xmma_fprop_implicit_gemm_interleaved_i8i8_..._tilesize96x32x64_stage4_warpsize2x1x1_g1_tensor16x8x32;"
    " pixels stand first, assumed), all with 64 channels of K; and those that 8-bit GEMM kernels of the same library"
    " have in public profiles (sm89_xmma_gemm_e4m3..._tilesize64x128x64_stage4_...; with three stages, as the logged"
    " tiles of that size have, they are assumed). No name has split-K.",
    family="sm80",
    max_splits=1,
    rows=(
        Row(cta_m=32, cta_n=32, k_bytes=_CHANNEL_BYTES, stages=6, warps_m=1, warps_n=2),
        Row(cta_m=64, cta_n=32, k_bytes=_CHANNEL_BYTES, stages=6, warps_m=2, warps_n=2),
        Row(cta_m=32, cta_n=64, k_bytes=_CHANNEL_BYTES, stages=6, warps_m=1, warps_n=2),
        Row(cta_m=64, cta_n=64, k_bytes=_CHANNEL_BYTES, stages=6, warps_m=2, warps_n=2),
        Row(cta_m=32, cta_n=96, k_bytes=_CHANNEL_BYTES, stages=4, warps_m=1, warps_n=2),
        Row(cta_m=96, cta_n=64, k_bytes=_CHANNEL_BYTES, stages=3, warps_m=2, warps_n=2),
        Row(cta_m=96, cta_n=256, k_bytes=_CHANNEL_BYTES, stages=3, warps_m=1, warps_n=4),
        Row(cta_m=192, cta_n=128, k_bytes=_CHANNEL_BYTES, stages=3, warps_m=2, warps_n=4),
        Row(cta_m=128, cta_n=256, k_bytes=_CHANNEL_BYTES, stages=4, warps_m=2, warps_n=4),
        Row(cta_m=64, cta_n=64, k_bytes=_CHANNEL_BYTES, stages=4, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=128, k_bytes=_CHANNEL_BYTES, stages=4, warps_m=2, warps_n=2),
        Row(cta_m=128, cta_n=64, k_bytes=_CHANNEL_BYTES, stages=4, warps_m=2, warps_n=2),
        Row(cta_m=64, cta_n=128, k_bytes=_CHANNEL_BYTES, stages=3, warps_m=2, warps_n=2),
        Row(cta_m=128, cta_n=64, k_bytes=_CHANNEL_BYTES, stages=3, warps_m=2, warps_n=2),
    ),
)
_LOGGED = {(row.cta_m, row.cta_n, row.stages) for row in IMPLICIT_GEMM.rows}
SAME_CHANNELS = replace(
    ampere.CUTLASS,
    source="The logs that IMPLICIT_GEMM is from are cut short, so CUTLASS's tiles with 64 bytes of K are here too.",
    max_splits=1,
    rows=tuple(
        row for row in ampere.CUTLASS.rows if row.k_bytes == _CHANNEL_BYTES and (row.cta_m, row.cta_n, row.stages) not in _LOGGED
    ),
)
SPARSE_GEMM = replace(
    ampere.CUSPARSELT,
    source="For 2:4 the plain tiles of CUTLASS's list remain beside the patches (..._sparse_conv_... names without tiles"
    " are public). No name has split-K.",
    max_splits=1,
)


def _patch(cta_m: int, patch: tuple[int, int], stages: int) -> Row:
    k_bytes = _TAPS * _CHANNEL_BYTES
    return Row(cta_m=cta_m, cta_n=patch[0] * patch[1], k_bytes=k_bytes, stages=stages, warps_m=2, warps_n=2, patch=patch)


PATCHES = Menu(
    source="sm80_xmma_fprop_avdt_sparse_int8int8_tilesize64x64x64_tapsperload3_threadspercta128_r3s3_u1v1 (a public engine"
    " of ResNet-18, NVIDIA/TensorRT issue 4020). The name says: 3 x 3 filters, stride 1, and one load of pixels"
    " serves the three taps of a filter row. That the pixels of a tile form a rectangle of one image is assumed"
    " (such a load needs it), and so are the tiles other than 64 x 64. No name has split-K.",
    family="sm80",
    max_splits=1,
    taps=_TAPS,
    rows=(
        _patch(cta_m=64, patch=(8, 8), stages=4),
        _patch(cta_m=64, patch=(8, 16), stages=3),
        _patch(cta_m=128, patch=(8, 8), stages=3),
        _patch(cta_m=128, patch=(8, 16), stages=2),
    ),
)
SPARSE_PATCHES = replace(PATCHES, sparse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolutions:
    """The menus of implicit GEMMs where they are not those of other GEMMs.

    Attributes:
        bits: of the elements whose convolutions have them.
        dense: of any convolution.
        sparse: of any convolution, 2:4.
        dense_patches: besides, of convolutions that patches fit.
        sparse_patches: the same, 2:4.
    """

    bits: int
    dense: tuple[Menu, ...]
    sparse: tuple[Menu, ...]
    dense_patches: tuple[Menu, ...]
    sparse_patches: tuple[Menu, ...]

    def menus(self, sparse: bool, patches: bool) -> tuple[Menu, ...]:
        """Return the menus of a convolution, in order."""
        general, special = (self.sparse, self.sparse_patches) if sparse else (self.dense, self.dense_patches)
        return general + (special if patches else ())


TENSORRT = Convolutions(
    bits=8,
    dense=(IMPLICIT_GEMM, SAME_CHANNELS),
    sparse=(SPARSE_GEMM,),
    dense_patches=(PATCHES,),
    sparse_patches=(SPARSE_PATCHES,),
)


def fits_patches(conv: Conv2d) -> bool:
    """Whether a kernel that is made for 3 x 3 filters and stride 1 can run ``conv``."""
    return conv.r == conv.s == _TAPS and conv.stride == (1, 1) and conv.dilation == (1, 1) and not conv.transposed
