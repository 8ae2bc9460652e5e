"""Does the table of element types agree with itself and with others, and does every door know a type by all its names?"""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import stcsim
from stcsim.errors import UnsupportedError
from stcsim.isa import DTYPES, DType, code_dtype, dtype, output_dtype, timed_types, type_bytes
from stcsim.numerics import compress, gemm, storage_bytes, values
from stcsim.trace import Trace
from tests.unit.runs import TOY_TRACE

ROWS = list(DTYPES.values())
FLOATS = [row for row in ROWS if row.is_float and row.numpy and not row.dropped_bits]


def sentence(call: object, *arguments: object) -> str:
    with pytest.raises(UnsupportedError) as caught:
        call(*arguments)  # type: ignore[operator]
    return str(caught.value)


# --- the table


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_agrees_with_itself(row: DType) -> None:
    assert row.bits == (row.signed + row.exponent_bits + row.fraction_bits + row.dropped_bits if row.is_float else row.bits)
    assert row.has_nan or not row.has_inf
    assert not row.is_output or row.bits % 8 == 0  # Problem.out_bytes counts whole bytes
    assert not row.rate or DTYPES[row.rate].rate == row.rate and DTYPES[row.rate].bits == row.bits
    assert not row.codes or DTYPES[row.codes].codes == "" and DTYPES[row.codes].bits == row.bits
    if row.rate:
        assert DTYPES[row.acc].is_accumulator and DTYPES[row.out].is_output
        assert DTYPES[row.acc].is_float == row.is_float
    if row.sparse_group:
        assert 2 * row.sparse_kept == row.sparse_group and row.sparse_k_multiple % row.sparse_group == 0
        assert row.sparse_k_multiple * row.bits == 256 and row.metadata_bits == 4  # 256 bits of compressed k; two indices


def test_no_two_types_share_a_name() -> None:
    own = [row for row in ROWS if not row.codes]  # fp8 is stored as the type whose codes it has
    names = [name for row in own for name in row.names] + ["fp8", "float8"]
    assert len(names) == len(set(names))
    assert all(name == name.lower() for name in names)


@pytest.mark.parametrize("row", FLOATS, ids=lambda row: row.name)
def test_floats_are_those_of_ml_dtypes(row: DType) -> None:
    info = ml_dtypes.finfo(row.numpy if hasattr(np, row.numpy) else getattr(ml_dtypes, row.numpy))
    assert (row.bits, row.fraction_bits, row.exponent_bits) == (info.bits, info.nmant, info.nexp)
    assert (row.largest, 2.0**row.min_exponent) == (float(info.max), float(info.smallest_normal))


def test_integers_reach_as_far_as_numpy_says() -> None:
    for name in ("int32", "int8", "uint8"):
        assert DTYPES[name].largest == np.iinfo(DTYPES[name].numpy).max
    assert (DTYPES["int4"].largest, DTYPES["uint4"].largest) == (7, 15)


def test_digits_that_tell_floats_apart() -> None:
    assert [DTYPES[name].decimal_digits for name in ("fp16", "fp32", "fp64")] == [5, 9, 17]  # IEEE 754-2019, 5.12.2


def test_a_row_is_itself_after_a_trip_to_another_process() -> None:
    for row in ROWS:
        assert pickle.loads(pickle.dumps(row)) == row and hash(pickle.loads(pickle.dumps(row))) == hash(row)


@pytest.mark.parametrize(
    ("name", "elements", "dense", "metadata"),
    [
        ("fp16", 64, 128, 8),  # 16 groups of four bits
        ("tf32", 64, 256, 16),
        ("int8", 3, 3, 1),
        ("int4", 7, 4, 1),  # 28 bits, and one group of eight
        ("e2m1", 1, 1, 1),
        ("e2m1", 4097, 2049, 257),  # 513 groups
        ("e2m1", 0, 0, 0),
    ],
)
def test_bytes_are_rounded_up(name: str, elements: int, dense: int, metadata: int) -> None:
    assert (DTYPES[name].bytes_of(elements), DTYPES[name].metadata_bytes(elements)) == (dense, metadata)


# --- one lookup


