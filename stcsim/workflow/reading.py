"""Recipes from YAML, and by name; what is wrong with one is said in one sentence that names file, stage and field."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stcsim.arch.layers import parse_yaml
from stcsim.data import data_folder, data_names, shipped_name
from stcsim.errors import StcsimError, TraceError, UnsupportedError, closest, quoted
from stcsim.trace.model import Model, inside
from stcsim.workflow.recipe import STAGES, Data, Distil, Network, Quick, Recipe, Stage

_KIND = "recipes"


def recipe_names() -> list[str]:
    """Return the names of the recipes that come with stcsim."""
    return data_names(_KIND, ".yaml")


def load_recipe(recipe: Recipe | str | os.PathLike[str]) -> Recipe:
    """Return the recipe in a YAML file, or the shipped one of that name.

    Raises:
        StcsimError: when there is no such file, or it holds no recipe; names the file, the stage and the field.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if not isinstance(recipe, str | os.PathLike):
        raise UnsupportedError("recipe", "the name of a shipped recipe or the path of a file", quoted(recipe))
    path = _find(recipe)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        found = (error.strerror if isinstance(error, OSError) else None) or "bytes that are no UTF-8"
        raise StcsimError(str(path), "a file that can be read", found) from None
    fields = parse_yaml(text, path.name)
    with inside(path.name, joint=": "):
        return read_recipe(fields)


def read_recipe(fields: object) -> Recipe:
    """Return the recipe that plain values describe.

    Raises:
        TraceError: when they describe none.
    """
    if not isinstance(fields, Mapping) or not all(isinstance(name, str) for name in fields):
        raise TraceError("recipe", f"a mapping with {', '.join(Recipe.model_fields)}", quoted(fields))
    plain = dict(fields)
    for name, part in (("data", Data), ("model", Network), ("quick", Quick)):
        if name in plain:
            plain[name] = _part(part, plain[name], name)
    if "stages" in plain:
        stages = _mapping(plain["stages"], "stages")
        if not stages:
            raise TraceError("stages", "at least one stage", "none")
        plain["stages"] = {name: _stage(name, stage) for name, stage in stages.items()}
    return Recipe(**plain)


def _part(model: type[Model], fields: object, where: str) -> Model:
    return model(**_mapping(fields, where))


def _mapping(fields: object, where: str) -> dict[str, Any]:
    if not isinstance(fields, Mapping) or not all(isinstance(name, str) for name in fields):
        raise TraceError(where, "a mapping of names to values", quoted(fields))
    return dict(fields)


def _stage(name: str, fields: object) -> Stage:
    plain = _mapping(fields, f"stages: {name}")
    with inside(f"stages: {name}:"):
        kind = plain.get("do")
        if not isinstance(kind, str) or kind not in STAGES:
            found = f"{quoted(kind)}{closest(kind, STAGES)}" if kind is not None else "none"
            raise TraceError("do", f"one of {', '.join(STAGES)}", found)
        if plain.get("distil") is not None:
            plain["distil"] = _part(Distil, plain["distil"], "distil")
        return STAGES[kind](**plain)


def _find(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the shipped file of a bare name, in any case of letters, else the path itself."""
    path, names = Path(name_or_path), recipe_names()
    if shipped := shipped_name(name_or_path, names):
        return data_folder(_KIND) / f"{shipped}.yaml"
    if not os.path.isfile(path):
        expected = f"one of the recipes that ship ({', '.join(names)}), or the path of a file"
        raise UnsupportedError("recipe", expected, f"{quoted(str(name_or_path))}, which is neither{closest(path.stem, names)}")
    return path
