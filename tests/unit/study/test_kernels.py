"""The catalogue as a GPU sees it: every kernel with where it is known from."""

from __future__ import annotations

import pytest

from stcsim.arch import arch_names
from stcsim.study.kernels import kernels_of
from stcsim.timing.catalogue.families import FAMILIES, kernels, sources


@pytest.mark.parametrize("family", FAMILIES)
def test_every_kernel_has_a_source(family: str) -> None:
    known = sources(family)
    assert all(known[kernel] for sparse in (False, True) for kernel in kernels(family, sparse))


@pytest.mark.parametrize("name", arch_names())
@pytest.mark.parametrize("conv", [False, True])
def test_the_list_of_a_gpu_names_each_kernel_once(name: str, conv: bool) -> None:
    rows = kernels_of(name, "int8", conv=conv).rows
    assert len({row.name for row in rows}) == len(rows) > 0
    assert all(row.source for row in rows)


def test_a_source_is_that_of_the_kernels_library() -> None:
    by_name = {row.name: row.source for row in kernels_of("a100", "fp16").rows}
    assert "CUTLASS 2.x's generator" in by_name["sm80_128x128x32_s3_2x2"]
    assert "cuSPARSELt" in by_name["sm80_sp_128x128x64_s3_2x2"]
