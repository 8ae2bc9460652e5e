"""SlideSparse's searches over all algorithms of cuBLASLt (dense) and cuSPARSELt (2:4), launched back to back on warm weights."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from stcsim.errors import TraceError
from stcsim.study.public.csv_file import CsvFile, Record, read_csv
from stcsim.study.public.rows import DENSE, SPARSE, LeftOut, Row

_LIBRARIES = {"cuBLASLt": DENSE, "cuSPARSELt": SPARSE}
_ARCHS = {"A100": "a100-pcie", "H100": "h100-pcie", "RTX4090": "rtx4090", "B200": "b200", "RTX5080": "rtx5080"}
_UNTUNED_INT8 = ("b200", "rtx5080")
"""GPUs whose dense int8 kernels nobody has tuned."""

_TIMES = ("lat_us_1", "lat_us")
"""Of the best algorithm; two files know only that one."""

_LAUNCHES = 50
_LAUNCH_BOUND_FLOPS = 1e9
_PATTERN = re.compile(r"_2_(\d+|inf)$")


@dataclass(frozen=True, slots=True)
class _Type:
    """A type by the name of its folder: stcsim's name, the grade, and what dense and 2:4 write where the file does not say."""

    dtype: str
    grade: str
    writes: dict[str, str]


_TYPES = {
    "FP16": _Type("fp16", "A", {DENSE: "fp16", SPARSE: "fp16"}),
    "BF16": _Type("bf16", "A", {DENSE: "bf16", SPARSE: "bf16"}),
    "FP8": _Type("fp8e4m3", "A", {DENSE: "bf16", SPARSE: "bf16"}),
    "INT8": _Type("int8", "B", {DENSE: "int32", SPARSE: "bf16"}),
}
_OUT_TYPES = {
    "fp16": ("fp16", "float16", "half", "16f"),
    "bf16": ("bf16", "bfloat16", "16bf"),
    "fp32": ("fp32", "float32", "float", "32f"),
    "int32": ("int32", "32i"),
    "int8": ("int8", "8i"),
    "fp8e4m3": ("fp8", "fp8e4m3", "fp8_e4m3", "e4m3", "float8_e4m3fn", "8f_e4m3"),
}


@dataclass(frozen=True, slots=True)
class _Run:
    """What all rows of a file share."""

    arch: str
    gpu: str
    library: str
    sparsity: str
    kind: _Type
    out_dtype: str
    suite: str
    launches: int


def convert(file: Path, name: str) -> Iterator[Row | LeftOut]:
    """Yield the rows of one file; their M is tokens, their N output features, times are in µs, and 0 means not run.

    ``…_2_6`` and the like are patterns (2N-2):2N, run as 2:4 at a stretched K; only plain 2:4 is used.
    """
    table = read_csv(file, name, ("M", "N", "K"))
    if not any(column in table.columns for column in _TIMES):
        table.require(_TIMES[:1])
    reason = _unused(table)
    if reason:
        yield LeftOut(reason, len(table.records))
        return
    run = _run(table)
    for record in table.records:
        yield _row(record, run, next(column for column in _TIMES if column in table.columns))


def _folders(name: str) -> tuple[str, str, str, str]:
    """Return library, GPU, type and stem of ``…/LIBRARY/alg_search_results/GPU/TYPE/STEM.csv``."""
    library, _, gpu, kind, file = PurePosixPath(name).parts[-5:]
    return library, gpu, kind, PurePosixPath(file).stem


def _unused(table: CsvFile) -> str:
    """Return why no row of a file is used; empty where all may be."""
    _, _, kind, stem = _folders(table.name)
    if kind == "FP4":
        return "of FP4 (K is counted twice)"
    if kind not in _TYPES:
        return f"of {kind} (a type that stcsim does not read)"
    pattern = _PATTERN.search(stem)
    factor = re.search(r"K_factor\s*=\s*([\d.]+)", table.comment("sparsity"))
    if (pattern and pattern[1] != "4") or (factor and float(factor[1]) != 1):
        return "of patterns other than 2:4 (run as 2:4 at a stretched K)"
    return ""


def _run(table: CsvFile) -> _Run:
    library, folder, kind, stem = _folders(table.name)
    gpu = folder.partition("_cc")[0]
    repeat = re.search(r"repeat\s*=\s*(\d+)", " ".join(table.comments))
    sparsity, known = _LIBRARIES[library], _TYPES[kind]
    return _Run(
        arch=_ARCHS.get(gpu, gpu.lower()), gpu=table.comment("gpu") or gpu, library=library, sparsity=sparsity, kind=known,
        out_dtype=_out_dtype(table) or known.writes[sparsity], suite=_PATTERN.sub("", table.comment("model") or stem),
        launches=int(repeat[1]) if repeat else _LAUNCHES,
    )  # fmt: skip


def _out_dtype(table: CsvFile) -> str:
    """Return what ``dtype: IN -> OUT`` says, empty where a file has no such line."""
    said = table.comment("dtype")
    if "->" not in said:
        return ""
    word = said.rpartition("->")[2].strip().lower().removeprefix("cuda_r_").removeprefix("torch.")
    found = next((name for name, words in _OUT_TYPES.items() if word in words), None)
    if found is None:
        raise TraceError(f"{table.name}: dtype", f"IN -> one of {', '.join(_OUT_TYPES)}", f"'{said}'")
    return found


def _row(record: Record, run: _Run, time: str) -> Row:
    tokens, features, k = (record.whole(column) for column in ("M", "N", "K"))
    untuned = run.kind.dtype == "int8" and run.sparsity == DENSE and run.arch in _UNTUNED_INT8
    unscored = untuned or 2 * tokens * features * k < _LAUNCH_BOUND_FLOPS
    return Row(
        arch=run.arch, gpu=run.gpu, sparsity=run.sparsity, library=run.library, dtype=run.kind.dtype, out_dtype=run.out_dtype,
        m=features, n=tokens, k=k, time_us=record.number(time), timing="stream", grade="C" if unscored else run.kind.grade,
        suite=run.suite, weight_copies=1, launches=run.launches,
    )  # fmt: skip
