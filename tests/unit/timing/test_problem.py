"""A problem is checked once, wherever it comes from."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from stcsim.errors import UnsupportedError
from stcsim.timing.problem import Problem, gemm_problem


@pytest.mark.parametrize("name", ["m", "n", "k", "batch"])
@pytest.mark.parametrize("size", [0, -4, 2.0, "8", None])
def test_a_size_is_a_whole_number_above_0(name: str, size: object) -> None:
    sizes: dict[str, object] = {"m": 64, "n": 64, "k": 64, "batch": 1} | {name: size}
    with pytest.raises(UnsupportedError) as refused:
        gemm_problem(**sizes)  # type: ignore[arg-type]
    assert str(refused.value) == f"{name}: expected a whole number above 0, found {size!r}"
    good = gemm_problem(64, 64, 64)
    with pytest.raises(UnsupportedError):
        dataclasses.replace(good, **{name: size})


def test_sizes_of_numpy_are_sizes() -> None:
    assert gemm_problem(np.int64(64), np.int32(8), 16) == gemm_problem(64, 8, 16)  # type: ignore[arg-type]


def test_types_are_known_by_name() -> None:
    assert gemm_problem(8, 8, 32, "int8").out_bytes == 1 and gemm_problem(8, 8, 32, "int8", out_dtype="int32").out_bytes == 4
    assert gemm_problem(8, 8, 32, "e4m3") == gemm_problem(8, 8, 32, "fp8")
    with pytest.raises(UnsupportedError, match="'fp17'"):
        gemm_problem(8, 8, 32, "fp17")
    with pytest.raises(UnsupportedError, match="out_dtype: .*'fp17'"):
        gemm_problem(8, 8, 32, out_dtype="fp17")


def test_a_swap_cannot_be_silent() -> None:
    element = gemm_problem(8, 8, 8).dtype
    with pytest.raises(TypeError):
        Problem(8, 8, 8, 1, element, 2)  # type: ignore[misc]
