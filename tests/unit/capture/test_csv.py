"""Does a table of GEMMs become a trace, and every bad cell one sentence with its line?"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

import stcsim
from stcsim.capture import open_trace
from stcsim.capture.tables.gather import MOST_LINES
from stcsim.errors import TraceError
from stcsim.report.terminal.tables import run_table
from stcsim.trace import Conv2d, Gemm

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
    message = "layers: batch: expected 1 (the sizes of a table are of its own batch), found 8"
    assert refused("run", path, "--arch", "a100", "--batch", 8) == message


HEAD = "name,m,n,k,batch,count,weights\n"

BAD = {
    "empty file": ("", "table: expected a line of column names, then at least one GEMM, found an empty file"),
    "only names": (HEAD + "\n", "table: expected a line of column names, then at least one GEMM, found column names only"),
    "no names": ("fc,1,2,3\n", "line 1: expected columns out of name, m, n, k, batch, count, weights, dtype, found 'fc'"),
    "missing column": ("name,m,n\nfc,1,2\n", "line 1: expected the columns m, n, k, found no column 'k'"),
    "misspelt column": ("name,m,n,k,weight\n", "line 1: expected columns out of .*, found 'weight' .did you mean 'weights'.."),
    "column twice": ("name,m,n,k,m\n", "line 1: expected one column 'm', found 2"),
    "spaces": ("name m n k\nfc 1 2 3\n", "line 1: expected columns out of .*, found 'name m n k' .did you mean 'name'.."),
    "bad cell between semicolons": ("name;m;n;k\nfc;1;x;3\n", "line 2: n: expected a whole number above 0, found 'x'"),
    "5,000 digits": (
        f"name,m,n,k\nfc,1,{'9' * 5000},3\n",
        "line 2: n: expected a number below 2147483648, found one of 5,000 digits",
    ),
    "unknown type": (
        "m,n,k,dtype\n1,2,3,fp12\n",
        "line 2: dtype: expected one of fp16, .*, found 'fp12' .did you mean 'fp16'..",
    ),
    "type of 5,000 letters": (
        f"m,n,k,dtype\n1,2,3,{'x' * 5000}\n",
        f"line 2: dtype: expected one of fp16, .*, found '{'x' * 56}\\.\\.\\.",
    ),
    "image smaller than the filter": (
        "Layer name,IFMAP Height,IFMAP Width,Filter Height,Filter Width,Channels,Num Filter,Strides,\nc,3,8,5,3,1,1,1,\n",
        "line 2: filter height: expected at most the image's 3, found 5",
    ),
    "no strides": (
        "Layer name,IFMAP Height,IFMAP Width,Filter Height,Filter Width,Channels,Num Filter,\nc,8,8,5,3,1,1,\n",
        "line 1: expected the columns ifmap height, .*, strides, found no column 'strides'",
    ),
    "bad cell of a topology": ("Layer,M,N,K,\nfc,8,eight,8,\n", "line 2: n: expected a whole number above 0, found 'eight'"),
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


# --- tables as other programs write them


@pytest.mark.parametrize(
    "text",
    [
        "M,N,K\n10,20,30\n",
        "k;n;m\n30;20;10\n",
        "m\tn\tk\n10\t20\t30\n",
        "M|N|K\r\n10|20|30\r\n",
        "\ufeffM;N;K;\n10;20;30;\n",
        "sep=;\nm;n;k\n10;20;30\n",
        '\n"m", "n", "k"\n 10, 20, 30\n,,\n',
    ],
)
def test_names_of_columns_and_what_stands_between_them_are_free(tmp_path: Path, text: str) -> None:
    assert open_trace(written(tmp_path, text)).ops == (Gemm(name="10x20x30", m=10, n=20, k=30, origin="CSV"),)


def test_a_table_in_utf_16_is_read(tmp_path: Path) -> None:
    assert open_trace(written(tmp_path, "m\tn\tk\n10\t20\t30\n".encode("utf-16"))).macs == 6000


def test_each_line_may_have_a_type_of_its_own(tmp_path: Path) -> None:
    trace = open_trace(written(tmp_path, "name,m,n,k,dtype\na,64,64,64,INT8\nb,64,64,64,int8\nc,64,64,64,bf16\nd,64,64,64,\n"))
    assert trace.dtype == "int8" and [op.dtype for op in trace.ops] == ["int8", "int8", "bf16", ""]  # type: ignore[union-attr]
    result = stcsim.run(trace, "a100", dtype="fp16")
    assert [row.dtype for row in result.rows] == ["int8", "int8", "bf16", "fp16"]
    assert [row.dtype for row in stcsim.rerun(result.inputs).rows] == ["int8", "int8", "bf16", "fp16"]
    assert [row.dtype for row in stcsim.run(trace, "a100", dtype_of={"a": "fp16"}).rows][:2] == ["fp16", "int8"]


def test_a_type_is_shown_where_lines_differ(tmp_path: Path) -> None:
    trace = open_trace(written(tmp_path, "m,n,k,dtype\n64,64,64,int8\n64,64,64,bf16\n"))
    console = Console(width=200, file=io.StringIO(), record=True)
    console.print(run_table(stcsim.run(trace, "a100")))
    head, table = console.export_text().split("─", 1)
    assert " type " in head and " int8 " in table.splitlines()[1] + table.splitlines()[2] and " bf16 " in table


def test_a_gemm_topology_of_scale_sim_has_its_filters_as_the_weight(tmp_path: Path) -> None:
    trace = open_trace(written(tmp_path, "Layer, M, N, K,\nLinear1,1024,4800,1600,\n"))
    assert trace.ops == (Gemm(name="Linear1", m=4800, n=1024, k=1600, origin="SCALE-Sim"),)
    assert "its N filters are m here" in trace.source.notes and not trace.rescalable and trace.source.library == "SCALE-Sim"
    sparse = open_trace(written(tmp_path, "Layer Name, M, N, K, Sparsity,\nGEMM_1, 1, 5, 16, 2:4,\n"))
    assert sparse.macs == 80


CONVOLUTIONS = """\
Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,

