"""2:4 kernels of CUTLASS as its profiler and its unit tests instantiate them, in data; which one is fastest a sweep finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from stcsim.timing.catalogue import ampere
from stcsim.timing.catalogue.row import Menu, Row
from stcsim.timing.catalogue.rules import hopper_row

_UNIVERSAL = (
    "GemmSparseUniversal of CUTLASS 3.5.1, the menus of its unit tests (NVIDIA/cutlass @7107b05,"
    " test/unit/gemm/device/gemm_*_sparse_sm80.cu); serial and parallel split-K"
)


def _as_dense(menu: Menu, source: str) -> Menu:
    """Return a menu of cuSPARSELt's walked and cut as dense kernels are."""
    return replace(menu, source=source, swizzle=ampere.CUTLASS.swizzle, max_splits=ampere.CUTLASS.max_splits)


GENERATOR = _as_dense(
    ampere.CUSPARSELT,
    "The sparse tile list of CUTLASS 2.x's generator (NVIDIA/cutlass @7107b05), from which cuSPARSELt's is taken too;"
    " here with swizzle and with split-K as for dense kernels (assumed).",
)
TWO_STAGES = _as_dense(
    ampere.CUSPARSELT_TWO_STAGES,
    "Where an SM has 100 KB of shared memory (8.6, 8.9), the largest 2:4 tiles with two stages: those that run in a"
    " public int8 benchmark of CUTLASS 4.3.5 on an RTX 4090.",
)


def _tile(m: int, n: int, k_bytes: int, stages: int, warps_m: int, warps_n: int) -> Row:
    return Row(cta_m=m, cta_n=n, k_bytes=k_bytes, stages=stages, warps_m=warps_m, warps_n=warps_n)


_BOTH = (
    _tile(128, 128, 128, 4, 2, 2),
    _tile(256, 64, 128, 4, 4, 1),
    _tile(128, 64, 128, 6, 2, 2),
    _tile(64, 64, 128, 10, 2, 2),
    _tile(256, 32, 128, 6, 4, 1),
    _tile(128, 32, 128, 6, 4, 1),
    _tile(256, 16, 128, 6, 4, 1),
    _tile(128, 16, 128, 6, 4, 1),
    _tile(64, 64, 256, 6, 2, 2),
    _tile(32, 128, 256, 3, 1, 4),
    _tile(128, 16, 256, 6, 4, 1),
)
UNIVERSAL_16_BITS = Menu(
    source=f"{_UNIVERSAL}; those of f16, which tf32 is taken to share in bytes.",
    family="sm80",
    sparse=True,
    rows=tuple(replace(row, narrowest_bits=16) for row in (*_BOTH, _tile(128, 32, 256, 6, 4, 1))),
)
UNIVERSAL_8_BITS = Menu(
    source=f"{_UNIVERSAL}; those of s8, which s4 shares in bytes.",
    family="sm80",
    sparse=True,
    rows=tuple(
        replace(row, widest_bits=8)
        for row in (
            *_BOTH,
            _tile(32, 128, 128, 6, 1, 4),
            _tile(32, 256, 128, 4, 1, 4),
            _tile(128, 32, 256, 3, 4, 1),
            _tile(16, 128, 256, 4, 1, 4),
        )
    ),
)
ADA_FP8 = Menu(
    source="The one fp8 tile of CUTLASS's unit tests for 8.9 (NVIDIA/cutlass @7107b05); its stages are assumed.",
    family="sm80",
    sparse=True,
    only="fp8",
    rows=(_tile(128, 128, 128, 3, 2, 2),),
)

_PROFILER = (
    "The profiler's default list for 9.0, as CUTLASS's own sm90_utils enumerates it (NVIDIA/cutlass @7107b05, CUDA 12.8):"
    " clusters of 2x1 and 1x2, 128 bytes of k, as many stages as fit. Left out are tiles whose sums exceed the"
    " registers of the warpgroups that compute them (derived: over 192 a thread)"
)
_CLUSTERS = ((2, 1), (1, 2))
_MOST_SUMS = 192 * 128  # of one warpgroup
_K_BYTES = 128


def _hopper(tiles: tuple[tuple[int, int], ...], **bits: int) -> Iterator[Row]:
    for m, n in tiles:
        for schedule in ("ws", "pingpong", "coop"):
            fits = m * n <= _MOST_SUMS * (2 if schedule == "coop" else 1) and (schedule != "coop" or m >= 128)
            for cluster in _CLUSTERS if fits else ():
                yield replace(hopper_row(m, n, _K_BYTES, schedule, cluster), **bits)  # type: ignore[arg-type]


def _stream_k(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(row for row in rows if row.warps_m > 1)


_F16 = tuple(_hopper(((64, 256), (128, 128), (128, 256), (256, 128)), narrowest_bits=16, widest_bits=16))
_TF32 = tuple(_hopper(((64, 128), (64, 256), (128, 128), (128, 256), (256, 128)), narrowest_bits=32))
_8_BITS = tuple(_hopper(((64, 128), (64, 256), (128, 128), (128, 256)), widest_bits=8))
HOPPER = Menu(
    source=f"{_PROFILER}.",
    family="sm90",
    sparse=True,
    wgmma=True,
    max_splits=1,
    rows=(*_F16, *_TF32, *_8_BITS),
)
HOPPER_STREAM_K = Menu(
    source=f"{_PROFILER}; cooperative kernels with the stream-K scheduler.",
    family="sm90",
    sparse=True,
    wgmma=True,
    max_splits=1,
    stream_k=True,
    rows=_stream_k((*_F16, *_TF32, *_8_BITS)),
)
