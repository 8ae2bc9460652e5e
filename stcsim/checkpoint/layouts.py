"""Layouts in which one weight is several tensors: found by the endings of their names, and seen through.

A new layout is a new row of ``_LAYOUTS``: the endings of its parts, and what makes a weight of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from stcsim.checkpoint.bitmask import Bitmask24, unpack_bitmask, unpack_unstructured
from stcsim.checkpoint.marlin import Marlin24, marlin_shape, unpack_marlin
from stcsim.checkpoint.packed import unpack_halves, unpack_integers
from stcsim.checkpoint.stored import Codes, StoredTensor
from stcsim.errors import StcsimError

Parts = Mapping[str, StoredTensor]
ASYMMETRIC = "pack-quantized, asymmetric"
"""Integers with zero points: no code stands for 0 in all rows."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """One layout.

    Attributes:
        parts: endings of all its tensors, behind the name of the module and a dot.
        tell: endings of which two together say that this layout is meant, so that a missing part is an error.
        lacks: an ending that it does not have.
        weight: makes the weight of the parts; also told its name and where it is.
    """

    parts: tuple[str, ...]
    weight: Callable[[str, Parts, str], StoredTensor]
    tell: tuple[str, ...] = ()
    lacks: str = ""


def seen_through(tensors: Mapping[str, StoredTensor], where: str) -> dict[str, StoredTensor]:
    """Return the tensors as the network has them: the parts of a compressed weight replaced by the weight, in its place.

    Raises:
        StcsimError: when a part of a weight is missing, or the parts do not fit each other.
    """
    found: dict[str, StoredTensor] = {}
    parts: set[str] = set()
    for name in tensors:
        if name in parts:
            continue
        module, _, ending = name.rpartition(".")
        layout = next((each for each in _LAYOUTS if ending in each.parts and _is_of(each, module, tensors)), None)
        if layout is None:
            found[name] = tensors[name]
            continue
        if lacking := [part for part in layout.parts if f"{module}.{part}" not in tensors]:
            raise StcsimError(f"{where}: {name}", f"{module}.{lacking[0]} beside it", "no such tensor")
        weight = layout.weight(_weight_name(module), {part: tensors[f"{module}.{part}"] for part in layout.parts}, where)
        if weight.name in tensors and weight.name != name:
            raise StcsimError(f"{where}: {weight.name}", "a weight, or the parts of one", "both")
        found[weight.name] = weight
        parts |= {f"{module}.{part}" for part in layout.parts}
    return found


def _is_of(layout: _Layout, module: str, tensors: Mapping[str, StoredTensor]) -> bool:
    told = all(f"{module}.{part}" in tensors for part in layout.tell)
    return told and not (layout.lacks and f"{module}.{layout.lacks}" in tensors)


def _weight_name(module: str) -> str:
    return module if module.endswith("weight") else f"{module}.weight"


def _shape_of(part: StoredTensor, where: str) -> tuple[int, int]:
    """Return rows and columns, as a tensor of two numbers says them."""
    numbers = [int(each) for each in part.codes().ravel()[:3]] if part.dtype in ("int64", "int32") and part.size < 9 else []
    if len(numbers) != 2 or min(numbers) < 1:
        raise StcsimError(f"{where}: {part.name}", "two whole numbers, rows and columns", f"{part.dtype} of shape {part.shape}")
    return numbers[0], numbers[1]


def _bytes(parts: Parts) -> int:
    return sum(part.nbytes for part in parts.values())


def _bitmask(name: str, parts: Parts, where: str) -> StoredTensor:
    shape = rows, columns = _shape_of(parts["shape"], where)
    values, bits, place = parts["compressed"], parts["bitmask"], f"{where}: {name}"
    if values.shape != (rows, columns // 2) or bits.shape != (rows, -(-columns // 8)):
        expected = f"compressed of {(rows, columns // 2)} and bitmask of {(rows, -(-columns // 8))} for shape {shape}"
        raise StcsimError(place, expected, f"{values.shape} and {bits.shape}")

    def read(start: int, stop: int) -> Codes:
        codes = values.slab(start, stop)
        return unpack_bitmask(Bitmask24(codes, bits.slab(start, stop), (len(codes), columns)), place)

    return StoredTensor(name, shape, values.dtype, _bytes(parts), "sparse-24-bitmask", read, _release(parts))


def _unstructured(name: str, parts: Parts, where: str) -> StoredTensor:
    shape, values, bits = _shape_of(parts["shape"], where), parts["compressed"], parts["bitmask"]

    def read(start: int, stop: int) -> Codes:
        return unpack_unstructured(values.codes(), bits.codes(), shape, f"{where}: {name}")[start:stop]

    return StoredTensor(name, shape, values.dtype, _bytes(parts), "sparse-bitmask", read, _release(parts), in_pieces=False)


def _marlin(name: str, parts: Parts, where: str) -> StoredTensor:
    packed, meta, place = parts["weight_packed"], parts["meta"], f"{where}: {name}"
    if (packed.dtype, meta.dtype) != ("int32", "int16"):
        raise StcsimError(place, "weight_packed of int32 and meta of int16", f"{packed.dtype} and {meta.dtype}")
    bits = 4 * packed.shape[1] // max(meta.shape[1], 1) if len(packed.shape) == len(meta.shape) == 2 else 0
    shape = marlin_shape(packed.shape, meta.shape, bits, place)

    def read(start: int, stop: int) -> Codes:
        return unpack_marlin(Marlin24(packed.codes(), meta.codes(), bits), place)[start:stop]

    return StoredTensor(name, shape, f"int{bits}", _bytes(parts), "marlin-24", read, _release(parts), in_pieces=False)


def _integers(layout: str, name: str, parts: Parts, where: str) -> StoredTensor:
    shape = rows, columns = _shape_of(parts["weight_shape"], where)
    packed = parts["weight_packed"]
    words = packed.shape[1] if len(packed.shape) == 2 else 0
    bits = next((bits for bits in (4, 8) if (rows, -(-columns * bits // 32)) == packed.shape), 0)
    if not bits or packed.dtype != "int32":
        expected = f"int32 words of 4 or 8 bits a value for shape {shape}"
        raise StcsimError(f"{where}: {packed.name}", expected, f"{packed.dtype}, {words} words in a row")

    def read(start: int, stop: int) -> Codes:
        return unpack_integers(packed.slab(start, stop), bits, columns)

    return StoredTensor(name, shape, f"int{bits}", _bytes(parts), layout, read, _release(parts))


def _halves(packed_name: str, name: str, parts: Parts, where: str) -> StoredTensor:
    packed = parts[packed_name]
    if packed.dtype != "uint8" or len(packed.shape) != 2:
        raise StcsimError(f"{where}: {packed.name}", "a matrix of uint8", f"{packed.dtype} of shape {packed.shape}")

    def read(start: int, stop: int) -> Codes:
        return unpack_halves(packed.slab(start, stop))

    shape = packed.shape[0], 2 * packed.shape[1]
    return StoredTensor(name, shape, "e2m1", _bytes(parts), "nvfp4", read, _release(parts))


def _release(parts: Parts) -> Callable[[], None]:
    def release() -> None:
        for part in parts.values():
            part.release()

    return release


_LAYOUTS: tuple[_Layout, ...] = (
    _Layout(("compressed", "bitmask", "shape", "row_offsets"), _unstructured, ("compressed", "row_offsets")),
    _Layout(("compressed", "bitmask", "shape"), _bitmask, ("compressed", "shape"), "row_offsets"),
    _Layout(("compressed", "bitmask", "shape"), _bitmask, ("compressed", "bitmask"), "row_offsets"),
    _Layout(("compressed", "bitmask", "shape"), _bitmask, ("bitmask", "shape"), "row_offsets"),
    _Layout(("weight_packed", "meta", "scale_packed"), _marlin, ("weight_packed", "scale_packed")),
    _Layout(("weight_packed", "meta", "scale_packed"), _marlin, ("weight_packed", "meta")),
    _Layout(("weight_packed", "weight_shape"), partial(_integers, "pack-quantized"), ("weight_packed", "weight_shape"),
            "weight_zero_point"),
    _Layout(("weight_packed", "weight_shape"), partial(_integers, ASYMMETRIC), ("weight_packed", "weight_shape")),
    _Layout(("weight_packed",), partial(_halves, "weight_packed"), ("weight_packed", "weight_global_scale")),
    _Layout(("weight",), partial(_halves, "weight"), ("weight", "weight_scale_2")),
)  # fmt: skip
"""Every layout; the first that fits is the rule."""
