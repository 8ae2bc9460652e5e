"""`stcsim check`: does the datapath agree with PyTorch, and does a disagreement show?"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stcsim import check as checking
from stcsim import cli
from stcsim.check import compare, run, torch_side
from stcsim.check.layers import Limits, layers_of
from stcsim.check.result import CheckReport
from stcsim.isa import dtype as find_dtype
from stcsim.isa.instructions import gemm_instruction
from stcsim.numerics.codes import values
from stcsim.numerics.formats import encoded, float_format
from stcsim.tensors import torch_bridge
from stcsim.trace import Conv2d, Gemm, Source, Trace
from stcsim.trace.choose import EXPECTED

SOURCE = Source(model="by hand", library="none", version="0")
FC = Gemm(name="fc", m=40, n=24, k=64)
OPS = (
    FC,
    Conv2d(name="conv", batch=2, c=32, h=7, w=6, k=24, r=3, s=2, stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
    Conv2d(name="grouped", batch=1, c=64, h=5, w=5, k=32, r=3, s=3, padding=(1, 1), groups=2),
    Conv2d(name="first", batch=1, c=3, h=9, w=9, k=16, r=7, s=7, padding=(3, 3)),
    Gemm(name="qk", m=10, n=12, k=64, batch=3, weight_operand=None),
)
DTYPES = {"fp16": "sm_80", "bf16": "sm_80", "tf32": "sm_86", "int8": "sm_80", "fp8": "sm_89"}


def trace_of(*ops: Gemm | Conv2d) -> Trace:
    return Trace(name="toy", title="Toy", source=SOURCE, batch=1, input_shape=(3, 8, 8), ops=ops)


def check(*ops: Gemm | Conv2d, dtype: str = "fp16", **options: Any) -> CheckReport:
    return checking.check(trace_of(*ops), DTYPES[dtype], dtype, **options)


@pytest.fixture
def toy_file(tmp_path: Path) -> Path:
    """A trace of one layer, ``fc``, 40 x 24 x 64."""
    path = tmp_path / "toy.json"
    trace_of(FC).save(path)
    return path


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 240 columns, whoever runs the tests."""
    monkeypatch.setenv("COLUMNS", "240")


def exit_code(*arguments: object) -> object:
    with pytest.raises(SystemExit) as stop:
        cli.main([str(argument) for argument in arguments])
    return stop.value.code


@pytest.mark.parametrize("dtype", [each for each in DTYPES if each != "int8"])
def test_floating_point_layers_agree(dtype: str) -> None:
    report = check(*OPS, dtype=dtype)
    assert report.passed and [layer.share for layer in report.layers] == [1.0] * 5
    for layer in report.layers:
        elements = layer.m * layer.n * layer.batch
        sparse = layer.not_sparse_because is None
        assert (layer.round_trip, layer.torch_format) == ((True, True) if sparse else (None, None))
        for errors in filter(None, (layer.sparse, layer.dense, layer.torch)):
            assert sum(errors.ulps) == elements and 0 <= errors.mean_relative <= errors.largest_relative
            assert errors.largest_of_magnitudes < (1e-2 if dtype == "fp8" else 1e-5)
        assert (layer.sparse is None) != sparse and layer.dense is not None and layer.torch is not None
        assert layer.dense.beyond_bound == 0 and layer.torch.beyond_bound is None


def test_integer_layers_are_torchs() -> None:
    report = check(*OPS, dtype="int8")
    assert report.passed and report.output == "int32"
    assert [layer.sparse_differs for layer in report.layers] == [0, 0, 0, None, None]
    assert [layer.dense_differs for layer in report.layers] == [0] * 5
    assert all(layer.torch is None for layer in report.layers)


def test_why_layers_are_dense_only() -> None:
    straddling = Conv2d(name="c", batch=1, c=2, h=9, w=9, k=16, r=4, s=4)  # 32 products, but a group of four spans two taps
    reasons = [layer.not_sparse_because for layer in check(*OPS, straddling).layers]
    assert reasons == [
        None, None, None, "reduction no multiple of 16", "no weight operand", "channels of a group no multiple of 4"
    ]  # fmt: skip