@pytest.mark.parametrize(
    ("timed", "names"),
    [
        ("fp16", "fp16 FP16 f16 float16 Float16 half torch.float16"),
        ("bf16", "bf16 bfloat16 torch.bfloat16"),
        ("tf32", "tf32 TF32"),
        ("int8", "int8 s8 uint8 u8 torch.int8"),
        ("fp8", "fp8 FP8 float8 e4m3 E4M3 fp8e4m3 float8_e4m3fn torch.float8_e5m2 e5m2 fp8e5m2 FLOAT8E5M2"),
        ("int4", "int4 s4 uint4 u4"),
        ("e2m1", "e2m1 fp4 FP4 float4_e2m1fn FLOAT4E2M1 torch.float4_e2m1fn_x2"),
    ],
)
def test_gemms_are_timed_in_a_type_by_any_of_its_names(timed: str, names: str) -> None:
    assert [dtype(name).name for name in names.split()] == [timed] * len(names.split())


def test_types_that_gemms_are_timed_in() -> None:
    assert [row.name for row in timed_types()] == ["fp16", "bf16", "tf32", "int8", "fp8", "int4", "e2m1"]


@pytest.mark.parametrize(
    ("name", "codes"),
    [("fp8", "e4m3"), ("FP8E5M2", "e5m2"), ("float32", "fp32"), ("s32", "int32"), ("fp4", "e2m1"), ("Double", "fp64")],
)
def test_codes_are_known_by_any_name(name: str, codes: str) -> None:
    assert code_dtype(name).name == codes


