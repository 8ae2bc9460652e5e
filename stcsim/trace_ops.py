"""The operations of a network: ``Gemm``, ``Conv2d`` and ``Memory``, frozen, checked when built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stcsim.errors import TraceError, closest

Size = Annotated[int, Field(strict=True, gt=0, lt=2**31)]
Offset = Annotated[int, Field(strict=True, ge=0, lt=2**31)]
ByteCount = Annotated[int, Field(strict=True, ge=0, lt=2**63)]


class Model(BaseModel):
    """A frozen value that refuses bad fields with a ``TraceError``, built in Python or read from a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: What a sentence about a bad field calls this value.
    place: ClassVar[str] = ""

    if not TYPE_CHECKING:  # type checkers see the signature pydantic generates

        def __init__(self, /, **fields: Any) -> None:
            try:
                super().__init__(**fields)
            except ValidationError as error:
                raise _refusal(type(self), fields, error) from None

    def changed(self, **fields: object) -> Self:
        """Return the same value with some fields replaced, checked anew."""
        return type(self)(**{**dict(self), **fields})


class Gemm(Model):
    """``batch`` independent products D[m x n] = A[m x k] . B[k x n]; A is the weight and the sparse operand.

    Attributes:
        m: output features. n: tokens, or batch times pixels. k: inputs, the reduction.
        weight_operand: ``"a"``, or ``None`` for a product of two activations (as written in the model: rows are m), never sparse.
        scales_with_batch: which of ``n`` and ``batch`` grows with the network's batch; ``None`` when neither does.
        count: identical launches.
        origin: class of the module and operator it was captured from.
    """

    place: ClassVar[str] = "gemm"
    kind: Literal["gemm"] = "gemm"
    name: str
    m: Size
    n: Size
    k: Size
    batch: Size = 1
    weight_operand: Literal["a", None] = "a"
    scales_with_batch: Literal["n", "batch", None] = None
    count: Size = 1
    origin: str = ""

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one launch."""
        return self.m * self.n * self.k * self.batch

    @property
    def weight_elements(self) -> int:
        """Elements of A in all ``batch`` products; 0 without a weight."""
        return self.m * self.k * self.batch if self.weight_operand else 0

    def rescaled(self, new: int, old: int) -> Gemm:
        """Return the same operation with the network's batch changed from ``old`` to ``new``."""
        field = self.scales_with_batch
        return self if field is None else self.changed(**{field: _scale(self, field, new, old)})