Conv1, 224, 224, 3, 3, 3, 32, 2,
,,,,,,,,
Conv2_DP, 114, 114, 3, 3, 32, 1, 1,#dw
\tConv3,112,112,1,1,32,64,1
"""


def test_a_topology_of_convolutions_counts_as_scale_sim_does(tmp_path: Path) -> None:
    trace = open_trace(written(tmp_path, CONVOLUTIONS))
    first, depthwise, last = trace.ops
    assert isinstance(first, Conv2d) and (first.p, first.q) == (112, 112)  # ceil((224 - 3) / 2) + 1
    assert first.macs == 112 * 112 * 9 * 3 * 32 and depthwise.macs == 112 * 112 * 9 * 32 and last.macs == 112 * 112 * 32 * 64
    assert isinstance(depthwise, Conv2d) and (depthwise.groups, depthwise.k, last.name) == (32, 32, "Conv3")
    assert trace.with_batch(8).macs == 8 * trace.macs and trace.title == "layers, 3 convolutions"


def test_a_topology_may_have_two_strides_and_a_batch(tmp_path: Path) -> None:
    head = "Layer name,IFMAP height,IFMAP width,Filter height,Filter width,Channels,Num filter"
    (conv,) = open_trace(written(tmp_path, f"{head},Stride height,Stride width,Batch Size,\nc,9,9,3,3,4,8,2,3,5,\n")).ops
    assert isinstance(conv, Conv2d) and (conv.stride, conv.batch, conv.p, conv.q) == ((2, 3), 5, 4, 3)


# --- long tables


def test_equal_lines_of_a_long_table_are_one_operation(tmp_path: Path) -> None:
    lines = "".join(f"g{at},{64 + 64 * (at % 3)},64, 64,{'' if at % 2 else 2}\n" for at in range(MOST_LINES + 2))
    trace = open_trace(written(tmp_path, f"name,m,n,k,count\n{lines}"))
    whole = sum((64 + 64 * (at % 3)) * 64 * 64 * (1 if at % 2 else 2) for at in range(MOST_LINES + 2))
    assert len(trace.ops) == 6 and trace.macs == whole
    assert trace.ops[0].name == "g0 and 166 more" and trace.ops[0].count == 334
    assert trace.title == "layers, 1,002 GEMMs of 6 sizes, each timed once"


def test_up_to_a_thousand_lines_each_keeps_its_name(tmp_path: Path) -> None:
    trace = open_trace(written(tmp_path, "name,m,n,k\n" + "".join(f"g{at},64,64,64\n" for at in range(MOST_LINES))))
    assert len(trace.ops) == MOST_LINES and trace.ops[-1].name == f"g{MOST_LINES - 1}"


def test_a_bad_cell_far_down_is_named_by_its_line(tmp_path: Path) -> None:
    text = "m,n,k\n" + "64,64,64\n" * 5000 + "64,64,-1\n"
    with pytest.raises(TraceError, match="layers.csv: line 5002: k: expected a whole number above 0, found '-1'$"):
        open_trace(written(tmp_path, text))
