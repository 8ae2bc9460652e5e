"""Traces (JSON): shipped ones cut to a few steps, damaged as trees and as texts, or changed gently; what loads runs."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests.fuzz import damage, laws
from tests.fuzz.case import Case

_MOST_MACS = 10**11
"""Above, a trace is not run: kind ``gemms`` has large ones."""
_SIDES = ("stride", "padding", "dilation")
_ELEMENTS = ("elements_read", "elements_written", "constant_elements")


def setup() -> dict[str, Any]:
    """Read the traces that ship."""
    import stcsim
    from stcsim.data import data_folder

    archs = [stcsim.load_arch(name) for name in ("t4", "a100", "a40", "h100")]
    return {"archs": archs, "traces": [json.loads(path.read_text()) for path in sorted(data_folder("traces").glob("*.json"))]}


def small(rng: random.Random, trace: dict[str, Any]) -> dict[str, Any]:
    """Return the first few steps of a trace; edges only point back, so that it is whole."""
    made = {**trace, "ops": [dict(op) for op in trace["ops"][: rng.randint(1, 8)]]}
    if not any(op["kind"] != "memory" for op in made["ops"]):
        made["ops"].append({"kind": "gemm", "name": "head", "m": 64, "n": 32, "k": 64})
    return made


def gentle(rng: random.Random, trace: dict[str, Any]) -> dict[str, Any]:
    """Change sizes and edges so that most are still allowed."""
    ops = trace["ops"]
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(ops))
        _change(rng, ops[at], [each["name"] for each in ops[:at]])
        if rng.random() < 0.1 and len(ops) > 1:
            other = rng.randrange(len(ops))
            ops[at], ops[other] = ops[other], ops[at]
    return trace


def _change(rng: random.Random, op: dict[str, Any], before: list[str]) -> None:
    pick = rng.random()
    if pick < 0.5:
        name = rng.choice([name for name, old in op.items() if isinstance(old, int) and not isinstance(old, bool)])
        op[name] = rng.choice(
            (1, 2, 3, op[name] + 1, op[name] * 2, int(2 ** rng.uniform(0, 11)), 16 * int(2 ** rng.uniform(0, 7)))
        )
    elif pick < 0.6:
        op["count"] = rng.choice((1, 2, 1000, 2**31 - 1))
    elif pick < 0.7 and before:
        op["inputs"] = [rng.choice(before) for _ in range(rng.randint(0, 3))]
    elif pick < 0.8 and before and op["kind"] == "memory":
        op["fuses_into"] = rng.choice(before)
    elif pick < 0.85 and before and op["kind"] != "memory":
        op["weight_of"] = rng.choice(before)
    elif pick < 0.9 and op["kind"] == "gemm":
        op["weight_operand"] = rng.choice(("a", None))
    elif op["kind"] == "conv2d":
        op[rng.choice(_SIDES)] = [rng.randint(0, 3), rng.randint(0, 3)]
        op["transposed"] = rng.random() < 0.3
    elif op["kind"] == "memory":
        op[rng.choice(_ELEMENTS)] = rng.choice((0, 1, 2**40, 2**62, 10**6))


def _bent(rng: random.Random, base: dict[str, Any]) -> bytes:
    """Return a damaged tree, now and then with an edge to anywhere."""
    made = damage.tree(rng, base)
    if rng.random() < 0.2 and isinstance(made, dict) and isinstance(made.get("ops"), list) and made["ops"]:
        op = rng.choice(made["ops"])
        names = [str(each.get("name")) for each in made["ops"] if isinstance(each, dict)] or ["x"]
        if isinstance(op, dict):
            edges = ([rng.choice(names)], rng.choice(names), [*names], names[-1])
            op[rng.choice(("inputs", "fuses_into", "weight_of"))] = rng.choice(edges)
    return damage.dumps(rng, made)


def make(state: dict[str, Any], rng: random.Random, index: int) -> Case:
    """Damage a trace, load it, and run it."""
    base = small(rng, rng.choice(state["traces"]))
    part = rng.choices(("as it is", "gentle", "tree", "text"), (10, 30, 45, 15))[0]
    if part == "text":
        data = damage.text(rng, json.dumps(base, indent=rng.choice((None, 1))))
    elif part == "tree":
        data = _bent(rng, base)
    else:
        data = json.dumps(base if part == "as it is" else gentle(rng, base)).encode()
    arch = rng.choice(state["archs"])
    options = {
        "dtype": rng.choice((None, None, "fp16", "int8", "bf16")),
        "fusion": rng.choice(("epilogue", "none")),
        "launch": rng.choice(("graph", "stream")),
    }
    batch = rng.choice((None, None, None, 1, 2, 3, 64, 0, -1, 2**40, 1.5, True))
    name = rng.choice(("t.json", "t.json", "ü b.json", "[b] [red]x.json"))
    more = rng.choices(("", "printed", "replayed"), (8, 1, 1))[0]

    def call() -> Any:
        import stcsim

        trace = stcsim.load_trace(f"./{name}")
        trace.save("saved.json")
        again = stcsim.load_trace("./saved.json")
        same = again == trace and again.sha256 == trace.sha256
        if batch is not None:
            trace = trace.with_batch(batch)
        small_enough = sum(op.macs for op in trace.ops) <= _MOST_MACS
        return trace, same, stcsim.run(trace, arch, **options) if small_enough else None

    def check(found: Any) -> list[str]:
        trace, same, result = found
        wrong = [] if same else ["a trace saved and loaded is another | "]
        if result is None:
            return wrong
        if sum(op.macs * op.count for op in trace.ops) != trace.macs:
            wrong.append("macs of the trace are not the sum of its steps | ")
        wrong += laws.of_result(result, arch)
        return wrong + (_printed(result) if more == "printed" else _replayed(trace, result, arch, options) if more else [])

    return Case(part, f"{arch.name} {options} batch={batch} {name} {damage.shown(data)}", call, check, {name: data})


def _printed(result: Any) -> list[str]:
    """Print a result as a person would see it, and write it as CSV and JSON."""
    import io

    from rich.console import Console

    from stcsim.report.terminal.tables import run_table

    for width in (20, 100):
        Console(file=io.StringIO(), width=width, emoji=False, highlight=False).print(run_table(result, 3))
    result.save("r.json")
    same = laws.canonical(type(result).load("r.json")) == laws.canonical(result)
    return [] if same else ["a result saved and loaded is another | "]


def _replayed(trace: Any, result: Any, arch: Any, options: dict[str, Any]) -> list[str]:
    """Run it again from its own inputs, and from JSON whose keys stand in another order."""
    import stcsim

    whole, wrong = laws.canonical(result), []
    if laws.canonical(stcsim.rerun(json.loads(whole)["inputs"])) != whole:
        wrong.append("a rerun of inputs differs | ")
    document = json.loads(trace.to_json())
    turned = {key: document[key] for key in reversed(document)}
    turned["ops"] = [dict(reversed(op.items())) for op in document["ops"]]
    Path("turned.json").write_text(json.dumps(turned))
    if laws.canonical(stcsim.run(stcsim.load_trace("./turned.json"), arch, **options)) != whole:
        wrong.append("another order of JSON keys gives another result | ")
    return wrong
