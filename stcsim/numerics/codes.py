"""Arrays and the raw codes in them: the one door by which operands come in, what their codes stand for, how they compare.

A raw code is the bit pattern of one element, as an unsigned integer. Exports ``held``, ``alike``, ``sparse_type``, ``to_codes``,
``values``, ``magnitude_keys``, ``magnitudes``, ``place`` and ``shape_of``. torch is never imported: a tensor brings it along.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from stcsim.errors import StcsimError, quoted
from stcsim.isa import DTYPES, DType, code_dtype
from stcsim.numerics.formats import Codes, Floats, code_type, decoded, integers

__all__ = [
    "Codes",
    "alike",
    "code_type",
    "held",
    "magnitude_keys",
    "magnitudes",
    "place",
    "shape_of",
    "sparse_type",
    "to_codes",
    "values",
]


class Held(NamedTuple):
    """An array in the byte order of this machine, and the name of the type of its elements.

    Attributes:
        array: the numbers, or their raw codes where numpy has no such type.
        name: as numpy, ``ml_dtypes`` or torch calls the type.
    """

    array: npt.NDArray[Any]
    name: str


def held(array: npt.ArrayLike) -> Held:
    """Return what ``array`` holds: a numpy array, a list, or a torch tensor, of which bf16 and fp8 become raw codes.

    Raises:
        StcsimError: for a tensor that has no data in memory, and for what is no array.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return _of_tensor(array.detach())
    try:
        found = np.asarray(array)
    except Exception as error:  # ragged lists, and whatever the method that makes an array of an object comes to
        words = str(error).splitlines() or [type(error).__name__]
        raise StcsimError("array", "numbers in rows of one length", f"{quoted(type(array).__name__)} ({words[0]})") from None
    native = found if found.dtype.isnative else found.astype(found.dtype.newbyteorder("="))
    return Held(native, native.dtype.name)


