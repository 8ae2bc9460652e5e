"""The kernels of a GPU as a sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stcsim.report.sheet import Field, Sheet

if TYPE_CHECKING:
    from stcsim.study.kernels import Catalogue

_FIELDS = (
    Field("name", "kernel"),
    Field("side", "", rank=1),
    Field("tile_m", "tile m", rank=1),
    Field("tile_n", "n", rank=1),
    Field("tile_k", "k", rank=1),
    Field("k_bytes", "k", "bytes", rank=3),
    Field("stages", rank=1),
    Field("warps", rank=2),
    Field("cluster", rank=2),
    Field("ctas_per_sm", "CTAs", "per SM", rank=3),
    Field("max_splits", "k-slices", "at most", rank=2),
    Field("swizzle", rank=3),
    Field("notes", rank=3, elastic="end"),
)
_SOURCE = Field("source", rank=4, elastic="end")


def kernels_sheet(catalogue: Catalogue) -> Sheet:
    """Return one row for each kernel; ``source`` is a column where a row has one."""
    rows = catalogue.rows
    what = "convolutions" if catalogue.conv else "GEMMs"
    library = catalogue.inputs["library"]
    whose = f" (of {library})" if any(row.side != "dense" for row in rows) else ""
    sides = [f"{sum(row.side == side for row in rows):,} {side}" for side in dict.fromkeys(row.side for row in rows)]
    fields = (*_FIELDS, _SOURCE) if any(row.source for row in rows) else _FIELDS
    return Sheet(
        "kernels-1",
        f"kernels for {what} on {catalogue.arch} in {catalogue.dtype}: {', '.join(sides)}{whose}",
        fields,
        rows,
        catalogue.inputs,
        foot="any of them may be forced (kernel); _k4 at the end of a name cuts k into four slices",
    )
