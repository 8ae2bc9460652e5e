"""The operations of a network: ``Gemm``, ``Conv2d`` and ``Memory``, frozen, checked when built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from stcsim.errors import TraceError, closest
from stcsim.trace.model import ElementCount, Model, Offset, Size, Text, checked_type, inside, quoted, shorten


class Gemm(Model):
    """``batch`` independent products D[m x n] = A[m x k] . B[k x n]; A is the weight and the sparse operand.

    Attributes:
        m: output features.
        n: tokens, or batch times pixels.
        k: inputs, the reduction.
        weight_operand: ``"a"``, or ``None`` for a product of two activations (as written in the model: rows are m), never sparse.
        scales_with_batch: which of ``n`` and ``batch`` grows with the network's batch; ``None`` when neither does.
        spread_rows, experts: rows that ``experts`` products share evenly: ``n`` is a share rounded up, ``batch`` those busy.
        weight_of: name of the earlier operation whose weight it shares; empty when the weight is its own.
        inputs: names of the operations whose output it reads; without a weight A's producer comes first.
        count: identical launches.
        origin: class of the module and operator it was captured from.
        dtype: element type of its own; empty where it runs in the one of the network.
    """

    place: ClassVar[str] = "gemm"
    later: ClassVar[tuple[str, ...]] = ("spread_rows", "experts", "dtype")
    kind: Literal["gemm"] = "gemm"
    name: Text
    m: Size
    n: Size
    k: Size
    batch: Size = 1
    weight_operand: Literal["a", None] = "a"
    scales_with_batch: Literal["n", "batch", None] = None
    spread_rows: Size | None = None
    experts: Size | None = None
    weight_of: Text = ""
    inputs: tuple[Text, ...] = ()
    count: Size = 1
    origin: Text = ""
    dtype: Text = ""

    @field_validator("dtype")
    @classmethod
    def _is_known(cls, dtype: str) -> str:
        return checked_type(dtype) if dtype else dtype

    @model_validator(mode="after")
    def _is_spread(self) -> Gemm:
        if self.spread_rows is None and self.experts is None:
            return self
        where = f"gemm '{self.name}': spread_rows"
        if self.spread_rows is None or self.experts is None:
            raise TraceError(where, "spread_rows and experts, or neither", "one of them")
        n, batch = spread(self.spread_rows, self.experts)
        if (self.n, self.batch) != (n, batch):
            found = f"n = {self.n} and batch = {self.batch}"
            raise TraceError(where, f"n = {n} and batch = {batch} ({self.spread_rows} rows over {self.experts} experts)", found)
        return self

    @property
    def rows(self) -> int:
        """Rows, or columns of B, of all ``batch`` products together."""
        return self.spread_rows or self.n * self.batch

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one launch."""
        return self.m * self.rows * self.k

    @property
    def weight_elements(self) -> int:
        """Elements of A in all ``batch`` products; 0 without a weight."""
        return self.m * self.k * self.batch if self.weight_operand else 0

    @property
    def output_elements(self) -> int:
        """Elements of D in all ``batch`` products."""
        return self.m * self.rows

    def with_rows(self, rows: int) -> Gemm:
        """Return the same operation with as many rows spread over its experts."""
        n, batch = spread(rows, self.experts or self.batch)
        return self.changed(n=n, batch=batch, spread_rows=rows, experts=self.experts or self.batch)

    def rescaled(self, new: int, old: int) -> Gemm:
        """Return the same operation with the network's batch changed from ``old`` to ``new``."""
        field = self.scales_with_batch
        if field and self.spread_rows:
            return self.with_rows(_scale(self, "spread_rows", new, old))
        return self if field is None else self.changed(**{field: _scale(self, field, new, old)})