def alike(array: npt.NDArray[Any], source: npt.ArrayLike) -> Any:
    """Return an array of the type that ``held`` gives of ``source`` as ``source`` is: a torch tensor when that is one."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(source, torch.Tensor):
        return array
    plain = array if hasattr(np, str(source.dtype).removeprefix("torch.")) else array.view(f"i{array.itemsize}")
    return torch.from_numpy(plain).view(source.dtype).to(source.device)


def shape_of(array: npt.ArrayLike) -> tuple[int, ...]:
    """Return the shape of what ``held`` takes.

    Raises:
        StcsimError: as ``held``.
    """
    return tuple(held(array).array.shape)


def _of_tensor(tensor: Any) -> Held:
    """Return the numbers of a torch tensor, or its codes when numpy has no such numbers."""
    name = str(tensor.dtype).removeprefix("torch.")
    try:
        if hasattr(np, name):
            return Held(tensor.cpu().numpy(), name)
        same_size = {1: "uint8", 2: "int16"}.get(tensor.element_size(), "")
        codes = tensor.cpu().view(getattr(sys.modules["torch"], same_size)).numpy()
    except (AttributeError, TypeError, RuntimeError, NotImplementedError):
        raise StcsimError("torch tensor", "a dense one with data", f"one of {name} on {tensor.device}, {tensor.layout}") from None
    return Held(codes.view(f"u{codes.itemsize}"), name)


def sparse_type(name: str) -> DType:
    """Return the type of 2:4 weights called ``name``.

    Raises:
        UnsupportedError: when no such type is known, or hardware has no structured sparsity for it.
    """
    return code_dtype(name, "dtype", lambda row: row.sparse_group > 0)


def to_codes(array: npt.ArrayLike, form: DType, where: str) -> Codes:
    """Return raw codes of ``array``: unsigned codes as they are, or the bits of the matching numpy or ``ml_dtypes`` type.

    Args:
        array: of any shape; not copied where its bits can be taken as they lie.
        form: the element type.
        where: the place that an error names.

    Raises:
        StcsimError: when the array has another type, or a code of a type below 8 bits has higher bits.
    """
    (found, name), wanted = held(array), code_type(form)
    if name not in (form.numpy, form.torch, wanted.name):
        names = dict.fromkeys(filter(None, (wanted.name, form.numpy)))
        rounds = " (numerics.encode rounds it)" if "float" in name else ""
        raise StcsimError(where, f"{form.name} as an array of {' or '.join(names)}", f"an array of {name}{rounds}")
    codes = found.view(wanted)
    largest = (1 << form.bits) - 1
    if form.bits == form.code_bits:
        return codes
    if name != wanted.name:  # ml_dtypes extends the sign over the byte
        low: Codes = codes & wanted.type(largest)
        return low
    if codes.size and int(codes.max()) > largest:
        at = _first(codes > largest)
        there = f"{where}, {place(at, codes.shape)}" if codes.ndim else where
        raise StcsimError(there, f"a code of {form.bits} bits", str(int(codes[at])))
    return codes


def values(codes: npt.ArrayLike, name: str) -> Floats:
    """Return what the codes of the type ``name`` stand for, as float64 (exact for every type here)."""
    form = code_dtype(name)
    raw = to_codes(codes, form, name)
    return decoded(raw, form)[0] if form.is_float else integers(raw, form).astype(np.float64)


def magnitude_keys(w: npt.ArrayLike, dtype: str | None = None) -> Codes:
    """Return unsigned integers of the shape of ``w`` that are ordered as its magnitudes are.

    Args:
        w: numbers in the numpy or ``ml_dtypes`` type of any element type, or in any numpy integer type.
        dtype: the element type when ``w`` holds raw codes; without it unsigned integers are numbers.

    Raises:
        StcsimError: at a NaN, which has no magnitude, or when the type of the array is not known.
    """
    return _keys(w, dtype)[0]


def magnitudes(w: npt.ArrayLike, dtype: str | None = None) -> Floats:
    """Return the magnitudes of ``w`` as float64, exact but for integers above 2**53; arguments as ``magnitude_keys``."""
    keys, row = _keys(w, dtype)
    if row is None or not row.is_float:
        return keys.astype(np.float64)
    whole = getattr(np, row.numpy, None)  # what numpy can read it reads, a tf32 with the low bits that the datapath drops
    return decoded(keys, row)[0] if whole is None else keys.view(whole).astype(np.float64)


def place(index: Sequence[int], shape: Sequence[int], column: str = "column") -> str:
    """Return ``"row 3, column 17"`` for an index into an array; leading dimensions are named before as ``matrix (1, 0)``."""
    if len(shape) == 1:
        return f"{column} {index[0]}"
    matrix = f"matrix ({', '.join(str(each) for each in index[:-2])}), " if len(shape) > 2 else ""
    return f"{matrix}row {index[-2]}, {column} {index[-1]}"


def _keys(w: npt.ArrayLike, dtype: str | None) -> tuple[Codes, DType | None]:
    """Return the keys and the element type, which is ``None`` for integers that stand for themselves."""
    array, name = held(w)
    row = _type_of(array, name) if dtype is None else code_dtype(dtype, "dtype")
    if row is None:
        return np.abs(array).view(f"u{array.itemsize}"), None  # abs(-2^15) wraps to the code 2^15, which is right
    codes = to_codes(w, row, f"{row.name} weights")
    mask = codes.dtype.type(row.magnitude_mask)
    if not row.is_float:
        return np.minimum(codes, -codes & mask) if row.signed else codes, row
    keys: Codes = codes & mask
    if keys.size and keys.max() > row.largest_code:
        raise StcsimError(f"weight at {place(_first(keys > row.largest_code), keys.shape)}", "a number", "NaN")
    return keys, row


def _type_of(array: npt.NDArray[Any], held_as: str) -> DType | None:
    """Return the element type whose numbers an array holds, or ``None`` for other integers."""
    whole = {row.numpy: row for row in DTYPES.values() if row.numpy and not row.dropped_bits and not row.codes}
    if held_as in whole:
        return whole[held_as]
    if array.dtype.name == held_as and array.dtype.kind in "iu":
        return None
    floats = ", ".join(name for name, row in whole.items() if row.is_float)
    raise StcsimError("weights", f"integers or one of {floats}", f"an array of {held_as}")


def _first(where: npt.NDArray[np.bool_]) -> tuple[int, ...]:
    """Return the index of the first True."""
    return tuple(int(each) for each in np.unravel_index(int(np.argmax(where)), where.shape))
