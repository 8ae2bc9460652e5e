"""From a trained network to one that is pruned and quantised: recipes, and what each step costs in accuracy and gains in time.

Everything here is loaded when it is first used; it needs the extra ``[workflow]``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stcsim.workflow.reading import load_recipe, recipe_names
    from stcsim.workflow.recipe import Recipe
    from stcsim.workflow.result import WorkflowResult
    from stcsim.workflow.run import workflow

__all__ = ["Recipe", "WorkflowResult", "load_recipe", "recipe_names", "workflow"]

_HOMES = {"Recipe": "recipe", "WorkflowResult": "result", "load_recipe": "reading", "recipe_names": "reading", "workflow": "run"}


def __getattr__(name: str) -> Any:
    """Return a public name from its module, on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'stcsim.workflow' has no attribute '{name}'")
    return getattr(import_module(f"stcsim.workflow.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return __all__
