"""A ``Trace``: the operations one forward pass of a network asks of a GPU, with its source, as a frozen value and as JSON."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, field_validator, model_validator

from stcsim.data import data_folder, data_names, shipped_name
from stcsim.errors import StcsimError, TraceError, closest, quoted
from stcsim.files import write_whole
from stcsim.partial import Partial
from stcsim.trace.edges import check_edges
from stcsim.trace.model import ElementCount, Model, Offset, Size, checked_type, inside, shorten
from stcsim.trace.ops import Conv2d, Gemm, Memory, Op, build_op

__all__ = ["Conv2d", "Gemm", "Memory", "Op", "Source", "Trace", "TraceOrName", "load_trace", "trace_names"]

FORMAT_VERSION: Final = 1
_REASONS = 2
"""Reasons why the batch cannot be changed that a sentence gives."""
_OTHERS = (".onnx", ".csv")
"""Endings of networks that are no traces yet."""


class Source(Model):
    """Where a trace comes from.

    Attributes:
        model: class or factory.
        library, version: what it was imported from.
        notes: configuration, and anything a reader must know.
        unhandled: operators that multiply but are not in the trace, each with its module; empty in a whole trace.
        unhandled_macs: multiply-accumulates of those at least, at the trace's batch; 0 where no shape bounds them.
        unsized: steps that are not in the trace because their sizes are unknown, each with its module.
        fixed_batch: why the batch cannot be changed: which operator does not follow it, and how.
    """

    place: ClassVar[str] = "source"
    later: ClassVar[tuple[str, ...]] = ("unhandled_macs", "unsized", "fixed_batch")

    model: str
    library: str
    version: str
    notes: str = ""
    unhandled: tuple[str, ...] = ()
    unhandled_macs: ElementCount = 0
    unsized: tuple[str, ...] = ()
    fixed_batch: tuple[str, ...] = ()


class Trace(Model):
    """The operations of one forward pass of a network, in network order.

    Attributes:
        batch: samples in one pass.
        input_shape: of one sample, without the batch, as a shape or as named lengths.
        dtype: element type the GEMMs run in unless a run asks for another.
        rescalable: false when some shape does not follow the batch; then the trace is right at ``batch`` only.
    """

    format_version: Literal[1] = FORMAT_VERSION
    name: str
    title: str
    source: Source
    batch: Size
    input_shape: tuple[Size, ...] | dict[str, Offset] = Field(description='a shape, or lengths such as {"tokens": 128}')
    dtype: str = "fp16"
    rescalable: bool = Field(default=True, strict=True)
    ops: tuple[Annotated[Op, Field(discriminator="kind")], ...]

    @field_validator("dtype")
    @classmethod
    def _is_known(cls, dtype: str) -> str:
        return checked_type(dtype)

    @field_validator("ops", mode="before")
    @classmethod
    def _build_ops(cls, ops: object) -> object:
        if not isinstance(ops, list | tuple):
            return ops
        if not ops:
            raise TraceError("ops", "at least one operation", "an empty list")
        return tuple(build_op(index, op) for index, op in enumerate(ops))

    @model_validator(mode="after")
    def _edges_hold(self) -> Trace:
        check_edges(self.ops)
        return self

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one pass."""
        return sum(op.macs * op.count for op in self.ops)

    @property
    def partial(self) -> Partial | None:
        """What is missing from the trace, and so from every total; ``None`` of a whole network."""
        return Partial.of(self.source.unhandled, self.source.unsized, self.source.unhandled_macs, self.macs)

    @property
    def weight_elements(self) -> int:
        """Elements of all weights of GEMMs and convolutions; one that several operations share counts once."""
        return sum(op.weight_elements for op in self.ops if not isinstance(op, Memory) and not op.weight_of)

    @property
    def sha256(self) -> str:
        """Hash of the canonical JSON: sorted keys, no spaces, every field written out."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def with_batch(self, batch: int) -> Trace:
        """Return the same network at another batch, exactly.

        Raises:
            TraceError: when ``batch`` is not positive, or a shape does not follow the batch in whole numbers.
        """
        if batch == self.batch:
            return self
        if not isinstance(batch, int) or isinstance(batch, bool) or batch < 1:
            raise TraceError(f"{self.name}: batch", "a whole number above 0", repr(batch))
        if not self.rescalable:
            why = "; ".join(self.source.fixed_batch[:_REASONS]) or "some shapes do not follow the batch"
            raise TraceError(f"{self.name}: batch", f"{self.batch} ({why})", str(batch))
        ops = []
        for index, op in enumerate(self.ops):
            with inside(f"{self.name}: ops[{index}]"):
                ops.append(op.rescaled(batch, self.batch))
        return (self if batch > self.batch else self.unbounded()).changed(batch=batch, ops=tuple(ops))

    def unbounded(self) -> Trace:
        """Return the same network, to be given other sizes: what its missing operators multiply at least is then unknown."""
        return self.changed(source=self.source.changed(unhandled_macs=0)) if self.source.unhandled_macs else self

    def to_json(self) -> str:
        """Return the trace as a file holds it: one field, then one operation, on a line."""
        fields = self.model_dump(mode="json", exclude={"ops"})
        if self.rescalable:
            del fields["rescalable"]
        lines = [f"  {json.dumps(field)}: {json.dumps(value, ensure_ascii=False)}," for field, value in fields.items()]
        ops = ",\n".join(f"    {_op_json(op)}" for op in self.ops)
        return "\n".join(["{", *lines, '  "ops": [', ops, "  ]", "}", ""])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the trace to ``path``, whole or not at all.

        Raises:
            TraceError: when nothing can be written there.
        """
        try:
            write_whole(path, self.to_json())
        except StcsimError as error:
            raise TraceError(error.where, error.expected, error.found) from None


