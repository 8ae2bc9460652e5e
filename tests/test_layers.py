"""Does the house keep its rules: who may import whom, one library one room, short modules, no attic?

The rules are the table of rooms in the architecture; the imports are read from the source, nothing is executed.
"""

from __future__ import annotations

import ast
import fnmatch
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "stcsim"
MAX_LINES = 300
ATTIC = ("utils", "util", "common", "misc", "helpers", "*_old", "old_*", "*_new")

GROUND = (
    *("errors", "words", "isa", "isa.*", "version", "data", "files", "processes"),
    *("printable", "json_text", "yaml_text", "npz_members", "jit", "partial"),
)
INPUTS = ("arch", "arch.*", "trace", "trace.*")
TIMING = ("timing", "timing.*")
RESULT = ("result", "result.*")
TRUST = ("trust.*", *RESULT)
SPARSE = ("numerics.sparse", "numerics.sparse.*")
ALL = ("*",)


def shelf(*below: str) -> tuple[str, ...]:
    """Return what a shelf of the timing wing may import: itself, the shelves below, and the contracts of the wing."""
    shelves = tuple(f"timing.{name}.*" for name in below)
    return (*shelves, "timing.plan", "timing.problem", "timing.rates", "timing.hardware", *INPUTS, *RESULT, *GROUND)


#: (pattern of a module without "stcsim.", what it may import); the first pattern that fits is the rule.
ROOMS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("printable", ()),
    ("errors", ("printable",)),
    ("json_text", ()),
    ("yaml_text", ("errors",)),
    ("npz_members", ("errors",)),
    ("jit", ("errors",)),
    ("version", ()),
    ("partial", ()),
    ("data", ("errors",)),
    ("files", ("errors",)),
    ("words", ("errors",)),
    ("processes", ()),  # ground, because both wings share long work out, and neither may import the other
    ("isa*", ("isa.*", "errors", "words", "data")),
    ("result*", (*RESULT, *GROUND)),
    ("arch*", ("arch.*", *GROUND)),
    ("trace*", ("trace", "trace.*", *GROUND)),
    ("trust*", ("arch", *TRUST, *GROUND)),
    ("numerics.engine*", ("numerics.engine.*", "numerics.formats", "numerics.rules", "numerics.orders", *GROUND)),
    ("numerics.sparse*", (*SPARSE, "numerics.codes", *GROUND)),
    # Evidence about bits stands in the wing that it is about: a study may not import numerics, and nothing there need import it.
    ("numerics.evidence*", ("numerics", "numerics.*", *GROUND)),
    ("numerics.torch*", ("numerics.torch.*", "numerics.*", *GROUND)),
    ("numerics*", ("numerics", "numerics.*", *GROUND)),
    ("tensors*", ("tensors.*", *GROUND)),
    ("checkpoint*", ("checkpoint", "checkpoint.*", *SPARSE, "numerics.codes", *GROUND)),
    ("pruning*", ("pruning.*", "checkpoint", "checkpoint.*", "numerics.codes", *SPARSE, "trace.choose", *GROUND)),
    ("inspection*", ("inspection*", "checkpoint*", *SPARSE, "numerics.codes", "replay*", *TRUST, *TIMING, *INPUTS, *GROUND)),
    ("check*", ("tensors", "tensors.*", "check", "check.*", "numerics", "numerics.*", *INPUTS, *GROUND)),
    ("timing", ()),
    ("timing.plan", ("errors",)),
    ("timing.problem", ("trace", "isa", "words", "errors")),
    ("timing.hardware", ()),
    ("timing.microbenchmark", ("arch", "isa", "isa.*", "timing.hardware", "errors")),
    ("timing.rates", ("arch", "isa", "timing.plan", "timing.problem", "timing.hardware", "timing.catalogue.kernel")),
    ("timing.engine*", ("timing.engine.*", "timing.plan", "errors", "jit")),
    ("timing.catalogue*", ("timing.catalogue.*", "trace", *GROUND)),
    ("timing.lowering*", shelf("catalogue", "lowering")),
    ("timing.offers*", shelf("catalogue", "lowering", "offers")),
    ("timing.board*", ("timing.engine", *shelf("catalogue", "lowering", "offers", "engine", "board"))),
    ("timing.choice*", shelf("catalogue", "lowering", "offers", "board", "choice")),
    ("capture*", ("capture", "capture.*", "trace", "trace.*", *GROUND)),
    ("replay*", ("replay*", *TRUST, *TIMING, *INPUTS, *GROUND)),
    (
        "workflow*",
        (
            "workflow",
            "workflow.*",
            "replay",
            "capture",
            "capture.*",
            "numerics",
            "numerics.*",
            *RESULT,
            "arch.*",
            *INPUTS,
            *GROUND,
        ),
    ),
    ("study*", ("study", "study.*", "replay*", *TRUST, *TIMING, *INPUTS, *GROUND)),
    ("report*", ("report", "report.*", *INPUTS, *RESULT, *GROUND)),
    ("cli.options", ("cli", "cli.completion", "isa", "words")),
    ("cli*", ALL),
    ("__main__", ("cli.entry",)),
    (
        "",
        (
            *("version", "arch", "trace", "trace.rescale.*", "replay", "result", "capture", "check"),
            *("inspection", "pruning", "study.*"),
        ),
    ),  # the package itself: the lazy public API
)

