"""GEMMs, 1 to 2^20 a side, of every type and GPU: closed forms, monotony, reruns, now and then the other engine; and nonsense."""

from __future__ import annotations

import json
import random
from typing import Any

from tests.fuzz import damage, laws
from tests.fuzz.case import Case

_LARGEST = 2.0**31
"""MACs up to which a case may need several runs."""
_MOST = 2.0**50
"""MACs above which a batch is left out: the GPU itself would take minutes."""
_TYPES = ("fp16", "bf16", "tf32", "int8", "fp8")
_KERNELS = ("heuristic", "", "x", "sm80_128x256x32_s3_2x4", "sm80_128x128x64_s3_2x2", "sm80_64x64x64_s3_2x2")
_FASTER = 0.10
"""How much faster a larger GEMM may be before it is wrong: another kernel or split may be chosen (docs/limits.md)."""


def setup() -> dict[str, Any]:
    """Load the GPUs."""
    from stcsim.arch import arch_names, load_arch

    return {name: load_arch(name) for name in arch_names()}


def _drawn(rng: random.Random) -> tuple[list[Any], dict[str, Any]]:
    """Return sizes and options of a GEMM that may be asked for."""
    top = rng.choices((20, 14, 12, 10, 8), (3, 10, 20, 40, 27))[0]
    sizes: list[Any] = [max(1, int(2 ** rng.uniform(0, top))) for _ in range(3)]
    if rng.random() < 0.5:
        sizes = [max(1, size // 16 * 16) if rng.random() < 0.7 else size for size in sizes]
    options: dict[str, Any] = {
        "dtype": rng.choice(_TYPES),
        "sparsity": rng.choice((None, None, None, "both", "dense", "2:4")),
        "launch": rng.choice(("graph", "stream")),
        "batch": rng.choice((1, 1, 1, 1, 2, 16, int(2 ** rng.uniform(0, 10)))),
        "data": rng.choice(("randn", "randn", "low-power")),
        "out_dtype": rng.choice((None, None, None, "fp32", "int32", "fp16", "fp8")),
        "weights_in_l2": rng.random() < 0.1,
        "weight_copies": rng.choice((None,) * 9 + (int(2 ** rng.uniform(0, 12)),)),
        "duration": rng.choice(("sustained",) * 6 + ("burst", "40ms", f"{rng.expovariate(1e-3)!r}ms")),
    }
    if float(sizes[0]) * sizes[1] * sizes[2] * options["batch"] > _MOST:
        options["batch"] = 1
    return sizes, options


def make(state: dict[str, Any], rng: random.Random, index: int) -> Case:
    """Draw a GEMM, and run it."""
    name = rng.choice(list(state))
    arch, (sizes, options) = state[name], _drawn(rng)
    part = rng.choices(("sizes", "nonsense", "kernel"), (84, 12, 4))[0]
    macs = float(sizes[0]) * sizes[1] * sizes[2] * options["batch"]
    if part == "nonsense":
        for _ in range(rng.randint(1, 2)):
            if rng.random() < 0.5:
                sizes[rng.randrange(3)] = damage.value(rng)
            else:
                options[rng.choice(list(options))] = damage.value(rng)
    elif part == "kernel":
        options["kernel"] = rng.choice(_KERNELS)
    more = rng.choices(("", "grown", "replayed"), (6, 3, 1))[0] if part == "sizes" and macs < _LARGEST else ""

    def run(m: Any, n: Any, k: Any, **changed: Any) -> Any:
        import stcsim

        return stcsim.gemm(m, n, k, arch, **{**options, **changed})

    def check(result: Any) -> list[str]:
        from stcsim.isa import dtype, type_bytes

        if part != "sizes":
            return laws.of_result(result, arch)
        out_bytes = type_bytes(options["out_dtype"] or dtype(options["dtype"]).out)
        cold = not options["weights_in_l2"] and options["weight_copies"] is None
        wrong = laws.of_result(result, arch, cold, out_bytes, shipped=True)
        if result.rows[0].macs != sizes[0] * sizes[1] * sizes[2] * options["batch"]:
            wrong.append("MACs are not the sizes that were asked for | ")
        wrong += _grown(rng, run, result, sizes, dtype(options["dtype"])) if more == "grown" else []
        return wrong + (_replayed(run, result, sizes, macs) if more == "replayed" else [])

    words = " ".join(f"{key}={value!r}" for key, value in options.items() if value not in (None, False))
    return Case(part, f"gemm({', '.join(map(repr, sizes))}, {name}) {words}"[:600], lambda: run(*sizes), check)


def _grown(rng: random.Random, run: Any, result: Any, sizes: list[int], element: Any) -> list[str]:
    """Run it again with one side larger, which must not be much faster."""
    wrong = []
    for axis, letter in enumerate("mnk"):
        larger = list(sizes)
        larger[axis] = larger[axis] * 2 if rng.random() < 0.5 else larger[axis] + rng.choice((1, 8, 16, 64))
        if letter == "k" and sizes[2] % element.sparse_k_multiple:
            larger[2] = sizes[2] + element.sparse_k_multiple
        other = run(*larger)
        for side in ("dense", "sparse"):
            less, more = getattr(result.rows[0], side), getattr(other.rows[0], side)
            if less and more and more.time_us < less.time_us * (1 - _FASTER):
                wrong.append(f"larger {letter} is faster, {side} | {less.time_us:.2f} us, at {larger} {more.time_us:.2f} us")
    return wrong


def _replayed(run: Any, result: Any, sizes: list[int], macs: float) -> list[str]:
    """Run it again from its own inputs, and on the other engine."""
    import stcsim

    wrong, whole = [], laws.canonical(result)
    if laws.canonical(stcsim.rerun(json.loads(whole)["inputs"])) != whole:
        wrong.append("a rerun of inputs differs | ")
    if macs < 2**22:
        other = run(*sizes, engine="reference")
        if [(row.dense, row.sparse) for row in other.rows] != [(row.dense, row.sparse) for row in result.rows]:
            wrong.append("engines differ | ")
    return wrong