TraceOrName = Trace | str | os.PathLike[str]
"""A trace, or what ``load_trace`` finds it by."""


def load_trace(trace: TraceOrName) -> Trace:
    """Return the trace in a JSON file, or the shipped one of that name (a bare word such as ``"resnet34"``, in any case).

    A trace that is loaded already is returned as it is. ONNX models and tables are opened by ``stcsim.capture.open_trace``.

    Raises:
        TraceError: when there is no such file, or it does not hold a trace; names file, operation and field.
    """
    if isinstance(trace, Trace):
        return trace
    if not isinstance(trace, str | os.PathLike):
        raise TraceError("trace", "the name of a shipped trace, the path of a file, or a Trace", quoted(trace))
    path = _find(trace)
    if path.suffix.lower() in _OTHERS:
        raise TraceError(str(trace), "a trace in JSON (stcsim.open_trace reads ONNX models and tables)", f"'{path.suffix}'")
    file = path.name if shipped_name(trace, trace_names()) else str(trace)
    fields = _read(path, file)
    with inside(file, joint=": "):
        _check_version(fields)
        return Trace(**fields)


def trace_names() -> list[str]:
    """Return the names of the traces that come with stcsim."""
    return data_names("traces", ".json")


def _find(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the shipped file of a bare name, in any case of letters, else the path itself."""
    path, names = Path(name_or_path), trace_names()
    if shipped := shipped_name(name_or_path, names):
        return data_folder("traces") / f"{shipped}.json"
    try:
        found = path.exists()
    except (OSError, ValueError):  # a name too long, or with characters no file can have
        found = False
    if not found:
        expected = f"the name of one of the {len(names)} traces that ship (`stcsim traces` lists them), or the path of a file"
        raise TraceError("trace", expected, f"{quoted(str(name_or_path))}, which is neither{closest(path.stem[:100], names)}")
    return path


def _read(path: Path, file: str) -> dict[str, Any]:
    """Return the JSON object in ``path``."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TraceError(file, "a file that can be read", error.strerror or str(error)) from None
    except json.JSONDecodeError as error:
        raise TraceError(file, "JSON", f"'{error.msg}' at line {error.lineno}, column {error.colno}") from None
    except (ValueError, RecursionError) as error:
        raise TraceError(file, "JSON", shorten(str(error))) from None
    if not isinstance(fields, dict):
        raise TraceError(file, "a JSON object with the fields of a trace", shorten(fields))
    return fields


def _check_version(fields: dict[str, Any]) -> None:
    """Refuse a newer format before its new fields are called mistakes."""
    version = fields.get("format_version")
    if version == FORMAT_VERSION and type(version) is int:
        return
    found = shorten(version) if "format_version" in fields else "no such field"
    newer = isinstance(version, int) and version > FORMAT_VERSION
    raise TraceError("format_version", str(FORMAT_VERSION), f"{found}, from a newer stcsim" if newer else found)


def _op_json(op: Op) -> str:
    """Return one operation on one line, without the fields that stand at their default."""
    return json.dumps({"kind": op.kind, **op.model_dump(mode="json", exclude_defaults=True)}, ensure_ascii=False)