#: What may be named in annotations only: a report shows results that are defined beside their makers.
TYPES_ONLY = (
    ("report*", ("replay*", "study*", "check*", "inspection*", "numerics*", "pruning*", "workflow*", "timing.microbenchmark")),
)

#: (library, modules that may import it); every other third-party library is refused everywhere.
LIBRARIES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("numpy", ALL),
    ("yaml", ("yaml_text", "arch.*")),
    ("pydantic", ("arch.*", "trace.*", "workflow.recipe")),
    ("simpy", ("timing.engine.reference",)),
    ("numba", ("jit",)),
    ("matplotlib", ("report.figures.*",)),
    ("rich", ("report.*", "cli.output")),
    ("typer", ("cli.*",)),
    ("torch", ("capture.*", "check.*", "tensors.*", "numerics.torch.*", "workflow.*")),
    ("safetensors", ("tensors.files", "workflow.state")),
    ("transformers", ("capture.*",)),
    ("onnx", ("capture.*", "checkpoint.onnx_file")),
    ("distributed", ("study.sweeps.crews",)),
    ("optuna", ("study.sweeps.search",)),
    ("pandas", ("result.run",)),
    ("scipy", ("study.*", "workflow.datasets")),
    ("pyarrow", ("study.public.*", "study.sweeps.parquet")),
    ("sklearn", ("workflow.datasets",)),
    ("modelopt", ("workflow.modelopt",)),
)

#: Libraries that `stcsim --help` must not wait for.
HEAVY = (
    *("numba", "matplotlib", "torch", "safetensors", "transformers", "onnx", "simpy"),
    *("pydantic", "yaml", "numpy", "scipy", "pyarrow", "sklearn", "modelopt", "distributed", "optuna"),
)


@dataclass(frozen=True)
class Import:
    """One import statement: ``target`` dotted and absolute; ``late`` inside a function; ``typing`` for annotations only."""

    target: str
    late: bool
    typing: bool


@dataclass(frozen=True)
class Module:
    """One source file; ``name`` is dotted, without the package."""

    name: str
    path: Path
    lines: int
    imports: tuple[Import, ...]


def fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


class ImportReader(ast.NodeVisitor):
    """Collects the imports of one module, with the place of each."""

    def __init__(self, package: str, name: str, is_package: bool) -> None:
        self.package = package
        self.here = [package, *filter(None, name.split("."))]
        self.parent = self.here if is_package else self.here[:-1]
        self.late = self.typing = False
        self.found: list[Import] = []

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.found.append(Import(alias.name, self.late, self.typing))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self.parent[: len(self.parent) + 1 - node.level] if node.level else []
        source = ".".join([*base, *filter(None, [node.module])])
        for alias in node.names:  # `from stcsim import isa` imports stcsim.isa; names inside a module are cut off later
            target = f"{source}.{alias.name}" if source.split(".")[0] == self.package else source
            self.found.append(Import(target, self.late, self.typing))

    def visit_If(self, node: ast.If) -> None:
        outside, self.typing = self.typing, self.typing or ast.unparse(node.test).endswith("TYPE_CHECKING")
        for child in node.body:
            self.visit(child)
        self.typing = outside
        for child in node.orelse:
            self.visit(child)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        outside, self.late = self.late, True
        self.generic_visit(node)
        self.late = outside

    visit_AsyncFunctionDef = visit_FunctionDef


