"""What library kernels on an H100 do with their sums before they write them, bit for bit, against ``numerics.Epilogue``.

Inputs are drawn from the shape; hashes of the first 64 x 64 block of D, in fp32, are in ``epilogues.json``.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from stcsim.numerics import Epilogue, encode, gemm, values
from tests.validation.h200.products import encoded, pruned

SHAPES = ((256, 128, 512), (1024, 512, 1024))
RECORD = json.loads((Path(__file__).parent / "epilogues.json").read_text())
ONE, FIRST, SECOND = np.float32(1), np.float32(0.013), np.float32(0.7)  # scales that the runs had


class Inputs(NamedTuple):
    """The first 64 rows and columns of what a run had: weight, tokens (n, k), bias, C, scales of rows and of columns."""

    w: np.ndarray
    x: np.ndarray
    bias: np.ndarray
    c: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


@cache
def inputs(shape: tuple[int, int, int], sparse: bool) -> Inputs:
    m, n, k = shape
    rng = np.random.default_rng([m, n, k, int(sparse), 7])
    w, x = (rng.standard_normal((each, k)).astype(np.float32) for each in (m, n))
    bias, c = rng.standard_normal(m).astype(np.float32) * 8, rng.standard_normal((m, n)).astype(np.float32) * 8
    rows, columns = rng.uniform(0.001, 0.1, m).astype(np.float32), rng.uniform(0.01, 1, n).astype(np.float32)
    w = pruned(w) if sparse else w
    return Inputs(w[:64], x[:64], bias[:64], c[:64, :64], rows[:64], columns[:64])


def run(name: str, epilogue: Epilogue, with_c: bool = False) -> np.ndarray:
    """Return the first block of D of a recorded run, in fp32, or as int32 numbers."""
    m, n, k, sparsity, dtype, kind, out = name.split()
    given = inputs((int(m), int(n), int(k)), sparsity == "2:4")
    a, b = operands(given, dtype)
    options = {"order": "promote=4"} if "slow" in kind else {}
    c = encoded(given.c, out) if with_c else None
    d = gemm(a, b, c, arch="h100", dtype=dtype, sparsity=sparsity, epilogue=epilogue, **options)
    return d if out == "int32" else np.asarray(values(d, out), np.float32)


def operands(given: Inputs, dtype: str) -> tuple[np.ndarray, np.ndarray]:
    if dtype == "int8":
        return tuple(np.clip(each * np.float32(30), -127, 127).astype(np.int8) for each in (given.w, given.x.T))
    return encoded(given.w, dtype), encoded(given.x.T, dtype)


def taken(name: str) -> Epilogue:
    """Return the epilogue that gives the bits of a recorded run."""
    m, n, k, sparsity, dtype, kind, out = name.split()
    given = inputs((int(m), int(n), int(k)), sparsity == "2:4")
    bias = encoded(given.bias, "bf16" if dtype in ("e4m3", "int8") else dtype)
    half, scaled = {"out_dtype": out}, FIRST if dtype in ("e4m3", "int8") else np.float32(0.3)
    kinds = {
        "plain": {},
        "linear-bias": {"bias": bias},
        "bias": {"bias": bias},
        "bias-relu": {"bias": bias, "activation": "relu"},
        "alpha": {"alpha": scaled * np.float32(0.1) if out == "int8" else scaled},
        "alpha-scalar": {"alpha": scaled},
        "alpha-vector": {"row_scale": given.rows * np.float32(0.01)},
        "alpha-bias": {"alpha": scaled, "bias": bias},
        "addmm-alpha-beta": {"alpha": np.float32(0.3), "beta": np.float32(1.7)},
        "scales": {"alpha": FIRST * SECOND},
        "scales-bias": {"alpha": FIRST * SECOND, "bias": bias},
        "rowwise": {"row_scale": given.rows, "column_scale": given.columns},
        "out-e4m3": {},
    }
    return Epilogue(**half, **kinds[kind.removesuffix("-slow").removesuffix("-fast")])


def digest(block: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(block).astype("<f4").tobytes()).hexdigest()


EXACT = [name for name in RECORD if not name.split()[5].startswith(("addmm-c", "bias-gelu"))]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_epilogue_gives_the_bits_of_the_kernel(shape: tuple[int, int, int]) -> None:
    names = [name for name in EXACT if name.startswith(" ".join(str(each) for each in shape))]
    assert len(names) > 40
    for name in names:
        found = run(name, taken(name), with_c="addmm" in name)
        assert digest(found) == RECORD[name], name


def test_a_sum_that_is_rounded_before_its_bias_has_other_bits() -> None:
    name = "256 128 512 dense fp16 linear-bias fp16"
    given = inputs(SHAPES[0], False)
    twice = run(name, Epilogue(out_dtype="fp16")) + np.asarray(encoded(given.bias, "fp16"), np.float32)[:, None]
    assert digest(values(encode(twice, "fp16"), "fp16")) != RECORD[name]


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_adding_in_place_rounds_the_sum_first(shape: tuple[int, int, int], dtype: str) -> None:
    """``torch.addmm`` with beta = 1 copies C to D and runs cuBLAS's ``badd`` kernel, which adds the rounded sum to it."""
    name = f"{' '.join(str(each) for each in shape)} dense {dtype} addmm-c {dtype}"
    rounded = run(name, Epilogue(out_dtype=dtype)) + np.asarray(encoded(inputs(shape, False).c, dtype), np.float32)
    assert digest(values(encode(rounded, dtype), dtype)) == RECORD[name]


def test_conversions_round_to_nearest_even_and_overflow_as_ours_do() -> None:
    for name, (numbers, codes) in json.loads((Path(__file__).parent / "conversions.json").read_text()).items():
        found = encode(np.array(numbers, "<u4").view("<f4"), name, saturate=False)
        expected = np.array(codes, found.dtype)
        nan = np.isnan(values(expected, name))  # PyTorch's NaN of e4m3 has the sign of the number; ours has none
        assert np.array_equal(found[~nan], expected[~nan]) and np.isnan(values(found[nan], name)).all(), name
