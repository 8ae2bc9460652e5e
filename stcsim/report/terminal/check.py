"""A check against PyTorch as a table with its verdict, as a document, and as lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.isa import DTYPES
from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.units import NOTHING, percent
from stcsim.result import document as documents

if TYPE_CHECKING:
    from stcsim.check.result import CheckReport, Errors, LayerCheck

_SIDES = (("2:4", "sparse"), ("dense", "dense"), ("torch", "torch"))
_SHARES_HEADER = "    0    1    2  3-4   >4"


def check_table(report: CheckReport) -> RenderableType:
    """Return one row for each layer, what the figures mean, and the verdict."""
    title = f"{report.name}, {report.dtype} on {report.arch} against torch {report.torch_version}"
    table = FittedTable(tuple(_columns(report)), foot="\n".join(_notes(report)))
    return Group(Text(title, "bold"), table, Text(), *_verdict(report))


_INPUTS = ("trace_sha256", "arch", "dtype", "weights", "seed", "max_columns", "max_macs")
"""Fields of a report that are arguments of the call."""


def document(report: CheckReport) -> dict[str, Any]:
    """Return the report, with ``passed``, and the share computed of each layer."""
    fields, inputs = documents.plain(report), {name: getattr(report, name) for name in _INPUTS}
    return documents.document(
        "check-1", {**fields, "passed": report.passed, "layers": list(map(_layer, report.layers)), "inputs": inputs}
    )


def row_lines(report: CheckReport) -> list[dict[str, object]]:
    """Return one flat line for each layer of the document."""
    return [documents.flat(_layer(layer)) for layer in report.layers]


def _layer(layer: LayerCheck) -> dict[str, Any]:
    plain: dict[str, Any] = documents.plain(layer)
    return plain | {"share": layer.share}


def _columns(report: CheckReport) -> list[Column]:
    rows = report.layers
    columns = [
        Column("#", tuple(Text(str(row.number), "dim") for row in rows), 3, justify="right"),
        Column("layer", tuple(Text(row.name, "red" if row.failures else "") for row in rows), elastic="start"),
        Column("m×n×k" + (" (×batch)" if any(row.batch > 1 for row in rows) else ""), tuple(map(_shape, rows)), 2),
        Column("computed", tuple(Text("all" if row.share == 1 else percent(row.share)) for row in rows), 2, justify="right"),
        Column("2:4\nformat", tuple(map(_format, rows))),
    ]
    if any(row.dense_differs is not None for row in rows):
        return columns + [_product(rows, *side) for side in _SIDES[:2]]
    for (word, side), rank in zip(_SIDES, (0, 6, 6), strict=True):
        columns.append(_errors(rows, f"{word}, ulp of {report.output}, %\n{_SHARES_HEADER}", side, _shares, rank))
    for header, rank, figure in (("mean", 0, _mean), ("max", 4, _largest), ("max/Σ", 5, _of_magnitudes)):
        columns += [_errors(rows, f"{header}\n{word}", side, figure, rank) for word, side in _SIDES]
    return columns


def _errors(rows: Sequence[LayerCheck], header: str, side: str, figure: Callable[[Errors], str], rank: int) -> Column:
    """Return a column of one figure of one side's errors."""
    errors: list[Errors | None] = [getattr(row, side) for row in rows]
    cells = tuple(Text(figure(each)) if each else Text(NOTHING, "dim") for each in errors)
    return Column(header, cells, rank, justify="right")


def _product(rows: Sequence[LayerCheck], word: str, side: str) -> Column:
    """Return a column that says whether one side's integer product is torch's."""
    counts: list[int | None] = [getattr(row, f"{side}_differs") for row in rows]
    return Column(f"{word}\nproduct", tuple(_same(None if count is None else not count) for count in counts))


def _shape(row: LayerCheck) -> Text:
    return Text(f"{row.m}×{row.n}×{row.k}") + Text(f" (×{row.batch})" if row.batch > 1 else "", "dim")


def _format(row: LayerCheck) -> Text:
    """Return how the compressed weights compare."""
    if row.not_sparse_because:
        return Text("dense", "dim")
    if row.round_trip and row.torch_format is None:
        return Text("ours")
    return _same(bool(row.round_trip and row.torch_format))


