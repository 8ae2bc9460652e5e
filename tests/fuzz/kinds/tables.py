"""Tables: measured times (read, validated, calibrated with), GEMMs as a network, and SCALE-Sim's topologies."""

from __future__ import annotations

import csv
import io
import math
import random
from typing import Any

from tests.fuzz import damage, laws
from tests.fuzz.case import Case

_MEASURED = (
    "source,arch,gpu,sparsity,library,dtype,acc_dtype,out_dtype,m,n,k,batch,time_us,timing,weights_in_l2,data,grade,suite,launches",
    "made,a100,A100,dense,cublas,bf16,fp32,bf16,256,1,256,1,2.76,graph,False,randn,A,grid,100",
    "made,a100,A100,2:4,cusparselt,fp16,fp32,fp16,512,64,512,1,9.5,stream,True,randn,A,x,100",
    "made,a100,A100,dense,cublaslt,fp16,fp32,fp16,512,64,512,1,8.5,stream,True,randn,A,x,100",
    "made,h100,H100,dense,cublas,fp8,fp32,bf16,1024,32,1024,2,7.0,kernel,False,low-power,B,y,1",
    "made,t4,T4,dense,cublas,int8,int32,int32,128,128,128,1,5,graph,False,randn,C,z,10",
    "made,a40,A40,dense,cublas,tf32,fp32,fp32,100,3,77,1,5,graph,False,randn,A,z,10",
)
_GEMMS = (
    ("name,m,n,k,batch,count,weights", "a,64,32,64,1,1,yes", "b,128,1,256,2,3,no", "c,100,7,33,,,", "a,8,8,8,1,1,yes"),
    ("M,N,K", "64,32,64", "128,1,256", "100,7,33"),
    ("Name,M,K,N,dtype", "a,64,64,32,fp16", "b,128,256,1,fp16", "c,100,33,7,fp16"),
    ("Layer,M,N,K,", "GEMM0,64,32,64,", "GEMM1,128,1,256,"),
    (
        "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,",
        "Conv1, 34, 34, 3, 3, 16, 32, 1,", "Conv2, 18, 18, 3, 3, 32, 32, 2,", "FC, 1, 1, 1, 1, 64, 10, 1,",
    ),
)  # fmt: skip
"""Tables of GEMMs in each of the forms that people have, those of SCALE-Sim last."""
_CELLS = (
    "", " ", "0", "-1", "1", "1.5", "1e3", "1e308", "nan", "inf", "-inf", "1_000", "٣", "²", "½", "9" * 30, "9" * 5000,
    str(2**31),
    str(2**63), "true", "TRUE", "Dense", "2:4", "4:2", "fp16", "FP16", "fp64", "fp8e5m2", "a100", "A100", "h100", "x",
    "'", '"', '"a',
    "=1+1", "a,b", "é", "\x00", "\ud800", "[/b]", "[red]", "\n", "cublas", "cublaslt", "low-power", "graph", "kernel",
    "A", "AB", "C",
    "0x10", "1e-320", "1e-9",
)  # fmt: skip
_CALIBRATED = (1, 2, 3, 1, 2, 3)
"""Rows of measured times on one GPU, which a calibration needs several of."""


def setup() -> dict[str, Any]:
    """Load a GPU."""
    import stcsim

    return {"a100": stcsim.load_arch("a100")}


def _damaged(rng: random.Random, lines: list[str], odds: float) -> str:
    """Return a table with some cells, columns or lines changed."""
    cells = [line.split(",") for line in lines]
    for _ in range(rng.randint(1, 3) if rng.random() < odds else 0):
        cells = _changed(rng, cells, rng.randrange(len(cells)), rng.randrange(len(cells[0])))
        cells[0] = cells[0] or [""]
    if rng.random() < 0.5:
        out = io.StringIO()
        try:
            csv.writer(out, lineterminator=rng.choice(("\n", "\r\n"))).writerows(cells)
            return out.getvalue()
        except csv.Error:
            pass
    return rng.choice(("\n", "\r\n", "\r")).join(",".join(row) for row in cells) + rng.choice(("", "\n", "\n\n"))


def _changed(rng: random.Random, cells: list[list[str]], line: int, column: int) -> list[list[str]]:
    pick = rng.random()
    if pick < 0.1:
        return [[each for place, each in enumerate(row) if place != column] for row in cells]
    if pick < 0.15:
        cells[line] = cells[line][: rng.randrange(len(cells[line]) + 1)] or [""]
    elif pick < 0.2:
        cells[line] = [*cells[line], rng.choice(_CELLS)]
    elif pick < 0.25:
        cells.insert(rng.randrange(len(cells)), rng.choice(([""], ["#"], ["a", "b"], list(cells[0]))))
    elif pick < 0.3:
        rng.shuffle(cells[line])
    elif cells[line]:
        cells[line][column % len(cells[line])] = rng.choice(_CELLS)
    return cells


def _table(rng: random.Random, part: str) -> bytes:
    header, *rows = rng.choice(_GEMMS) if part == "gemms" else _MEASURED
    rng.shuffle(rows)
    rows = rows[: rng.randint(0, len(rows))]
    if part == "calibrate":
        cells = [_MEASURED[at].split(",") for at in _CALIBRATED]
        rows = [",".join([*row[:8], str(64 * place), *row[9:]]) for place, row in enumerate(cells, 1)]
    text = _damaged(rng, [header, *rows], 0.5 if part == "calibrate" else 0.8)
    return text.encode("utf-8", "surrogatepass") if rng.random() < 0.85 else damage.text(rng, text)


def make(state: dict[str, Any], rng: random.Random, index: int) -> Case:
    """Damage a table, and read it."""
    part = rng.choices(("read", "validate", "calibrate", "gemms"), (80, 12, 1, 70))[0]
    data, arch = _table(rng, part), state["a100"]
    batch, dtype = rng.choice((None, None, None, 1, 2)), rng.choice((None, None, None, "int8", "x"))
    given, shown = rng.choice((None, arch)), rng.random() < 0.2

    def call() -> Any:
        from pathlib import Path

        import stcsim
        from stcsim.study.calibration.calibrate import calibrate
        from stcsim.study.measured import read_measured

        path = Path("t.csv")
        if part == "gemms":
            trace = stcsim.open_trace(path, batch, None, dtype)
            return trace, stcsim.run(trace, arch) if trace.macs < 10**9 else None
        if part == "read":
            return read_measured([path])
        if part == "validate":
            return stcsim.validate([path], given, jobs=1)
        return calibrate("a100", [path], evaluations=12, rows=4, jobs=1, params=["l2.bandwidth_bytes_per_clk"])

    def check(found: Any) -> list[str]:
        if part == "gemms":
            return laws.of_result(found[1], arch) if found[1] else []
        return _validated(found, shown) if part == "validate" else []

    return Case(part, f"{part} batch={batch} dtype={dtype} {damage.shown(data)}", call, check, {"t.csv": data})


def _validated(found: Any, shown: bool) -> list[str]:
    wrong = [f"a prediction is not finite and above 0 | {row}" for row in found.rows if not 0 < row.predicted_us < math.inf]
    wrong += [f"an error is not finite | {cell}" for cell in found.cells if not math.isfinite(cell.mean_abs)]
    if shown:
        from rich.console import Console

        from stcsim.report.terminal.validation import document, row_lines, validation_table
        from stcsim.result.document import csv_text, json_text

        Console(file=io.StringIO(), width=80).print(validation_table(found))
        json_text(document(found)), csv_text(row_lines(found))
    return wrong
