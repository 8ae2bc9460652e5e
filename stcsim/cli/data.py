"""``stcsim data``: public tables of measured GEMM times, fetched from their repositories into a cache."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stcsim.errors import StcsimError

if TYPE_CHECKING:
    from stcsim.study.public.sources import Source

app = typer.Typer(no_args_is_help=True, help="Fetch public tables of measured GEMM times, for validate, accuracy and calibrate.")

ToOption = Annotated[
    Path | None,
    typer.Option("--to", metavar="DIR", help="Where tables lie.", show_default="$STCSIM_DATA, else stcsim/data among caches"),
]


@app.command()
def pull(
    sources: Annotated[
        list[str] | None, typer.Argument(metavar="SOURCE…", help="Which ones.", show_default="all of them")
    ] = None,
    mirror: Annotated[
        Path | None,
        typer.Option("--mirror", metavar="DIR", help="A folder of bare repositories OWNER+NAME/repo, in place of the network."),
    ] = None,
    to: ToOption = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what is there already.")] = False,
) -> None:
    """Say size and licence, ask, fetch with git at pinned commits, check every file, and convert to measured tables.

    For example: stcsim data pull vidur venom
    """
    from stcsim.report.terminal.console import say, show
    from stcsim.report.terminal.public_tables import sources_table
    from stcsim.study.public.cache import cache_folder
    from stcsim.study.public.pull import is_there
    from stcsim.study.public.sources import chosen

    wanted, folder = chosen(sources or []), to or cache_folder()
    if mirror is not None and not mirror.is_dir():
        raise StcsimError(f"--mirror {mirror}", "a folder of bare repositories OWNER+NAME/repo", "no such folder")
    waiting = [source for source in wanted if again or not is_there(source, folder)]
    for source in wanted:
        if source not in waiting:
            say(f"{source.name} is in {folder} already")
    if not waiting:
        return
    show(sources_table(waiting))
    if yes or _agreed(len(waiting)):
        _fetch(waiting, folder, mirror)
    else:
        say("nothing was fetched")


@app.command("list")
def list_sources(to: ToOption = None) -> None:
    """List the sources with licence and size, and what of them is in the cache."""
    from stcsim.report.terminal.console import show
    from stcsim.report.terminal.public_tables import sources_table
    from stcsim.study.public.cache import cache_folder, read_manifest
    from stcsim.study.public.sources import SOURCES

    folder = to or cache_folder()
    manifests = {source.name: read_manifest(folder, source.name) for source in SOURCES}
    show(sources_table(SOURCES, manifests, folder))


def _agreed(count: int) -> bool:
    """Ask on a terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise StcsimError("command line", "--yes where nobody can be asked (no terminal)", "none")
    return typer.confirm(f"Fetch {'it' if count == 1 else f'these {count}'}?", default=True, err=True)


def _fetch(sources: Sequence[Source], folder: Path, mirror: Path | None) -> None:
    from stcsim.report.terminal.console import progress, show
    from stcsim.report.terminal.public_tables import pulled_text
    from stcsim.study.public.pull import pull as fetch_and_read

    for source in sources:
        with progress(f"fetching {source.name}") as advance:
            manifest = fetch_and_read(source, folder, mirror, advance)
        show(pulled_text(manifest, folder))