def test_the_same_seed_gives_the_same_report() -> None:
    assert check(*OPS[:2], seed=3) == check(*OPS[:2], seed=3)
    assert check(FC, seed=3).layers != check(FC, seed=4).layers


@pytest.mark.parametrize(
    ("op", "limits", "columns", "products"),
    [
        (FC, (10, 10**9), 10, 1),
        (FC, (4096, 40 * 64 * 12), 12, 1),
        (FC, (4096, 1), 8, 1),  # never less than one instruction's n
        (OPS[1], (4096, 10**9), 64, 1),  # 2 images of 4 x 8
        (OPS[1], (40, 10**9), 32, 1),  # one image
        (OPS[1], (30, 10**9), 24, 1),  # three rows of it
        (OPS[1], (4, 10**9), 4, 1),  # four pixels of the first row
        (OPS[4], (4096, 10 * 12 * 64 * 2), 12, 2),  # two of three products
    ],
)
def test_large_layers_are_cut(op: Gemm | Conv2d, limits: tuple[int, int], columns: int, products: int) -> None:
    layer = check(op, max_columns=limits[0], max_macs=limits[1]).layers[0]
    assert (layer.columns, layer.products) == (columns, products)
    assert layer.share == columns * products / (layer.n * layer.batch) and not layer.failures


def test_layers_are_computed_in_parts_that_fit_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = check(*OPS, dtype="int8"), check(*OPS)
    monkeypatch.setattr(run, "_PART_ELEMENTS", 64 * 32)  # rows of fc and of the convolutions 32 at a time
    parts = check(*OPS, dtype="int8"), check(*OPS)
    assert whole[0] == parts[0]
    for one, other in zip(whole[1].layers, parts[1].layers, strict=True):
        assert one.sparse == other.sparse or one.sparse.ulps == other.sparse.ulps  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("chosen", "numbers"), [("2", [2]), ("1,4-5", [1, 4, 5]), ("*c*", [1, 2]), ("fc, 2-99", [1, 2, 3, 4, 5])]
)
def test_layers_are_chosen(chosen: str, numbers: list[int]) -> None:
    layers = layers_of(trace_of(*OPS), find_dtype("fp16"), Limits(8, 1), chosen)
    assert [layer.number for layer in layers] == numbers


@pytest.mark.parametrize("name", ["fp16", "bf16", "e4m3", "tf32"])
def test_torch_reads_and_writes_codes_as_the_formats_do(name: str) -> None:
    draws = np.random.default_rng(0).standard_normal(5000).astype(np.float32) * np.float32(3)
    codes = torch_bridge.encode(draws, name)
    assert np.array_equal(codes, encoded(draws.astype(np.float64), float_format(name)))
    assert np.array_equal(torch_bridge.decode(codes, name), values(codes, name))


def test_the_error_bound_knows_that_subnormals_align_as_normals() -> None:
    a = np.array([[2.0**-24, *[2.0**-14] * 15]]).astype(np.float16)  # the first is subnormal: exponent -14
    b = np.array([[2.0**10], *[[1.9 * 2.0**-15]] * 15]).astype(np.float16)  # exponents -4 and -29; units of 2^-28
    instruction = gemm_instruction("sm_80", "fp32", "fp16", "fp16", sparse=False)
    left, right = a.astype(np.float64), b.astype(np.float64)
    product = run.gemm(a, b, arch="sm_80").view(np.float32).astype(np.float64)
    tally = compare.Tally("fp16", compare.error_bound(instruction, "sm_80", 16))
    tally.add(product, left @ right, left @ right)
    assert tally.beyond == 1
    tally.add(product, left @ right, compare.magnitudes(left, "fp16") @ compare.magnitudes(right, "fp16"))
    assert tally.beyond == 1


# A wrong result must show.


def flip(codes: Any) -> Any:
    """Return codes with one bit of the last element changed."""
    wrong = codes.copy()
    wrong.reshape(-1)[-1] ^= 1
    return wrong


