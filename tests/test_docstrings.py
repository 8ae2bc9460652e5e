"""Do docstrings say what a reader and a tool need: one field a line, and what is raised?"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "stcsim"
MODULES = sorted(PACKAGE.rglob("*.py"))
_SECTION = re.compile(r"\s*(Args|Attributes):\s*$")
_NEXT = re.compile(r"[.;)] (\w+(?:, \w+)*): ")
Documented = ast.ClassDef | ast.FunctionDef


def documented(tree: ast.Module) -> Iterator[Documented]:
    """Yield classes and functions that have a docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            yield node


def fields_of(node: Documented) -> set[str]:
    """Return the names that sections of the docstring may explain."""
    if isinstance(node, ast.ClassDef):
        return {each.target.id for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)}
    return {each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}


def crowded(node: Documented) -> list[str]:
    """Return lines of ``Args`` and ``Attributes`` on which a second field begins."""
    found, inside = [], False
    for line in (ast.get_docstring(node) or "").splitlines():
        if _SECTION.match(line):
            inside = True
        elif line and not line.startswith(" "):
            inside = False
        elif inside and any(set(hit[1].split(", ")) <= fields_of(node) for hit in _NEXT.finditer(line)):
            found.append(f"{node.name}: {line.strip()}")
    return found


def silent(tree: ast.Module) -> list[str]:
    """Return public functions and methods that raise, but do not say so."""
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    public = [node for body in bodies for node in body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    return [
        node.name
        for node in public
        if any(isinstance(each, ast.Raise) and each.exc is not None for each in ast.walk(node))
        and not re.search(r"^Raises:$|\bRaises \w+|[Rr]aises as\b", ast.get_docstring(node) or "", re.MULTILINE)
    ]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_are_complete(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    lines = [line for node in documented(tree) for line in crowded(node)]
    assert not lines, "two fields on one line: " + "; ".join(lines)
    if "cli" not in path.relative_to(PACKAGE).parts:  # what a command raises becomes its message
        assert not silent(tree), f"no section Raises: {', '.join(silent(tree))}"


def test_a_second_field_and_a_silent_raise_are_found() -> None:
    tree = ast.parse(
        'def f(a, b):\n    """Do.\n\n    Args:\n        a: one. b: two.\n    """\n    raise ValueError("no")\n'
        'def g(a, b):\n    """Do.\n\n    Args:\n        a: one, e.g. ``b: 2``.\n        b: two.\n\n'
        '    Raises:\n        ValueError: always.\n    """\n    raise ValueError("no")\n'
    )
    assert [line for node in documented(tree) for line in crowded(node)] == ["f: a: one. b: two."]
    assert silent(tree) == ["f"]
