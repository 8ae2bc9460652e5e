"""The kernels that a library is known to have for a GPU and a type, as a search would see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stcsim.arch import Arch, ArchOrName, load_arch
from stcsim.errors import UnsupportedError
from stcsim.isa import DType
from stcsim.replay import modes_of, sparsity_of
from stcsim.replay.door import element_of, library_for
from stcsim.study.explain import gemm_problem
from stcsim.timing.catalogue.families import sources
from stcsim.timing.catalogue.kernel import Kernel
from stcsim.timing.catalogue.libraries import sources as library_sources
from stcsim.timing.catalogue.menu import menu
from stcsim.timing.lowering.tiling import tile_up
from stcsim.trace import Conv2d
from stcsim.version import __version__
from stcsim.words import Library, Sparsity, flag

_LARGE = 8192  # of a GEMM that fills any tile
_FILTERS = Conv2d(name="3x3", batch=32, c=256, h=56, w=56, k=256, r=3, s=3, padding=(1, 1))
"""A convolution that every kernel for convolutions can run."""


@dataclass(frozen=True, slots=True)
class CatalogueRow:
    """One kernel.

    Attributes:
        name: what ``kernel`` takes (``--kernel``); with ``_k4`` at its end four k-slices are cut.
        side: ``"dense"`` or ``"2:4"``.
        tile_m: rows of D that a CTA computes.
        tile_n: columns of D that a CTA computes.
        tile_k: elements of the reduction in one iteration of the main loop.
        k_bytes: the same in bytes of a dense row.
        stages: buffers in shared memory, as many as this GPU holds where the kernel takes all that fit.
        warps: how warps (``wgmma``: consumer warpgroups) tile D, ``"4x2"``.
        cluster: CTAs of a cluster along m and n, ``"2x1"``; they share operands by multicast.
        ctas_per_sm: CTAs that one SM holds; ``None`` where it cannot hold one.
        max_splits: most k-slices that the library offers.
        swizzle: n-tiles in a raster group.
        notes: what is special about it.
        source: where the row comes from, empty where its file says so for all.
    """

    name: str
    side: str
    tile_m: int
    tile_n: int
    tile_k: int
    k_bytes: int
    stages: int | None
    warps: str
    cluster: str
    ctas_per_sm: int | None
    max_splits: int
    swizzle: int
    notes: str
    source: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All kernels for one GPU and type; ``inputs`` are the arguments, the GPU with every leaf."""

    arch: str
    dtype: str
    conv: bool
    rows: tuple[CatalogueRow, ...]
    inputs: dict[str, Any]


def kernels_of(
    arch: ArchOrName,
    dtype: str = "fp16",
    *,
    sparsity: str | None = None,
    conv: bool = False,
    library: str = "cusparselt",
) -> Catalogue:
    """Return the kernels that are offered for GEMMs, or with ``conv`` for convolutions.

    Args:
        arch: the GPU, or its name or file.
        dtype: input element type.
        sparsity: ``"dense"``, ``"2:4"`` or ``"both"``; ``None`` is both where the GPU has Sparse Tensor Cores.
        conv: those for convolutions (of 3 x 3 filters and stride 1, which every one of them can run).
        library: whose 2:4 kernels; ``"none"`` has none.

    Raises:
        UnsupportedError: when the GPU lacks the type or the sparsity, the library has no 2:4 kernels for them, or a word is
            unknown.
        ArchError: when there is no such GPU.
    """
    gpu, element, filters = load_arch(arch), element_of(dtype), _FILTERS if flag(conv, "conv") else None
    element = gpu.element(element.name)
    modes = modes_of(gpu, element, sparsity)
    library = library_for(gpu, element, modes, library)
    if library == Library.NONE and Sparsity.DENSE not in modes:
        raise UnsupportedError("library", "a library that has 2:4 kernels", f"'{library}'")
    known = library_sources(library, gpu.kernel.family) | sources(gpu.kernel.family)
    rows = [
        _row(gpu, element, kernel, mode, known)
        for mode in modes
        for kernel in menu(gpu.kernel.family, mode != Sparsity.DENSE, element, filters, library=library)
        if kernel.takes(element)
    ]
    inputs = {
        "arch": gpu.to_dict(),
        "dtype": element.name,
        "sparsity": sparsity_of(modes),
        "conv": conv,
        "library": library,
        "version": __version__,
    }
    return Catalogue(gpu.name, element.name, conv, tuple({row.name: row for row in rows}.values()), inputs)


def _row(arch: Arch, element: DType, kernel: Kernel, mode: str, known: Mapping[Kernel, str]) -> CatalogueRow:
    cut = tile_up(arch, gemm_problem(_LARGE, 1 if kernel.gemv else _LARGE, _LARGE, element), kernel, 1)
    notes = [
        *(["matrix times vector only"] if kernel.gemv else []),
        *(["ping-pong"] if kernel.pingpong else []),
        *(["stream-K"] if kernel.stream_k else []),
        *(["rows of the MMA along n"] if kernel.transposed else []),
        *([f"pixels {kernel.patch[0]}x{kernel.patch[1]}, {kernel.taps} taps a load"] if kernel.patch else []),
    ]
    return CatalogueRow(
        name=kernel.name(element),
        side=mode,
        tile_m=kernel.cta_m,
        tile_n=kernel.cta_n,
        tile_k=kernel.cta_k(element),
        k_bytes=kernel.k_bytes,
        stages=kernel.stages or (cut.tiling.stages if cut else None),
        warps=f"{kernel.warps_m}x{kernel.warps_n}",
        cluster=f"{kernel.cluster_m}x{kernel.cluster_n}",
        ctas_per_sm=cut.tiling.ctas_per_sm if cut else None,
        max_splits=kernel.max_splits,
        swizzle=kernel.swizzle,
        notes=", ".join(notes),
        source=known[kernel],
    )
