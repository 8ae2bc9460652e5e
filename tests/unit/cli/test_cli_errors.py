"""Does the command line say in one sentence what is wrong, before any work and without a trace of a file?"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stcsim import cli
from stcsim.arch import arch_names
from stcsim.data import data_folder
from tests.unit.runs import TOY_TRACE

LAYERS = "a layer's name or number, a pattern such as '*.fc*', a range such as 2-5, first or last"


def broken(path: Path, change: Callable[[dict[str, object]], object]) -> Path:
    """Write the toy trace with its only layer changed."""
    fields = json.loads(json.dumps(TOY_TRACE))
    change(fields["ops"][0])
    path.write_text(json.dumps(fields), encoding="utf-8")
    return path


def test_trace_that_is_not_json(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "trace.json"
    path.write_text("hello", encoding="utf-8")
    assert refused("run", path, "--arch", "a100") == f"{path}: expected JSON, found 'Expecting value' at line 1, column 1"


def test_trace_with_a_missing_field(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = broken(tmp_path / "trace.json", lambda op: op.pop("m"))
    assert refused("run", path, "--arch", "a100") == f"{path}: ops[0] gemm 'fc': m: expected a value, found no such field"


def test_trace_with_a_negative_size(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = broken(tmp_path / "trace.json", lambda op: op.update(m=-256))
    assert refused("run", path, "--arch", "a100") == f"{path}: ops[0] gemm 'fc': m: expected a number above 0, found -256"


def test_unknown_trace(refused: Callable[..., str]) -> None:
    message = refused("run", "resnet43", "--arch", "a100")
    assert message.endswith("found 'resnet43', which is neither (did you mean 'resnet34'?)")


def test_unknown_arch(toy: Path, refused: Callable[..., str]) -> None:
    known = ", ".join(arch_names())
    message = f"--arch: expected one of {known}, or the path of a file, found 'a1000' (did you mean 'a100'?)"
    assert refused("run", toy, "--arch", "a1000") == message


def test_unknown_setting(toy: Path, refused: Callable[..., str]) -> None:
    assert refused("run", toy, "--arch", "a100", "--set", "l2.capacty_mib=3") == (
        "--set l2.capacty_mib: expected the dotted path of one value, e.g. l2.capacity_mib, "
        "found 'l2.capacty_mib' (did you mean 'l2.capacity_mib'?)"
    )


def test_type_that_the_gpu_lacks(toy: Path, refused: Callable[..., str]) -> None:
    message = refused("run", toy, "--arch", "a100", "--dtype", "fp8")
    assert message.startswith("a100: expected a type of its tensor cores (fp16, bf16, tf32, int8") and message.endswith(
        "found 'fp8'"
    )


@pytest.mark.parametrize("command", [("run", "toy"), ("gemm", 64, 64, 64), ("explain", 64, 64, 64)])
def test_type_that_does_not_exist(refused: Callable[..., str], command: tuple[object, ...]) -> None:
    assert refused(*command, "--arch", "a100", "--dtype", "fp12") == (
        "--dtype: expected one of fp16, bf16, tf32, int8, fp8, int4, e2m1, found 'fp12' (did you mean 'fp16'?)"
    )


def test_2_4_on_a_gpu_without_sparse_tensor_cores(toy: Path, refused: Callable[..., str]) -> None:
    assert refused("run", toy, "--arch", "t4", "--sparsity", "both") == (
        "t4: expected a GPU with Sparse Tensor Cores (compute capability 8.0 or newer), found Turing (7.5), which has none"
    )


def test_arch_file_with_a_typo(toy: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    text = (data_folder("arch_configs") / "a100.yaml").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("capacity_mib", "capacity_mb"), encoding="utf-8")
    message = refused("run", toy, "--arch", path)
    assert message.startswith(f"{path}: l2.capacity_mb: expected one of capacity_mib, ")
    assert message.endswith("found 'capacity_mb' (did you mean 'capacity_mib'?)")


@pytest.mark.parametrize("batch", [0, -3])
def test_batch_below_one(toy: Path, refused: Callable[..., str], batch: int) -> None:
    assert (
        refused("run", toy, "--arch", "a100", f"--batch={batch}") == f"toy: batch: expected a whole number above 0, found {batch}"
    )


@pytest.mark.parametrize("command", ["gemm", "explain"])
def test_sizes_below_one(refused: Callable[..., str], command: str) -> None:
    assert refused(command, 16, 0, 16, "--arch", "a100") == "n: expected a whole number above 0, found 0"
    assert refused(command, "--arch", "a100", "--", 16, 16, -3) == "k: expected a whole number above 0, found -3"
    assert refused(command, 16, 16, 16, "--arch", "a100", "--batch=0") == "--batch: expected a whole number above 0, found 0"


@pytest.mark.parametrize("option", ["--json", "--csv"])
def test_output_into_a_missing_folder(toy: Path, tmp_path: Path, refused: Callable[..., str], option: str) -> None:
    path = tmp_path / "missing" / "out"
    message = f"{option} {path}: expected a file in a folder that exists, found no folder '{path.parent}'"
    assert refused("run", toy, "--arch", "a100", option, path) == message


def test_output_over_a_folder(toy: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    message = f"--json {tmp_path}: expected the path of a file, found a folder"
    assert refused("run", toy, "--arch", "a100", "--json", tmp_path) == message


def test_output_without_permission(
    toy: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    path = tmp_path / "out.json"
    message = f"--json {path}: expected a file that can be written, found no permission to write in '{tmp_path}'"
    assert refused("run", toy, "--arch", "a100", "--json", path) == message


def test_refused_run_writes_nothing(toy: Path, tmp_path: Path, refused: Callable[..., str]) -> None:
    old = tmp_path / "old.csv"
    old.write_text("old", encoding="utf-8")
    refused("run", toy, "--arch", "a100", "--dtype", "fp8", "--json", tmp_path / "new.json", "--csv", old)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["old.csv", "toy.json"]
    assert old.read_text(encoding="utf-8") == "old"


def test_settings_without_a_gpu(refused: Callable[..., str], tmp_path: Path) -> None:
    assert refused("arch", "--set", "sm.count=1") == "--set: expected a GPU to change, e.g. `stcsim arch a100`, found none"
    assert (
        refused("validate", tmp_path, "--set", "sm.count=1") == "--set: expected a GPU to change, named with --arch, found none"
    )


@pytest.mark.parametrize("shape", ["3xx224", "0x3", "-1", "three"])
def test_shape_to_capture(refused: Callable[..., str], tmp_path: Path, shape: str) -> None:
    message = f"--shape: expected sizes above 0 with an x between, e.g. 3x224x224, found '{shape}'"
    assert refused("capture", "resnet34", "-o", tmp_path / "t.json", f"--shape={shape}") == message


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "toy.json"),
        ("run", "toy.json", "--arch", "a100", "--top", "0"),
        ("simulate",),
    ],
    ids=["no arch", "top 0", "no such command"],
)
def test_misuse_exits_with_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    printed = capsys.readouterr()
    assert stop.value.code == 2 and printed.out == "" and "Error" in printed.err


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--keep-dense", "fd", f"--keep-dense: expected {LAYERS}, found 'fd', which no layer has (did you mean 'fc'?)"),
        ("--dtype-of", "fc", "--dtype-of: expected PATTERN=TYPE, e.g. last=fp16, found 'fc'"),
        ("--dtype-of", "conv*=int8", f"--dtype-of: expected {LAYERS}, found 'conv*', which no layer has"),
        ("--dtype-of", "fc=int7", "--dtype-of: expected one of fp16, bf16, tf32, int8, fp8, int4, e2m1, found 'int7' "
         "(did you mean 'int8'?)"),
    ],
)  # fmt: skip
def test_a_pattern_that_names_nothing_is_refused(
    toy: Path, refused: Callable[..., str], option: str, value: str, message: str
) -> None:
    assert refused("run", toy, "--arch", "a100", option, value) == message
