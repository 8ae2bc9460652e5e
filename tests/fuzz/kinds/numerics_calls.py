"""Calls of the numerics' doors with arguments that fit, each with what must hold of its result: a row each."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.fuzz.kinds.arrays import any_array, codes

TYPES = ("fp16", "bf16", "tf32", "int8", "uint8", "int4", "uint4", "e4m3", "e5m2")
_FLOATS = ("fp16", "bf16", "tf32", "e4m3", "e5m2")
_KEPT = {"tf32": "1:2", "int4": "4:8-pairs", "uint4": "4:8-pairs"}
_GPUS = ("sm_80", "sm_90", "sm_89", "sm_120", "sm_75", "sm_100")
_PATTERNS = ("2:4", "2:4", "1:4", "3:8", "2:2", "0:4", "4:2", "x", "2:99999999999", "2 : 4", "٢:٤")

Drawn = tuple[Callable[..., Any], dict[str, Any], Callable[[Any], list[str]]]
"""What to call, with which arguments, and the check of its result."""


def setup() -> dict[str, Any]:
    """Return every instruction of no more than 2^15 products, dense and sparse, with the GPUs that have it."""
    from stcsim.isa import instructions
    from stcsim.isa.capabilities import ARCHS

    rows = {one.name: one for arch in ARCHS for one in instructions.available(arch)}.values()
    small = [(one, instructions.archs_of(one)) for one in rows if one.m * one.n * one.k <= 2**15]
    return {kind: [each for each in small if each[0].sparse == (kind == "sparse")] for kind in ("dense", "sparse")}


def _nothing(result: Any) -> list[str]:
    return []


def _pruned(rng: random.Random, shape: tuple[int, ...], dtype: str) -> Any:
    """Return codes of finite numbers that have the pattern of their type."""
    from stcsim import numerics

    drawn = codes(rng, shape, "uint4" if dtype in _FLOATS else dtype).astype(codes(rng, (1,), dtype).dtype)
    return numerics.prune(drawn, _KEPT.get(dtype, "2:4"), dtype=dtype)


def _differs(result: Any, call: Callable[..., Any], given: dict[str, Any], fault: str, **changed: Any) -> list[str]:
    import numpy as np

    return [] if np.array_equal(result, call(**{**given, **changed})) else [f"{fault} | "]


def _instruction(sparse: bool, state: Any, rng: random.Random, mode: str) -> Drawn:
    from stcsim import numerics

    one, archs = rng.choice(state["sparse" if sparse else "dense"])
    left = numerics.compress(_pruned(rng, (one.m, one.k), one.a), one.a) if sparse else codes(rng, (one.m, one.k), one.a)
    addend = rng.choice((None, codes(rng, (one.m, one.n), one.c)))
    given = {"instruction": one.name, "a": left, "b": codes(rng, (one.k, one.n), one.b), "c": addend, "arch": rng.choice(archs)}
    if mode != "valid" and rng.random() < 0.2:
        given["arch"] = rng.choice(("sm_80", "sm_70", "sm_90a", "sm_200", ""))
    if sparse:
        given["blocking"] = rng.choice(("kept", "expanded"))
    call, other = numerics.mma_sp if sparse else numerics.mma, rng.random() < 0.1
    return call, given, lambda result: _differs(result, call, given, "engines differ", engine="reference") if other else []


def _prune(state: Any, rng: random.Random, mode: str) -> Drawn:
    from stcsim import numerics

    dtype = rng.choice(TYPES)
    given = {
        "w": codes(rng, (4 * rng.randint(1, 9), rng.choice((8, 16, 24, 32))), dtype),
        "pattern": rng.choice((_KEPT.get(dtype, "2:4"), *_PATTERNS)),
        "method": rng.choice(("magnitude", "2d-best", "2d-greedy")),
        "axis": rng.choice((-1, 0, 1, 2)),
        "dtype": rng.choice((dtype, None)),
    }
    return numerics.prune, given, _nothing


def _compress(state: Any, rng: random.Random, mode: str) -> Drawn:
    from stcsim import numerics

    dtype = rng.choice(TYPES)
    given = {"w": _pruned(rng, (16 * rng.randint(1, 4), 128), dtype), "dtype": dtype}

    def check(result: Any) -> list[str]:
        return [] if _same(numerics.expand(result), given["w"], dtype) else ["expand does not undo compress | "]

    return numerics.compress, given, check


def _same(one: Any, other: Any, dtype: str) -> bool:
    import numpy as np

    from stcsim import numerics

    if dtype not in _FLOATS:
        return bool(np.array_equal(one, other))
    return bool(np.array_equal(numerics.values(one, dtype), numerics.values(other, dtype), equal_nan=True))


def _compressed(rng: random.Random, mode: str) -> Any:
    """Return a compressed matrix, with fields exchanged where that is asked for."""
    import numpy as np

    from stcsim import numerics
    from stcsim.numerics import Sparse24
    from tests.fuzz.kinds.numerics import bent

    dtype = rng.choice(TYPES)
    whole = numerics.compress(_pruned(rng, (16 * rng.randint(1, 4), 128), dtype), dtype)
    if mode == "valid":
        return whole
    fields = {"values": whole.values, "metadata": whole.metadata, "dtype": whole.dtype, "k": whole.k}
    bent(rng, fields, mode)
    if rng.random() < 0.3 and isinstance(fields["metadata"], np.ndarray) and fields["metadata"].size:
        fields["metadata"] = codes(rng, fields["metadata"].shape, "uint8")
    return Sparse24(**fields)


def _expand(state: Any, rng: random.Random, mode: str) -> Drawn:
    from stcsim import numerics

    return numerics.expand, {"s": _compressed(rng, mode)}, _nothing


def _pack(state: Any, rng: random.Random, mode: str) -> Drawn:
    from stcsim import numerics

    def packed(s: Any, word_bits: Any) -> Any:
        return numerics.unpack_metadata(numerics.pack_metadata(s, word_bits))

    return packed, {"s": _compressed(rng, mode), "word_bits": rng.choice((16, 32, 8, 0))}, _nothing


def _layout(state: Any, rng: random.Random, mode: str) -> Drawn:
    from stcsim import numerics

    call = rng.choice((numerics.cutlass_layout, numerics.cutlass_hopper_layout))
    return call, {"s": _compressed(rng, mode)}, _nothing


def _registers(state: Any, rng: random.Random, mode: str) -> Drawn:
    from stcsim import numerics

    names = [one.name for one, _ in state["sparse"][:40]]
    return numerics.register_image, {"s": _compressed(rng, mode), "instruction": rng.choice((*names, "x", ""))}, _nothing


def _gemm(sparse: bool, state: Any, rng: random.Random, mode: str) -> Drawn:
    from stcsim import numerics

    dtype, (m, n), k = rng.choice(TYPES), (rng.randint(1, 9), rng.randint(1, 9)), rng.choice((8, 16, 24, 32, 64))
    a = _pruned(rng, (m, k), dtype) if sparse else codes(rng, (m, k), dtype)
    given = {
        "a": a,
        "b": codes(rng, (k, n), dtype),
        "arch": rng.choice(_GPUS),
        "dtype": dtype,
        "sparsity": "2:4" if sparse else None,
    }
    if rng.random() < 0.3:
        given |= {
            "acc_dtype": rng.choice(("fp32", "fp16", "int32", "int8", "x", None)),
            "workers": rng.choice((None, 1, 2, 0, -1)),
        }
    call, other = numerics.gemm, rng.random() < 0.1

    def check(result: Any) -> list[str]:
        if sparse and dtype not in _FLOATS:
            return _differs(result, call, given, "2:4 and dense integers differ", sparsity=None)
        return _differs(result, call, given, "engines differ", engine="reference") if other else []

    return call, given, check


def _conv2d(state: Any, rng: random.Random, mode: str) -> Drawn:
    from stcsim import numerics

    dtype = rng.choice(TYPES)
    given = {
        "x": codes(rng, (rng.randint(1, 2), 16, rng.randint(1, 9), rng.randint(1, 9)), dtype),
        "w": codes(rng, (8, 16, rng.randint(1, 3), rng.randint(1, 3)), dtype),
        "arch": "sm_80",
        "dtype": dtype,
        "stride": rng.choice((1, 2, (1, 2), 0, -1, (1,), 10**9)),
        "padding": rng.choice((0, 1, (0, 1), -1, (1, 1))),
        "dilation": rng.choice((1, 2, 0, -1)),
        "groups": rng.choice((1, 1, 2, 0, 3, -1)),
    }
    return numerics.conv2d, given, _nothing


def _values(state: Any, rng: random.Random, mode: str) -> Drawn:
    from stcsim import numerics

    dtype = rng.choice(TYPES)
    return numerics.values, {"codes": codes(rng, (3, 8), dtype), "name": rng.choice((dtype, "x", "fp32"))}, _nothing


def _encode(state: Any, rng: random.Random, mode: str) -> Drawn:
    from stcsim import numerics

    given = {"x": any_array(rng), "dtype": rng.choice((*TYPES, "fp32", "e2m1", "x")), "saturate": rng.choice((None, True, False))}
    return numerics.encode, given, _nothing


def _storage(state: Any, rng: random.Random, mode: str) -> Drawn:
    from stcsim import numerics

    shape = rng.choice(((4, 32), (16, 64), (3, 7), (), (0, 0)))
    return numerics.storage_bytes, {"shape": shape, "dtype": rng.choice(TYPES)}, _nothing


def _permute(state: Any, rng: random.Random, mode: str) -> Drawn:
    from stcsim import numerics

    numbers = codes(rng, (rng.randint(1, 9), rng.choice((8, 16, 32))), "int8")
    return numerics.permute_channels, {"w": numbers.astype(rng.choice(("float32", "float64", "float16", "int8")))}, _nothing


CALLS: dict[str, Callable[[Any, random.Random, str], Drawn]] = {
    "mma": lambda *given: _instruction(False, *given),
    "mma_sp": lambda *given: _instruction(True, *given),
    "prune": _prune,
    "compress": _compress,
    "expand": _expand,
    "gemm": lambda *given: _gemm(False, *given),
    "gemm 2:4": lambda *given: _gemm(True, *given),
    "conv2d": _conv2d,
    "pack": _pack,
    "values": _values,
    "encode": _encode,
    "register_image": _registers,
    "cutlass": _layout,
    "storage": _storage,
    "permute": _permute,
}