def read_package(package: Path) -> dict[str, Module]:
    """Return every module of ``package`` by its dotted name (the package itself is the empty name)."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        names[path] = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    modules = {}
    for path, name in names.items():
        source = path.read_text(encoding="utf-8")
        reader = ImportReader(package.name, name, path.name == "__init__.py")
        reader.visit(ast.parse(source))
        found = tuple(resolve(each, package.name, set(names.values())) for each in reader.found)
        modules[name] = Module(name, path, len(source.splitlines()), found)
    return modules


def resolve(found: Import, package: str, names: set[str]) -> Import:
    """Cut a name inside a module off an import of our own: ``stcsim.isa.dtype`` becomes ``stcsim.isa``."""
    parts = found.target.split(".")
    while parts[0] == package and len(parts) > 1 and ".".join(parts[1:]) not in names:
        parts.pop()
    return Import(".".join(parts), found.late, found.typing)


def own(module: Module, package: str) -> Iterator[tuple[str, Import]]:
    """Yield the imports of our own modules, as names without the package."""
    for found in module.imports:
        if found.target.split(".")[0] == package:
            yield found.target.removeprefix(package).removeprefix("."), found


def room_faults(module: Module, package: str) -> Iterator[str]:
    allowed = next((may for pattern, may in ROOMS if fits(module.name, (pattern,))), None)
    if allowed is None:
        yield f"{module.name}: stands in no room; give it a line in ROOMS"
        return
    for target, found in own(module, package):
        types = next((may for pattern, may in TYPES_ONLY if found.typing and fits(module.name, (pattern,))), ())
        if not fits(target, allowed + types):
            yield f"{module.name}: may not import {target or package}"


def library_faults(module: Module, package: str) -> Iterator[str]:
    homes = dict(LIBRARIES)
    for found in module.imports:
        library = found.target.split(".")[0]
        if library != package and library not in sys.stdlib_module_names and not fits(module.name, homes.get(library, ())):
            yield f"{module.name}: {library} does not live in this room"


def shape_faults(module: Module) -> Iterator[str]:
    if module.lines > MAX_LINES:
        yield f"{module.name}: {module.lines} lines, more than {MAX_LINES}"
    if any(fits(part, ATTIC) for part in module.name.split(".")):
        yield f"{module.name}: a name that says nothing; call it what it is"


def start_up_faults(modules: dict[str, Module], package: str) -> Iterator[str]:
    """Follow what importing ``cli`` imports at once, our own packages' ``__init__`` included."""
    waiting, seen = [name for name in ("cli", "cli.entry") if name in modules], set()
    while waiting:
        name = waiting.pop()
        parents = [".".join(name.split(".")[:depth]) for depth in range(name.count(".") + 1)]
        for found in [each for each in modules[name].imports if not each.late and not each.typing]:
            if found.target.split(".")[0] in HEAVY:
                yield f"{name}: imports {found.target} when `cli` is imported; do it inside the command"
        direct = [target for target, found in own(modules[name], package) if not found.late and not found.typing]
        seen.add(name)
        waiting += [each for each in dict.fromkeys(parents + direct) if each in modules and each not in seen | set(waiting)]


