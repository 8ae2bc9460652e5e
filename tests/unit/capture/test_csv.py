"""Does a table of GEMMs become a trace, and every bad cell one sentence with its line?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stcsim.capture import open_trace
from stcsim.errors import TraceError
from stcsim.trace import Gemm

TABLE = """\
name, m, n, k, batch, count, weights
qkv, 2304, 128, 768, , 12, yes
scores, 128, 128, 64, 12, 12, no

"out, all", 768, 128, 768, 1, , YES
"""


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "layers.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_table_becomes_a_trace(tmp_path: Path) -> None:
    trace = open_trace(written(tmp_path, TABLE))
    assert trace.ops == (
        Gemm(name="qkv", m=2304, n=128, k=768, count=12, origin="CSV"),
        Gemm(name="scores", m=128, n=128, k=64, batch=12, weight_operand=None, count=12, origin="CSV"),
        Gemm(name="out, all", m=768, n=128, k=768, origin="CSV"),
    )
    assert (trace.name, trace.title, trace.source.model, trace.batch) == ("layers", "layers, 3 GEMMs", "layers.csv", 1)


def test_four_columns_in_any_order_are_enough(tmp_path: Path) -> None:
    plain = open_trace(written(tmp_path, "name,m,n,k\nfc,10,20,30\n"))
    assert plain.ops == (Gemm(name="fc", m=10, n=20, k=30, origin="CSV"),)
    assert open_trace(written(tmp_path, "\ufeffK,N,M,Name\r\n30,20,10,fc\r\n")).ops == plain.ops  # as spreadsheets write it


def test_a_table_is_right_at_its_own_batch(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = written(tmp_path, TABLE)
    assert open_trace(path, 1).batch == 1
    message = "layers: batch: expected 1 (some shapes do not follow the batch), found 8"
    assert refused("run", path, "--arch", "a100", "--batch", 8) == message


HEAD = "name,m,n,k,batch,count,weights\n"

BAD = {
    "empty file": ("", "table: expected a line of column names, then at least one GEMM, found an empty file"),
    "only names": (HEAD + "\n", "table: expected a line of column names, then at least one GEMM, found column names only"),
    "no names": ("fc,1,2,3\n", "line 1: expected columns out of name, m, n, k, batch, count, weights, found 'fc'"),
    "missing column": ("name,m,n\nfc,1,2\n", "line 1: expected the columns name, m, n, k, found no column 'k'"),
    "misspelt column": ("name,m,n,k,weight\n", "line 1: expected columns out of .*, found 'weight' .did you mean 'weights'.."),
    "column twice": ("name,m,n,k,m\n", "line 1: expected one column 'm', found 2"),
    "semicolons": ("name;m;n;k\nfc;1;2;3\n", "line 1: expected columns out of .*, found 'name;m;n;k' .did you mean 'name'.."),
    "too few cells": (HEAD + "fc,1,2\n", "line 2: expected 7 cells .*, found 3"),
    "negative": ("name,m,n,k\nfc,1,2,3\nfc,4,-5,6\n", "line 3: n: expected a whole number above 0, found '-5'"),
    "zero": ("name,m,n,k\nfc,0,2,3\n", "line 2: m: expected a whole number above 0, found '0'"),
    "no number": ("name,m,n,k\nfc,1,2,3.5\n", "line 2: k: expected a whole number above 0, found '3.5'"),
    "no cell": ("name,m,n,k\nfc,1,,3\n", "line 2: n: expected a whole number above 0, found an empty cell"),
    "no name": ("name,m,n,k\n,1,2,3\n", "line 2: name: expected a name, found an empty cell"),
    "batch of zero": (HEAD + "fc,1,2,3,0,1,yes\n", "line 2: batch: expected a whole number above 0, found '0'"),
    "maybe": (HEAD + "fc,1,2,3,1,1,maybe\n", "line 2: weights: expected yes or no, found 'maybe'"),
    "too large": (
        "name,m,n,k\nfc,1,2,9999999999\n",
        "line 2: gemm 'fc': k: expected a number below 2147483648, found 9999999999",
    ),
    "quotes": ('name,m,n,k\n"fc,1,2,3\n', "line 2: expected cells between commas, found unexpected end of data"),
    "no text": (b"\xff\xfe\x00\x01", "expected a table as text .CSV., found a file that is no text"),
}


@pytest.mark.parametrize(("text", "sentence"), BAD.values(), ids=BAD)
def test_a_bad_table_is_one_sentence(tmp_path: Path, text: str | bytes, sentence: str) -> None:
    with pytest.raises(TraceError, match=f"layers.csv: {sentence}$"):
        open_trace(written(tmp_path, text))


def test_a_table_that_is_not_there(tmp_path: Path, refused: Callable[..., str]) -> None:
    path = tmp_path / "none.csv"
    assert refused("run", path, "--arch", "a100") == f"{path}: expected a file that can be read, found No such file or directory"
    assert refused("check", path).startswith(f"{path}: expected a file")


def test_run_takes_a_table(tmp_path: Path, called: dict[str, object]) -> None:
    from stcsim import cli

    path = written(tmp_path, TABLE)
    with pytest.raises(SystemExit) as stop:
        cli.main(["run", str(path), "--arch", "a100"])
    assert stop.value.code == 0 and called["trace"] == open_trace(path)