def _same(same: bool | None) -> Text:
    if same is None:
        return Text(NOTHING, "dim")
    return Text("= torch") if same else Text("WRONG", "bold red")


def _shares(errors: Errors) -> str:
    """Return the histogram as percentages in the columns of its header; a dot is nothing."""
    total = sum(errors.ulps) or 1
    shares = [100 * count / total for count in errors.ulps]
    return " ".join(
        f"{_share(share, 100 if place == 0 else 9.995):>{5 if place == 0 else 4}}" for place, share in enumerate(shares)
    )


def _share(share: float, least_short: float) -> str:
    """Return a percentage with two decimals, one from ``least_short`` on; nothing is never called everything."""
    if share in (0, 100):
        return "100" if share else "."
    if share < 0.005:
        return "<.01"
    return f"{min(share, 99.9):.1f}" if share >= least_short else f"{min(share, 99.99):.2f}"


def _mean(errors: Errors) -> str:
    return f"{errors.mean_relative:.1e}"


def _largest(errors: Errors) -> str:
    return f"{errors.largest_relative:.1e}"


def _of_magnitudes(errors: Errors) -> str:
    return f"{errors.largest_of_magnitudes:.1e}"


def _notes(report: CheckReport) -> list[str]:
    """Return what a reader must know of the figures."""
    rows = report.layers
    notes = [f"2:4 {report.sparse_instruction}, dense {report.dense_instruction}"]
    if any(row.dense for row in rows):
        notes.append(
            f"ulp: % of elements that far from the correctly rounded float64 result; mean, max: relative error against float64,"
            f" before rounding to {report.output}; max/Σ: error over the sum of |products|; torch: the same operands in float32"
        )
    part = sum(row.share < 1 for row in rows)
    limits = f"at most {report.max_columns:,} columns of n and {report.max_macs:,} MACs of a layer"
    notes.append(f"computed: {limits}, so {part} of {len(rows)} in part" if part else f"computed: all of n ({limits})")
    reasons = Counter(row.not_sparse_because for row in rows if row.not_sparse_because)
    notes += ["dense only: " + ", ".join(f"{why} ({count})" for why, count in reasons.items())] if reasons else []
    skipped = dict.fromkeys(row.torch_format_skipped for row in rows if row.torch_format_skipped)
    notes += [f"format 'ours' was not compared: {'; '.join(map(str, skipped))}"] if skipped else []
    return [*notes, _data_note(report)]


def _data_note(report: CheckReport) -> str:
    """Return where weights and activations come from."""
    sources = Counter(row.weights for row in report.layers)
    if not report.weights:
        return f"weights and activations: seeded (--seed {report.seed})"
    seeded = f", of {sources['seeded']} that it lacks seeded" if sources["seeded"] else ""
    return f"weights of {sources['file']} layers: {report.weights}{seeded}; activations: seeded (--seed {report.seed})"


def _verdict(report: CheckReport) -> list[Text]:
    """Return one line when all is well, else one for each failure."""
    bad = [(row, failure) for row in report.layers for failure in row.failures]
    if bad:
        count = len({row.number for row, _ in bad})
        lines = [Text(f"FAILED: {count} of {len(report.layers)} layers", "bold red")]
        return lines + [Text(f"  {row.name}: {failure}") for row, failure in bad]
    sparse = [row for row in report.layers if not row.not_sparse_because]
    layers = f"{len(sparse)} 2:4, {len(report.layers) - len(sparse)} dense only"
    what = [_worst(report)] if DTYPES[report.dtype].is_float else [f"every {report.dtype} product equals torch._int_mm"]
    if any(row.torch_format for row in sparse):
        what.append("compressed weights and metadata are torch's bit for bit")
    return [Text(f"passed ({layers}): {'; '.join(what)}", "bold green")]


def _worst(report: CheckReport) -> str:
    """Return the share of all 2:4 results, dense ones where none was pruned, within one ulp, and that no bound was broken."""
    errors = [row.sparse for row in report.layers if row.sparse] or [row.dense for row in report.layers if row.dense]
    near, total = (sum(sum(each.ulps[:end]) for each in errors) for end in (2, None))
    within = f"{_share(100 * near / max(total, 1), 100)} % of results within 1 ulp of {report.output}"
    return f"{within}, none beyond the datapath's error bound"