def test_outputs_and_their_bytes() -> None:
    sizes = {"fp32": 4, "int32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "int8": 1, "fp8": 1, "fp8e4m3": 1, "fp8e5m2": 1}
    assert {name: type_bytes(name) for name in sizes} == sizes
    assert output_dtype("Float16").name == "fp16"


def test_unknown_types_are_one_sentence() -> None:
    timed = "fp16, bf16, tf32, int8, fp8, int4, e2m1"
    assert sentence(dtype, "fp12") == f"dtype: expected one of {timed}, found 'fp12' (did you mean 'fp16'?)"
    assert sentence(dtype, "E2M") == f"dtype: expected one of {timed}, found 'E2M' (did you mean 'e2m1'?)"
    assert sentence(dtype, "") == f"dtype: expected one of {timed}, found ''"
    assert sentence(dtype, "fp32").startswith(f"dtype: expected one of {timed}, found 'fp32'")  # no input of a tensor core
    outputs = "fp32, fp16, bf16, tf32, int32, int8, e4m3, e5m2, fp8"
    assert sentence(type_bytes, "int16") == f"out_dtype: expected one of {outputs}, found 'int16' (did you mean 'int8'?)"
    assert sentence(type_bytes, "int4").startswith(f"out_dtype: expected one of {outputs}, found 'int4'")
    codes = "fp32, fp16, bf16, tf32, int32, int8, uint8, e4m3, e5m2, int4, uint4, e2m1, fp64"
    assert sentence(code_dtype, "e5m") == f"element type: expected one of {codes}, found 'e5m' (did you mean 'e5m2'?)"


# --- a type is a row


NEW_TYPE = """
from stcsim.isa import DTYPES, DType
DTYPES["fp6"] = DType(
    name="fp6", bits=6, aliases=("e3m2",), exponent_bits=3, fraction_bits=2, bias=3, rate="fp6", acc="fp32", out="bf16",
    sparse_group=4, sparse_kept=2, metadata_bits=4, sparse_k_multiple=64,
)
DTYPES["fp12"] = DType(name="fp12", bits=12, exponent_bits=5, fraction_bits=6, bias=15, rate="fp12", acc="fp32", out="fp16")
"""


def in_a_world_with_fp6(script: str) -> str:
    """Run ``script`` in a process whose table has two more rows from the start, as if they stood in it."""
    root = str(Path(stcsim.__file__).parents[1])
    done = subprocess.run([sys.executable, "-c", NEW_TYPE + script], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_type_that_is_one_row_is_timed_stored_and_named() -> None:
    printed = in_a_world_with_fp6("""
import json, numpy, stcsim
from stcsim.numerics import storage_bytes, values
arch = stcsim.load_arch("a100", ["tensor_core.fma_per_clk_per_sm.fp6=2048"])
row = stcsim.gemm(256, 512, 1024, arch, dtype="E3M2").rows[0]
odd = stcsim.gemm(3, 5, 7, arch, dtype="fp6", engine="reference").rows[0]
stored = storage_bytes((4, 64), "fp6")
print(json.dumps({
    "row": [row.dtype, row.weight_bytes, row.compressed_bytes, row.metadata_bytes, row.sparse is not None],
    "odd": odd.weight_bytes,
    "peaks": arch.peak_tops("fp6", True) / arch.peak_tops("fp16", True),
    "values": values(numpy.array([3, 12, 31, 63], numpy.uint8), "fp6").tolist(),
    "stored": [stored.values, stored.metadata, stored.dense],
}))
""")
    assert json.loads(printed) == {
        # 256 rows of 1,024 elements of 6 bits: 768 bytes dense; 512 kept take 384, 256 groups 128 bytes of metadata
        "row": ["fp6", 256 * 768, 256 * (384 + 128), 256 * 128, True],
        "odd": 3 * 6,  # 42 bits in each row
        "peaks": 2.0,  # 2,048 against 1,024 FMA/clk/SM
        "values": [0.1875, 1.0, 28.0, -28.0],  # 3/4 * 2^-2; exponent 3; the largest, 1.75 * 2^4, without NaN or infinity
        "stored": [4 * 24, 4 * 8, 4 * 48],
    }


def test_a_type_that_is_one_row_is_a_choice_of_the_command_line() -> None:
    rate = '"--set", "tensor_core.fma_per_clk_per_sm.fp6=2048"'
    printed = in_a_world_with_fp6(f'from stcsim.cli import main; main(["arch", "a100", {rate}])')
    lines = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if "fma_per_clk" in line}
    assert lines["tensor_core.fma_per_clk_per_sm.fp6"][:3] == ["2048", "FMA/clk/SM", "assumed"]
    assert lines["tensor_core.fma_per_clk_per_sm.fp12"][:3] == ["null", "FMA/clk/SM", "absent"]
    printed = in_a_world_with_fp6(
        f'from stcsim.cli import main; main(["gemm", "64", "64", "64", "-a", "a100", "-d", "fp6", {rate}])'
    )
    assert "fp6" in printed


def test_a_type_without_structured_sparsity_runs_dense_only() -> None:
    found = in_a_world_with_fp6("""
import stcsim
from stcsim.errors import StcsimError
arch = stcsim.load_arch("a100", ["tensor_core.fma_per_clk_per_sm.fp12=512"])
print(stcsim.gemm(64, 64, 64, arch, dtype="fp12").rows[0].sparse)
print(stcsim.run(stcsim.load_trace("resnet34"), arch, dtype="fp12").totals.sparse_us)
try:
    stcsim.gemm(64, 64, 64, arch, dtype="fp12", sparsity="2:4")
except StcsimError as error:
    print(error)
""")
    assert found.splitlines() == [
        "None",
        "None",
        "a100: expected a type with structured sparsity (fp16, bf16, tf32, int8, int4), found 'fp12'",
    ]


# --- the same names at every door


def test_every_door_takes_every_name() -> None:
    h100 = stcsim.load_arch("h100")
    assert stcsim.gemm(64, 64, 64, h100, dtype="Float8_E4M3FN", out_dtype="Float32").dtype == "fp8"
    trace = Trace(**{**TOY_TRACE, "dtype": "BFLOAT16"})
    assert stcsim.run(trace, h100).dtype == "bf16"
    ones = np.full((16, 16), 0x38, np.uint8)  # 1.0 in e4m3
    for name in ("fp8", "E4M3", "float8_e4m3fn"):
        product = gemm(ones, ones, arch="sm_89", dtype=name, acc_dtype="float32")
        assert values(product, "F32").tolist() == [[16.0] * 16] * 16
    assert compress(np.zeros((1, 8), np.uint8), "FP4").dtype == "e2m1"
    assert storage_bytes((2, 16), "fp4").dense == 16