def circle_faults(modules: dict[str, Module], package: str) -> Iterator[str]:
    graph = {name: {to for to, found in own(module, package) if not found.typing} for name, module in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        yield "circle: " + " <- ".join(name or package for name in error.args[1])


def faults(package: Path) -> list[str]:
    """Return every broken rule of the package in the folder ``package``, as sentences."""
    modules = read_package(package)
    each = [
        fault
        for module in modules.values()
        for check in (room_faults(module, package.name), library_faults(module, package.name), shape_faults(module))
        for fault in check
    ]
    return each + [*start_up_faults(modules, package.name), *circle_faults(modules, package.name)]


def test_the_house_keeps_its_rules() -> None:
    found = faults(PACKAGE)
    assert not found, "\n" + "\n".join(found)


def plant(folder: Path, files: dict[str, str]) -> Path:
    """Write a package called ``stcsim`` of ``files`` and return its folder."""
    package = folder / "stcsim"
    for name, source in {
        "__init__.py": "",
        "errors.py": "",
        "isa/__init__.py": "from stcsim.errors import closest\n",
        **files,
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        for folder in (package / name).relative_to(package).parents:
            (package / folder / "__init__.py").touch()
        (package / name).write_text(source, encoding="utf-8")
    return package


def test_a_good_house_has_no_fault(tmp_path: Path) -> None:
    late = "import json\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from stcsim.replay import Explanation\n"
    good = {
        "report/__init__.py": "",
        "report/terminal/tables.py": late + "import rich\n",
        "replay.py": "from stcsim import isa\n",
        "jit.py": "import numba\n",
        "timing/engine/fast.py": "import numpy\nfrom stcsim.jit import numba\n",
        "cli/__init__.py": "from stcsim.cli.entry import main\n",
        "cli/entry.py": "import typer\n\ndef main():\n    import stcsim.timing.engine.fast\n",
    }
    assert faults(plant(tmp_path, good)) == []


LOWER = "timing/lowering/lower.py"
FAST = "timing/engine/fast.py"

RULE_BREAKERS = [
    ({"errors.py": "from stcsim import isa"}, "errors: may not import isa"),
    ({"errors.py": "def f():\n    from .isa import dtype"}, "errors: may not import isa"),
    ({"arch/__init__.py": "", "trace.py": "import stcsim.arch"}, "trace: may not import arch"),
    ({"numerics/mma.py": "from ..timing import plan", "timing/plan.py": ""}, "numerics.mma: may not import timing.plan"),
    ({LOWER: "from stcsim.numerics import mma", "numerics/mma.py": ""}, "timing.lowering.lower: may not import numerics.mma"),
    (
        {"timing/rates.py": "from stcsim.timing.lowering import lower", LOWER: ""},
        "timing.rates: may not import timing.lowering.lower",
    ),
    ({FAST: "from stcsim.timing.lowering import lower", LOWER: ""}, "timing.engine.fast: may not import timing.lowering.lower"),
    (
        {LOWER: "from stcsim.timing.choice import select", "timing/choice/select.py": ""},
        "timing.lowering.lower: may not import timing.choice.select",
    ),
    ({"report/tables.py": "from stcsim.replay import run", "replay.py": ""}, "report.tables: may not import replay"),
    ({"arch/arch.py": "import stcsim"}, "arch.arch: may not import stcsim"),
    ({"kitchen.py": ""}, "kitchen: stands in no room; give it a line in ROOMS"),
    ({"timing/lower.py": ""}, "timing.lower: stands in no room; give it a line in ROOMS"),
    ({"trace.py": "import yaml"}, "trace: yaml does not live in this room"),
    ({FAST: "import simpy"}, "timing.engine.fast: simpy does not live in this room"),
    ({LOWER: "from numba import njit"}, "timing.lowering.lower: numba does not live in this room"),
    ({"replay.py": "import matplotlib.pyplot"}, "replay: matplotlib does not live in this room"),
    ({"replay.py": "def f():\n    import torch"}, "replay: torch does not live in this room"),
    ({"replay.py": "import pandas"}, "replay: pandas does not live in this room"),
    ({"cli/entry.py": "import numpy"}, "cli.entry: imports numpy when `cli` is imported; do it inside the command"),
    (
        {"cli/entry.py": "from stcsim.arch.arch import load_arch", "arch/arch.py": "from pydantic import BaseModel"},
        "arch.arch: imports pydantic when `cli` is imported; do it inside the command",
    ),
    (
        {
            "cli/entry.py": "from stcsim.arch.leaf import Kind",
            "arch/__init__.py": "import stcsim.arch.arch",
            "arch/arch.py": "import yaml",
        },
        "arch.arch: imports yaml when `cli` is imported; do it inside the command",
    ),
    (
        {LOWER: "from . import tiling", "timing/lowering/tiling.py": "from . import lower"},
        "circle: timing.lowering.lower <- timing.lowering.tiling <- timing.lowering.lower",
    ),
    ({"isa/__init__.py": "\n" * 301}, "isa: 301 lines, more than 300"),
    ({"report/utils.py": ""}, "report.utils: a name that says nothing; call it what it is"),
    ({"report/tables_old.py": ""}, "report.tables_old: a name that says nothing; call it what it is"),
]


@pytest.mark.parametrize(("files", "fault"), RULE_BREAKERS, ids=[fault for _, fault in RULE_BREAKERS])
def test_each_broken_rule_is_named(tmp_path: Path, files: dict[str, str], fault: str) -> None:
    assert faults(plant(tmp_path, files))[0] == fault