class Conv2d(Model):
    """A convolution of ``k`` filters of ``c/groups x r x s`` over ``batch`` images of ``c x h x w``.

    Attributes:
        stride, padding, dilation: (rows, columns); padding is on both sides.
        count: identical launches.
        origin: class of the module and operator it was captured from.
    """

    place: ClassVar[str] = "conv2d"
    kind: Literal["conv2d"] = "conv2d"
    name: str
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
    count: Size = 1
    origin: str = ""

    @model_validator(mode="after")
    def _can_run(self) -> Conv2d:
        for field in ("c", "k"):
            if getattr(self, field) % self.groups:
                where = f"conv2d '{self.name}': groups"
                raise TraceError(where, f"a divisor of {field} = {getattr(self, field)}", str(self.groups))
        if self.p < 1 or self.q < 1:
            image = f"{self.h}x{self.w} with padding {self.padding[0]},{self.padding[1]}"
            found = f"an empty output ({self.r}x{self.s} filter, dilation {self.dilation[0]},{self.dilation[1]}, on {image})"
            raise TraceError(f"conv2d '{self.name}'", "an image at least as large as the filter", found)
        return self

    @property
    def p(self) -> int:
        """Output rows."""
        return (self.h + 2 * self.padding[0] - self.dilation[0] * (self.r - 1) - 1) // self.stride[0] + 1

    @property
    def q(self) -> int:
        """Output columns."""
        return (self.w + 2 * self.padding[1] - self.dilation[1] * (self.s - 1) - 1) // self.stride[1] + 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one launch."""
        return self.batch * self.p * self.q * self.weight_elements

    @property
    def weight_elements(self) -> int:
        """Elements of all filters."""
        return self.k * (self.c // self.groups) * self.r * self.s

    def gemm(self) -> Gemm:
        """Return the implicit GEMM: filters x (images times output pixels) x filter size, one for each group."""
        return Gemm(
            name=self.name,
            m=self.k // self.groups,
            n=self.batch * self.p * self.q,
            k=self.c // self.groups * self.r * self.s,
            batch=self.groups,
            scales_with_batch="n",
            count=self.count,
            origin=self.origin,
        )

    def rescaled(self, new: int, old: int) -> Conv2d:
        """Return the same operation with the network's batch changed from ``old`` to ``new``."""
        return self.changed(batch=_scale(self, "batch", new, old))


class Memory(Model):
    """An element-wise, norm, softmax or pooling step, which only moves bytes; all of them grow with the batch.

    Attributes:
        bytes_read, bytes_written: of one launch.
        fused: true when a neighbouring kernel does it in its epilogue or prologue.
        count: identical launches.
    """

    place: ClassVar[str] = "memory"
    macs: ClassVar[int] = 0
    weight_elements: ClassVar[int] = 0

    kind: Literal["memory"] = "memory"
    name: str
    bytes_read: ByteCount
    bytes_written: ByteCount
    fused: bool = Field(default=False, strict=True)
    count: Size = 1

    def rescaled(self, new: int, old: int) -> Memory:
        """Return the same operation with the network's batch changed from ``old`` to ``new``."""
        return self.changed(**{field: _scale(self, field, new, old) for field in ("bytes_read", "bytes_written")})


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
        place, known = f"{where}{_quoted(fields.get('name'))}: kind", ", ".join(KINDS)
        found = f"{shorten(kind)}{closest(str(kind), KINDS)}" if "kind" in fields else "no such field"
        raise TraceError(place, f"one of {known}", found)
    with inside(where):
        return model(**fields)


@contextmanager
def inside(place: str, joint: str = " ") -> Iterator[None]:
    """Put ``place`` in front of the place a ``TraceError`` names."""
    try:
        yield
    except TraceError as error:
        raise TraceError(f"{place}{joint}{error.where}", error.expected, error.found) from None


def shorten(value: object, limit: int = 60) -> str:
    """Return ``value`` as a short quotation."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _scale(op: Conv2d | Gemm | Memory, field: str, new: int, old: int) -> int:
    value: int = getattr(op, field)
    scaled, rest = divmod(value * new, old)
    if rest:
        where = f"{op.kind} '{op.name}': {field}"
        raise TraceError(where, f"a batch that scales {value} to a whole number", f"{value} x {new} / {old}")
    return scaled


def _quoted(name: object) -> str:
    return f" {shorten(name)}" if isinstance(name, str) else ""


def _refusal(model: type[Model], fields: Mapping[str, object], error: ValidationError) -> TraceError:
    """Say in one sentence the first thing that is wrong; a misspelt field comes before the one it leaves missing."""
    problems = error.errors(include_url=False)
    problem = next((p for p in problems if p["type"] == "extra_forbidden"), problems[0])
    field = str(problem["loc"][0]) + "".join(f"[{step}]" for step in problem["loc"][1:] if isinstance(step, int))
    where = ": ".join(part for part in (model.place + _quoted(fields.get("name")), field) if model.place or part is field)
    if problem["type"] == "extra_forbidden":
        known = list(model.model_fields)
        return TraceError(where, f"one of {', '.join(known)}", f"'{field}'{closest(field, known)}")
    if problem["type"] == "missing":
        return TraceError(where, "a value", "no such field" if len(problem["loc"]) == 1 else "none")
    described = model.model_fields[str(problem["loc"][0])].description
    if described:
        return TraceError(where.partition("[")[0], described, shorten(fields[str(problem["loc"][0])]))
    limits = problem.get("ctx", {})
    phrase = _PHRASES.get(problem["type"])
    expected = phrase.format(**limits) if phrase else problem["msg"].removeprefix("Input should be ")
    return TraceError(where, expected, shorten(problem["input"]))


_PHRASES = {
    "greater_than": "a number above {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number below {lt}",
    "int_type": "a whole number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "too_long": "{max_length} values",
}
