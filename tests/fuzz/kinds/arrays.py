"""Arrays of every type and shape."""

from __future__ import annotations

import random
from typing import Any

_TYPES = (
    "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "bool",
    "complex64",
    "object", "U3", "datetime64[s]", "V4",
)  # fmt: skip
_SIDES = (0, 1, 2, 3, 4, 8, 16, 32)


def codes(rng: random.Random, shape: tuple[int, ...], dtype: str) -> Any:
    """Return random raw codes; those of four bits in bytes."""
    import numpy as np

    bits = {"fp16": 16, "bf16": 16, "tf32": 32, "fp32": 32, "int32": 32, "int4": 4, "uint4": 4}.get(dtype, 8)
    drawn = np.random.default_rng(rng.randrange(2**32))
    array = drawn.integers(0, 2**bits, shape, dtype=np.uint64).astype(f"uint{max(bits, 8)}")
    return array * (drawn.random(shape) < 0.7) if rng.random() < 0.3 else array


def any_array(rng: random.Random) -> Any:
    """Return an array of any type and shape, now and then one that numpy sees through strides or in another byte order."""
    import numpy as np

    shape = tuple(rng.choice(_SIDES) for _ in range(rng.choice((0, 1, 2, 2, 2, 3, 4))))
    array = np.zeros(shape, rng.choice(_TYPES))
    if array.dtype.kind in "iuf" and array.size:
        array.reshape(-1)[:] = np.random.default_rng(rng.randrange(2**32)).integers(0, 100, array.size)
        if array.dtype.kind == "f" and rng.random() < 0.3:
            array.reshape(-1)[0] = rng.choice((np.nan, np.inf, -np.inf, -0.0))
    pick = rng.random()
    if pick < 0.1:
        return array.T
    if pick < 0.2 and array.ndim:
        return array[..., ::-1]
    return array.astype(array.dtype.newbyteorder()) if pick < 0.25 else array


def short(value: Any) -> str:
    """Return a value in a few words: of an array its type and shape."""
    import numpy as np

    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    if type(value).__name__ == "Sparse24":
        return f"Sparse24({short(value.values)}, {short(value.metadata)}, {short(value.dtype)}, {short(value.k)})"
    try:
        return repr(value)[:60]
    except (ValueError, RecursionError):
        return "a huge number"