def test_a_wrong_integer_product_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gemm = run.gemm
    monkeypatch.setattr(run, "gemm", lambda *operands, **options: flip(gemm(*operands, **options)))
    assert exit_code("check", "--gemm", 32, 16, 64, "--dtype", "int8", "--json", tmp_path / "c.json") == 1
    printed = capsys.readouterr().out
    assert "FAILED: 1 of 1 layers" in printed and "WRONG" in printed
    assert "gemm 32x16x64: 1 elements of the sparse product are not those of torch._int_mm" in printed
    found = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    assert found["passed"] is False and found["layers"][0]["sparse_differs"] == 1 == found["layers"][0]["dense_differs"]


def test_a_wrong_floating_point_product_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    gemm = run.gemm
    monkeypatch.setattr(run, "gemm", lambda *operands, **options: gemm(*operands, **options) ^ (1 << 31))  # other signs
    (layer,) = check(FC).layers
    assert layer.sparse is not None and layer.sparse.beyond_bound == 40 * 24
    assert layer.failures[0] == "960 elements of the sparse product are beyond the error bound of the datapath"


def test_wrong_metadata_is_a_failure(monkeypatch: pytest.MonkeyPatch, toy_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    theirs = torch_side.compressed
    monkeypatch.setattr(torch_side, "compressed", lambda *matrix: (theirs(*matrix)[0], flip(theirs(*matrix)[1])))
    assert exit_code("check", toy_file) == 1
    assert "fc: values or metadata are not those of torch's CUTLASS conversion" in capsys.readouterr().out


def test_a_lossy_compression_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, toy_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expand = compare.expand
    monkeypatch.setattr(compare, "expand", lambda sparse: flip(expand(sparse)))
    assert exit_code("check", toy_file) == 1
    assert "fc: the compressed weights do not expand to the pruned ones" in capsys.readouterr().out


def test_a_torch_without_the_conversion_is_said(
    monkeypatch: pytest.MonkeyPatch, toy_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch.sparse._semi_structured_conversions", None)
    assert exit_code("check", toy_file) == 0
    printed = capsys.readouterr().out
    assert "format 'ours' was not compared: torch" in printed and "bit for bit" not in printed


# The command line.


def test_the_table_and_the_json(toy_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("check", toy_file, "--arch", "a100", "--json", tmp_path / "c.json", "--max-columns", 12) == 0
    printed = capsys.readouterr()
    assert "toy, fp16 on sm_80 against torch" in printed.out and "50 %  = torch" in printed.out and printed.err == ""
    assert "12 columns of n and 1,000,000,000 MACs of a layer, so 1 of 1 in part" in printed.out
    assert "passed (1 2:4, 0 dense only): " in printed.out
    found = json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))
    assert found["passed"] is True and found["sparse_instruction"] == "mma.sp.m16n8k32.f32.f16.f16.f32"
    (layer,) = found["layers"]
    assert (layer["m"], layer["n"], layer["k"], layer["columns"], layer["share"]) == (40, 24, 64, 12, 0.5)
    assert sum(layer["sparse"]["ulps"]) == 40 * 12


@pytest.mark.parametrize("dtype", ["fp16", "int8"])
def test_the_table_fits_80_columns(
    dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    trace_of(*(op.changed(name=f"encoder.layers.12.attention.{op.name}") for op in OPS)).save(tmp_path / "t.json")
    assert exit_code("check", tmp_path / "t.json", "--dtype", dtype) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80 and "= torch" in printed
    assert "dense only: reduction no multiple of" in printed and "(1), no weight operand (1)" in printed
    if dtype == "fp16":
        assert "2:4, ulp of fp16, %" in printed and printed.count("mean") == 4  # three columns and the note


def test_fp8_goes_to_the_first_that_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code("check", "--gemm", 32, 8, 64, "--dtype", "fp8") == 0
    assert "fp8 on sm_90" in capsys.readouterr().out


# A user's weights.


def save_npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_weights_from_a_file(dtype: str, kind: str, tmp_path: Path) -> None:
    path, rng = tmp_path / f"w.{kind}", np.random.default_rng(1)
    arrays = {
        "fc": rng.standard_normal((40, 64)).astype(np.float32),
        "conv.weight": rng.standard_normal((24, 32, 3, 2)).astype(np.float32),
        "fc.bias": np.zeros(40, np.float32),
    }
    if kind == "npz":
        save_npz(path, **arrays)
    else:
        pytest.importorskip("safetensors")
        from safetensors.torch import save_file

        save_file({name: torch.from_numpy(array).to(torch.bfloat16) for name, array in arrays.items()}, path)
    report = check(FC.changed(name="fc#2"), *OPS[1:], dtype=dtype, weights=path)  # fc#2: the second use of the same module
    assert report.passed
    assert [layer.weights for layer in report.layers] == ["file", "file", "seeded", "seeded", "none"]
    arrays["fc"][0] *= -3
    changed = save_npz(tmp_path / "other.npz", **arrays)
    assert check(FC, dtype=dtype, weights=changed) != check(FC, dtype=dtype, weights=path) or dtype == "int8"


def test_integer_weights_are_taken_as_they_are_and_floats_quantized(tmp_path: Path) -> None:
    from stcsim.check.weights import _quantized

    quantized = _quantized(torch.tensor([[0.5, -1.0, 0.25], [0.0, 0.0, 0.0]]), 127.0)
    assert quantized.tolist() == [[64.0, -127.0, 32.0], [0.0, 0.0, 0.0]]  # 63.5 and 31.75 to even
    path = save_npz(tmp_path / "w.npz", fc=np.full((40, 64), -128, np.int8))
    assert check(FC, dtype="int8", weights=path).passed


def test_a_table_says_whose_weights_it_shows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace_of(*OPS[:2]).save(tmp_path / "t.json")
    path = save_npz(tmp_path / "w.npz", fc=np.ones((40, 64), np.float32))
    assert exit_code("check", tmp_path / "t.json", "--weights", path) == 0
    assert f"weights of 1 layers: {path}, of 1 that it lacks seeded" in capsys.readouterr().out


# Errors of users: one sentence, exit code 2.


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "command line: expected either a trace or --gemm MxNxK, found neither"),
        (("resnet34", "--gemm", 1, 2, 3), "command line: expected either a trace or --gemm MxNxK, found both"),
        (
            ("--gemm", 16, 0, 16),
            "--gemm: expected sizes above 0 with an x between and letters for what varies, e.g. 4096x4096xk, found '16x0x16'",
        ),
        (("--gemm", 16, 8, 16, "--arch", "sm_81"), "--arch: expected one of sm_70, "),
        (("--gemm", 16, 8, 16, "--arch", "a1000"), "--arch: expected one of "),
        (("--gemm", 16, 8, 16, "--arch", "t4"), "sm_75: expected 2:4 sparse types of a GEMM (none), found fp16 x fp16 to fp32"),
        (("--gemm", 16, 8, 64, "--arch", "a100", "--dtype", "fp8"), "sm_80: expected 2:4 sparse types of a GEMM ("),
        (
            ("resnet34", "--layers", "38"),
            f"--layers: expected {EXPECTED}, found '38'",
        ),
        (
            ("resnet34", "--layers", ","),
            f"--layers: expected {EXPECTED}, found ','",
        ),
        (("resnet34", "--json", "no/such/folder.json"), "--json no/such/folder.json: expected a file in a folder that exists"),
    ],
)
def test_bad_arguments(arguments: tuple[object, ...], sentence: str, refused: Callable[..., str]) -> None:
    assert refused("check", *arguments).startswith(sentence)


