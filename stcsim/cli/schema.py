"""The command ``stcsim schema``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer


def _names() -> list[str]:
    from stcsim.result.schema import schema_names

    return ["run", *schema_names()]


NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="What is described: run, or with a version run-1.", autocompletion=_names)
]


def schema(name: NameArgument) -> None:
    """Print the JSON schema of a document that stcsim writes.

    For example: stcsim schema run > run.schema.json
    """
    from stcsim.result.schema import schema_text

    sys.stdout.write(schema_text(name))
