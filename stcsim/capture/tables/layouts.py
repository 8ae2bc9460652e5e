"""What the columns of a table mean: stcsim's own table of GEMMs, and the two kinds of topology files that SCALE-Sim reads.

SCALE-Sim (github.com/scalesim-project/scale-sim-v2, ``topology_utils.py``) writes a GEMM as M pixels or tokens, N filters and K
elements of a filter, so its N is the ``m`` of the weight here and its M is ``n``. Its convolutions have no padding of their own
(the image has it already), as many strides for rows as for columns unless a second one is given, and an output of
``ceil((image - filter) / stride) + 1``: a last window that does not fit counts. Of a layer with "DP" in its name every channel is
a convolution of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from stcsim.capture.tables.cells import Row, element, weight_operand, whole, whole_or
from stcsim.errors import TraceError, closest
from stcsim.trace import Conv2d, Gemm
from stcsim.trace.model import shorten

Product = Gemm | Conv2d

DEPTHWISE = "DP"
"""What SCALE-Sim finds in the name of a depthwise layer."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of table.

    Attributes:
        columns: the field that each column is, by what the column may be called in small letters.
        required: what there must be a column for.
        build: makes the operation of one line, of the layer's name and the cells.
        by_name: whether the name of a layer says more than what to call it.
        follows_batch: whether the images of another batch can be had.
        says: what a reader must know of the operations.
    """

    columns: Mapping[str, str]
    required: tuple[str, ...]
    build: Callable[[str, Row], Product]
    by_name: bool = False
    follows_batch: bool = False
    says: str = "sizes as the table gives them"

    def fields(self, where: str, names: Sequence[str]) -> list[str]:
        """Return the field of each column.

        Raises:
            TraceError: for a column that is none, one that is there twice, and one that is missing.
        """
        known = list(self.columns)
        for name in names:
            if name not in self.columns:
                raise TraceError(where, f"columns out of {', '.join(known)}", f"{shorten(name)}{closest(name[:100], known)}")
        fields = [self.columns[name] for name in names]
        for name, field in zip(names, fields, strict=True):
            if fields.count(field) > 1:
                raise TraceError(where, f"one column '{name}'", str(fields.count(field)))
        missing = next((field for field in self.required if field not in fields), None)
        if missing is not None:
            raise TraceError(where, f"the columns {', '.join(self._called(self.required))}", f"no column '{self._name(missing)}'")
        return fields

    def _called(self, fields: Iterable[str]) -> list[str]:
        return [self._name(field) for field in fields]

    def _name(self, field: str) -> str:
        return next(name for name, known in self.columns.items() if known == field)


def layout_of(names: Sequence[str]) -> Layout:
    """Return the kind of a table whose first line has these column names, in small letters."""
    if any(name.startswith("ifmap") for name in names):
        return CONVOLUTIONS
    return SCALE_GEMMS if names[0] in _LAYER and "name" not in names else GEMMS


def column_name(cell: str) -> str:
    """Return what a column is called, in small letters, with single spaces."""
    return " ".join(cell.lower().replace("_", " ").split())


def _gemm(name: str, row: Row) -> Gemm:
    return Gemm(
        name=name,
        m=whole(row, "m"),
        n=whole(row, "n"),
        k=whole(row, "k"),
        batch=whole_or(row, "batch", 1),
        count=whole_or(row, "count", 1),
        weight_operand=weight_operand(row),
        dtype=element(row),
        origin="CSV",
    )


def _scale_gemm(name: str, row: Row) -> Gemm:
    return Gemm(
        name=name,
        m=whole(row, "filters", "n"),
        n=whole(row, "pixels", "m"),
        k=whole(row, "k"),
        batch=whole_or(row, "batch", 1),
        count=whole_or(row, "count", 1),
        dtype=element(row),
        origin="SCALE-Sim",
    )


def _scale_conv(name: str, row: Row) -> Conv2d:
    sizes = {field: whole(row, field, column) for field, column in _CONV_COLUMNS.items()}
    rows = whole(row, "stride", "strides")
    stride = rows, whole_or(row, "stride_w", rows, "stride width")
    groups = sizes["c"] if DEPTHWISE in name else 1
    h, w = (_image(*each) for each in zip(_AXES, (sizes["h"], sizes["w"]), (sizes["r"], sizes["s"]), stride, strict=True))
    batch = whole_or(row, "batch", 1, "batch size")
    filters = sizes["k"] * groups
    return Conv2d(
        name=name, batch=batch, c=sizes["c"], h=h, w=w, k=filters, r=sizes["r"], s=sizes["s"], stride=stride, groups=groups,
        origin="SCALE-Sim",
    )  # fmt: skip


def _image(axis: str, image: int, taps: int, stride: int) -> int:
    """Return the rows or columns that the windows of a filter reach over, the last one counted whole.

    Raises:
        TraceError: when the filter is larger than the image.
    """
    if taps > image:
        raise TraceError(f"filter {axis}", f"at most the image's {image}", str(taps))
    return -(-(image - taps) // stride) * stride + taps


_AXES = ("height", "width")
_LAYER = ("layer", "layer name")
_CONV_COLUMNS = {
    "h": "ifmap height",
    "w": "ifmap width",
    "r": "filter height",
    "s": "filter width",
    "c": "channels",
    "k": "num filter",
}
_UNREAD = {"sparsity": "sparsity"}
"""Says which weights SCALE-Sim's hardware skips; here every layer is timed dense and 2:4 anyway."""

GEMMS = Layout({name: name for name in ("name", "m", "n", "k", "batch", "count", "weights", "dtype")}, ("m", "n", "k"), _gemm)
SCALE_GEMMS = Layout(
    {
        **dict.fromkeys(_LAYER, "name"),
        **{"m": "pixels", "n": "filters", "k": "k"},
        **{"batch": "batch", "batch size": "batch", "count": "count", "dtype": "dtype"},
        **_UNREAD,
    },
    ("pixels", "filters", "k"),
    _scale_gemm,
    says="SCALE-Sim topology: its N filters are m here, its M pixels n; every layer is taken to have weights",
)
CONVOLUTIONS = Layout(
    {
        **dict.fromkeys(_LAYER, "name"),
        **{column: field for field, column in _CONV_COLUMNS.items()},
        **{"num filters": "k", "channel": "c"},
        **dict.fromkeys(("strides", "stride", "stride height", "stride h", "strides h"), "stride"),
        **dict.fromkeys(("stride width", "stride w", "strides w"), "stride_w"),
        **{"batch": "batch", "batch size": "batch"},
        **_UNREAD,
    },
    (*_CONV_COLUMNS, "stride"),
    _scale_conv,
    by_name=True,
    follows_batch=True,
    says="SCALE-Sim topology: no padding but what the images have; a last window that does not fit counts, as it does there",
)