def test_torch_is_missing(monkeypatch: pytest.MonkeyPatch, toy_file: Path, refused: Callable[..., str]) -> None:
    monkeypatch.setattr(checking, "find_spec", lambda name: None)
    expected = "stcsim check: expected PyTorch to compare with (install stcsim[torch]), found none"
    assert refused("check", toy_file) == expected


def test_safetensors_is_missing(
    monkeypatch: pytest.MonkeyPatch, toy_file: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = tmp_path / "w.safetensors"
    path.touch()
    monkeypatch.setattr("stcsim.tensors.files.find_spec", lambda name: None)
    expected = f"--weights {path}: expected the safetensors package (pip install safetensors), found none"
    assert refused("check", toy_file, "--weights", path) == expected


def test_a_transposed_convolution_is_checked_as_its_gemm() -> None:
    up = Conv2d(name="up", batch=1, c=64, h=3, w=3, k=8, r=4, s=4, stride=(2, 2), padding=(1, 1), transposed=True)
    report = check(up, dtype="int8")
    (layer,) = report.layers
    assert report.passed and (layer.m, layer.n, layer.k) == (8, 36, 64 * 4) and layer.not_sparse_because is None


def test_a_trace_without_products(tmp_path: Path, refused: Callable[..., str]) -> None:
    fields = json.loads(trace_of(FC).to_json())
    fields["ops"] = [{"kind": "memory", "name": "relu", "operator": "relu", "elements_read": 8, "elements_written": 8}]
    path = tmp_path / "t.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    assert refused("check", path) == "toy: expected a GEMM or convolution to check, found none"


GOOD = np.ones((40, 64), np.float32)


@pytest.mark.parametrize(
    ("arrays", "dtype", "sentence"),
    [
        ({"fc": GOOD.T}, "fp16", "{0}: fc: expected shape 40 x 64 (of layer 'fc'), found 64 x 40"),
        ({"fc": np.float32(1)}, "fp16", "{0}: fc: expected shape 40 x 64 (of layer 'fc'), found a single number"),
        ({"fc.weight": GOOD * np.nan}, "fp16", "{0}: fc.weight: expected finite numbers, found NaN or infinity"),
        ({"fc": GOOD * 1e6}, "fp16", "{0}: fc: expected numbers that fp16 can hold, found 1e+06"),
        ({"fc": GOOD.astype(np.int64)}, "int8", "{0}: fc: expected float16, float32, float64 or int8, found an array of int64"),
        (
            {"fc": np.array([{}])},
            "fp16",
            "{0}: fc: expected an array of numbers, found Python objects, which would have",
        ),
        (
            {"lin.weight": GOOD},
            "fp16",
            "--weights {0}: expected weights named after layers, e.g. 'fc.weight', found 1 other names",
        ),
        ({}, "fp16", "--weights {0}: expected weights named after layers, e.g. 'fc.weight', found an empty file"),
    ],
)
def test_bad_weights(
    arrays: dict[str, Any], dtype: str, sentence: str, toy_file: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    path = save_npz(tmp_path / "w.npz", **arrays)
    assert refused("check", toy_file, "--weights", path, "--dtype", dtype).startswith(sentence.format(path))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("w.bin", "expected a file that ends in .safetensors or .npz, found '.bin'"),
        ("none.npz", "expected a file that can be read, found no such file"),
        ("bad.npz", "expected a npz file, found '"),
        ("bad.safetensors", "expected a safetensors file, found '"),
        ("folder.npz", "expected a file that can be read, found a folder"),
    ],
)
def test_bad_weight_files(name: str, sentence: str, toy_file: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    (tmp_path / "folder.npz").mkdir()
    for bad in ("w.bin", "bad.npz", "bad.safetensors"):
        (tmp_path / bad).write_text("hello, this is no such file", encoding="utf-8")
    assert refused("check", toy_file, "--weights", tmp_path / name).startswith(f"--weights {tmp_path / name}: {sentence}")


def test_safetensors_of_other_types_are_refused(tmp_path: Path, toy_file: Path, refused: Callable[..., str]) -> None:
    save_file = pytest.importorskip("safetensors.torch").save_file
    path = tmp_path / "w.safetensors"
    save_file({"fc": torch.ones((40, 64), dtype=torch.int32)}, path)
    expected = f"{path}: fc: expected one of float64, float32, float16, bfloat16, int8, found int32"
    assert refused("check", toy_file, "--weights", path) == expected
