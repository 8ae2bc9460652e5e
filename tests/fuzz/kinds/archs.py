"""Arch files (YAML) and ``--set``: leaves at and beyond their edges, trees and texts damaged; what loads runs a small GEMM."""

from __future__ import annotations

import random
from typing import Any

from tests.fuzz import damage, laws
from tests.fuzz.case import Case

_EDGES = (
    "0", "0.001", "0.0009", "1", "2", "3", "5", "7", "16", "64", "100", "1000", "65536", "1000000", "1e6", "1000001",
    "0.5", "0.999",
    "1.0", "null", "1e-3",
    "x1.5", "x0.5", "×2", "x0", "x1000000", "+8", "-8", "+0.25", "-0.25", "x1e3", "x", "+", "-",
)  # fmt: skip
"""Values that most leaves may have, and some just beyond; some are relative to what the file has."""
_TEXTS = (
    "", " ", "~", "yes", "0x10", "0o17", "1_000", "1:30", "2024-01-01", "2024-13-45", ".inf", "-.inf", ".nan", "1e3",
    "1e999", "[1,2]",
    "{a: 1}", "{value: 1}", "!!python/object/apply:os.system ['true']", "!!int abc", "!!binary aGVsbG8=", "!!set {a}",
    "&a [*a]", "*a",
    "<<: {a: 1}", "'", '"', "- -", "? a", "a: b: c", "\x00", "é", "\ud800", "9" * 5000, "[" * 60, "#", "%TAG", "@",
    "`", "|", ">", "1 2",
    "true", "[16,16,16,16,16,14,14]", "[108]", "[1]", "[0]", "[]",
)  # fmt: skip
_BASES = ("x.yaml", "./x.yaml", "a100", "/dev/null", ".", "..", "/etc/passwd", 1, None, ["a100"], "h100", "\x00", "a" * 300)
_NO_PATHS = ("sm", "sm.", ".count", "sm.count.value", "name", "die", "sources", "power")
_JOINTS = ("=", "=", "=", "=", "=", "=", "=", "=", "==", " = ", "", ":")


def setup() -> dict[str, Any]:
    """Read the arch files."""
    import yaml

    from stcsim.arch import arch_names, load_arch
    from stcsim.data import data_folder

    names = arch_names()
    texts = {name: (data_folder("arch_configs") / f"{name}.yaml").read_text() for name in names}
    paths = sorted({leaf.path for name in names for leaf in load_arch(name).leaves()})
    return {"names": names, "paths": paths, "texts": texts, "trees": {name: yaml.safe_load(text) for name, text in texts.items()}}


def _settings(paths: list[str], rng: random.Random) -> list[str]:
    """Return ``--set`` texts: mostly paths that exist, with values at their edges."""
    made = []
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3, 6))):
        path = rng.choice(paths) if rng.random() < 0.93 else rng.choice((*damage.TEXTS, *_NO_PATHS))
        pick = rng.random()
        if pick < 0.5:
            text = rng.choice(_EDGES)
        elif pick < 0.7:
            text = f"{10 ** rng.uniform(-3, 6):.6g}"
        elif pick < 0.8:
            text = str(int(10 ** rng.uniform(0, 6)))
        else:
            text = rng.choice((*_TEXTS, *damage.TEXTS))
        made.append(f"{path}{rng.choice(_JOINTS)}{text}")
    return made


def _tree(state: dict[str, Any], rng: random.Random, name: str) -> bytes:
    import yaml

    made = damage.tree(rng, state["trees"][name])
    if rng.random() < 0.1 and isinstance(made, dict):
        made["base"] = rng.choice(_BASES)
    try:
        return yaml.safe_dump(made, allow_unicode=rng.random() < 0.5, sort_keys=False).encode("utf-8", "surrogatepass")
    except (yaml.YAMLError, RecursionError, ValueError):
        return b"{}"


def _small(state: dict[str, Any], rng: random.Random, name: str) -> bytes:
    lines = [f"base: {name}"]
    for _ in range(rng.randint(1, 4)):
        lines.append(f"{rng.choice(state['paths']).replace('.', ': {', 1)}: {rng.choice((*_EDGES, *_TEXTS))}}}")
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def make(state: dict[str, Any], rng: random.Random, index: int) -> Case:
    """Damage an arch file or set leaves, load it, and run a GEMM."""
    name = rng.choice(state["names"])
    part = rng.choices(("set", "tree", "text", "small"), (45, 30, 20, 5))[0]
    sets = _settings(state["paths"], rng)
    files: dict[str, bytes] = {}
    if part == "tree":
        files["x.yaml"] = _tree(state, rng, name)
    elif part == "text":
        files["x.yaml"] = damage.text(rng, state["texts"][name])
    elif part == "small":
        files["x.yaml"] = _small(state, rng, name)
    sets = sets if part == "set" or rng.random() < 0.3 else []
    target = "./x.yaml" if files else name
    sizes = tuple(int(2 ** rng.uniform(0, 9)) for _ in range(3))
    dtype, launch = rng.choice(("fp16", "int8", "bf16", "tf32", "fp8")), rng.choice(("graph", "stream", "kernel"))
    runs, shown = rng.random() < 0.6, rng.random() < 0.05

    def call() -> Any:
        import stcsim
        from stcsim.arch import arch_from_dict

        arch = stcsim.load_arch(target, sets)
        same = arch_from_dict(arch.to_dict()) == arch
        arch.peak_tops("fp16", True)
        return arch, same, stcsim.gemm(*sizes, arch, dtype=dtype, launch=launch) if runs else None

    def check(found: Any) -> list[str]:
        arch, same, result = found
        wrong = [] if same else ["an arch as a dictionary and back is another | "]
        if shown:
            _show(arch)
        return wrong + (laws.of_result(result, arch, alone=True) if result is not None else [])

    data = f" file from {name}: {damage.shown(files['x.yaml'], 600)}" if files else ""
    return Case(part, f"{target} --set {sets!r}{data} gemm {sizes} {dtype} {launch}"[:2000], call, check, files)


def _show(arch: Any) -> None:
    import io

    from rich.console import Console

    from stcsim.report.terminal.inventory import arch_table

    Console(file=io.StringIO(), width=80).print(arch_table(arch))