def spread(rows: int, experts: int) -> tuple[int, int]:
    """Return the rows of a product, rounded up, and how many products have any, where ``experts`` share ``rows`` evenly."""
    busy = min(rows, experts)
    return -(-rows // busy), busy


class Conv2d(Model):
    """A convolution of ``k`` filters of ``c/groups x r x s`` over ``batch`` images of ``c x h x w``.

    Attributes:
        stride, padding, dilation: (rows, columns); padding is on both sides.
        transposed: each input pixel adds to ``r x s`` output pixels that lie ``stride`` apart (``torch.nn.ConvTranspose2d``).
        output_padding: rows and columns added at the end of a transposed convolution's output.
        weight_of: name of the earlier operation whose filters it shares; empty when they are its own.
        inputs: names of the operations whose output it reads.
        count: identical launches.
        origin: class of the module and operator it was captured from.
    """

    place: ClassVar[str] = "conv2d"
    kind: Literal["conv2d"] = "conv2d"
    name: Text
    batch: Size
    c: Size
    h: Size
    w: Size
    k: Size
    r: Size
    s: Size
    stride: tuple[Size, Size] = (1, 1)
    padding: tuple[Offset, Offset] = (0, 0)
    dilation: tuple[Size, Size] = (1, 1)
    groups: Size = 1
    transposed: bool = Field(default=False, strict=True)
    output_padding: tuple[Offset, Offset] = (0, 0)
    weight_of: Text = ""
    inputs: tuple[Text, ...] = ()
    count: Size = 1
    origin: Text = ""

    @model_validator(mode="after")
    def _can_run(self) -> Conv2d:
        where = f"conv2d '{self.name}'"
        for field in ("c", "k"):
            if getattr(self, field) % self.groups:
                raise TraceError(f"{where}: groups", f"a divisor of {field} = {getattr(self, field)}", str(self.groups))
        if any(self.output_padding) and not self.transposed:
            found = ",".join(map(str, self.output_padding))
            raise TraceError(f"{where}: output_padding", "0,0 unless the convolution is transposed", found)
        if self.p < 1 or self.q < 1:
            image = f"{self.h}x{self.w} with padding {self.padding[0]},{self.padding[1]}"
            found = f"an empty output ({self.r}x{self.s} filter, dilation {self.dilation[0]},{self.dilation[1]}, on {image})"
            expected = "less padding" if self.transposed else "an image at least as large as the filter"
            raise TraceError(where, expected, found)
        return self

    @property
    def p(self) -> int:
        """Output rows."""
        return self._outputs(0, self.h, self.r)

    @property
    def q(self) -> int:
        """Output columns."""
        return self._outputs(1, self.w, self.s)

    def _outputs(self, axis: int, inputs: int, taps: int) -> int:
        reach = self.dilation[axis] * (taps - 1) + 1
        if self.transposed:
            return (inputs - 1) * self.stride[axis] + reach + self.output_padding[axis] - 2 * self.padding[axis]
        return (inputs + 2 * self.padding[axis] - reach) // self.stride[axis] + 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one launch: every filter tap once for each output pixel, or input pixel if transposed."""
        pixels = self.h * self.w if self.transposed else self.p * self.q
        return self.batch * pixels * self.weight_elements

    @property
    def weight_elements(self) -> int:
        """Elements of all filters."""
        return self.k * (self.c // self.groups) * self.r * self.s

    @property
    def output_elements(self) -> int:
        """Elements of all output images."""
        return self.batch * self.k * self.p * self.q

    def gemm(self) -> Gemm:
        """Return the implicit GEMM: filters x (images times output pixels) x filter size, one for each group.

        An output pixel of a transposed convolution is reached by one in ``stride`` taps of each axis, rounded up, so that its
        GEMM may have more multiply-accumulates than the convolution.
        """
        taps = self.r * self.s
        if self.transposed:
            taps = -(-taps // (self.stride[0] * self.stride[1]))
        return Gemm(
            name=self.name,
            m=self.k // self.groups,
            n=self.batch * self.p * self.q,
            k=self.c // self.groups * taps,
            batch=self.groups,
            scales_with_batch="n",
            weight_of=self.weight_of,
            inputs=self.inputs,
            count=self.count,
            origin=self.origin,
        )

    def direct(self) -> Conv2d:
        """Return how the input is read: a transposed convolution as one of its ``stride`` direct ones, each over all of it.

        Output pixels of one remainder modulo the stride are a direct convolution of stride 1 with every ``stride``-th tap.
        """
        if not self.transposed:
            return self
        r, s = -(-self.r // self.stride[0]), -(-self.s // self.stride[1])
        padding = (self.dilation[0] * (r - 1), self.dilation[1] * (s - 1))
        return self.changed(r=r, s=s, stride=(1, 1), padding=padding, transposed=False, output_padding=(0, 0))

    def rescaled(self, new: int, old: int) -> Conv2d:
        """Return the same operation with the network's batch changed from ``old`` to ``new``."""
        return self.changed(batch=_scale(self, "batch", new, old))


class Memory(Model):
    """A step that moves data and hardly computes: element-wise, norm, softmax, pooling, look-up or copy.

    Attributes:
        operator: what it is, a short standard word such as ``"add"`` or ``"layer_norm"``; the aten name where there is none.
        elements_read, elements_written: activation elements of one launch; bytes follow from the run's element type.
        constant_elements: parameters read by one launch, such as a norm's weights; they do not grow with the batch.
        scales_with_batch: whether the activation elements grow with the network's batch.
        fuses_into: name of the earlier operation whose kernel can do it on the way; that one fuses into nothing itself.
        inputs: names of the operations whose output it reads, in operand order.
        count: identical launches.
        origin: class of the module and operator it was captured from.
    """

    place: ClassVar[str] = "memory"
    macs: ClassVar[int] = 0
    weight_elements: ClassVar[int] = 0

    kind: Literal["memory"] = "memory"
    name: Text
    operator: Text
    elements_read: ElementCount
    elements_written: ElementCount
    constant_elements: ElementCount = 0
    scales_with_batch: bool = Field(default=True, strict=True)
    fuses_into: Text = ""
    inputs: tuple[Text, ...] = ()
    count: Size = 1
    origin: Text = ""

    @property
    def output_elements(self) -> int:
        """Elements written by one launch."""
        return self.elements_written

    def rescaled(self, new: int, old: int) -> Memory:
        """Return the same operation with the network's batch changed from ``old`` to ``new``."""
        if not self.scales_with_batch:
            return self
        return self.changed(**{field: _scale(self, field, new, old) for field in ("elements_read", "elements_written")})


Op = Gemm | Conv2d | Memory

KINDS: dict[str, type[Op]] = {"gemm": Gemm, "conv2d": Conv2d, "memory": Memory}


def build_op(index: int, fields: object) -> Op:
    """Return the operation described by ``fields`` (an operation passes through).

    Raises:
        TraceError: naming ``ops[index]``, the operation and the field.
    """
    if isinstance(fields, Gemm | Conv2d | Memory):
        return fields
    where = f"ops[{index}]"
    if not isinstance(fields, Mapping):
        raise TraceError(where, "an object with a kind", shorten(fields))
    kind = fields.get("kind")
    model = KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        place, known = f"{where}{quoted(fields.get('name'))}: kind", ", ".join(KINDS)
        found = f"{shorten(kind)}{closest(str(kind), KINDS)}" if "kind" in fields else "no such field"
        raise TraceError(place, f"one of {known}", found)
    with inside(where):
        return model(**fields)


def _scale(op: Conv2d | Gemm | Memory, field: str, new: int, old: int) -> int:
    value: int = getattr(op, field)
    scaled, rest = divmod(value * new, old)
    if rest:
        where = f"{op.kind} '{op.name}': {field}"
        raise TraceError(where, f"a batch that scales {value} to a whole number", f"{value} x {new} / {old}")
    return scaled
