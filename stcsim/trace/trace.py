"""A ``Trace``: the operations one forward pass of a network asks of a GPU, with its source, as a frozen value and as JSON."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, field_validator, model_validator

from stcsim.data import data_folder
from stcsim.errors import StcsimError, TraceError, UnsupportedError, closest
from stcsim.files import write_whole
from stcsim.isa import dtype as known_dtype
from stcsim.trace.edges import check_edges
from stcsim.trace.model import Model, Offset, Size, inside, shorten
from stcsim.trace.ops import Conv2d, Gemm, Memory, Op, build_op

__all__ = ["Conv2d", "Gemm", "Memory", "Op", "Source", "Trace", "load_trace", "trace_names"]

FORMAT_VERSION: Final = 1


class Source(Model):
    """Where a trace comes from.

    Attributes:
        model: class or factory.
        library, version: what it was imported from.
        notes: configuration, and anything a reader must know.
        unhandled: operators that multiply but are not in the trace, each with its module; empty in a whole trace.
    """

    place: ClassVar[str] = "source"

    model: str
    library: str
    version: str
    notes: str = ""
    unhandled: tuple[str, ...] = ()


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
        try:
            known_dtype(dtype)
        except UnsupportedError as error:
            raise TraceError(error.where, error.expected, error.found) from None
        return dtype

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
            raise TraceError(f"{self.name}: batch", f"{self.batch} (some shapes do not follow the batch)", str(batch))
        ops = []
        for index, op in enumerate(self.ops):
            with inside(f"{self.name}: ops[{index}]"):
                ops.append(op.rescaled(batch, self.batch))
        return self.changed(batch=batch, ops=tuple(ops))

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


def load_trace(name_or_path: str | os.PathLike[str]) -> Trace:
    """Return the trace in a JSON file, or the shipped one of that name (a bare word such as ``"resnet34"``).

    Raises:
        TraceError: when there is no such file, or it does not hold a trace; names file, operation and field.
    """
    path = _find(name_or_path)
    file = str(name_or_path) if path.name != f"{name_or_path}.json" else path.name
    fields = _read(path, file)
    with inside(file, joint=": "):
        _check_version(fields)
        return Trace(**fields)


def trace_names() -> list[str]:
    """Return the names of the traces that come with stcsim."""
    return sorted(path.stem for path in data_folder("traces").glob("*.json"))


def _find(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the shipped file of a bare name, else the path itself."""
    path, names = Path(name_or_path), trace_names()
    if str(name_or_path) in names:
        return data_folder("traces") / f"{name_or_path}.json"
    if not path.exists():
        expected = f"a path to a trace, or one of {', '.join(names)}"
        raise TraceError("trace", expected, f"'{name_or_path}', which is neither{closest(path.stem, names)}")
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
