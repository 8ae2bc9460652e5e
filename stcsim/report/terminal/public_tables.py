"""Public tables as text: which there are, under which licence, and what a pull brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.units import NOTHING

if TYPE_CHECKING:
    from stcsim.study.public.cache import Manifest
    from stcsim.study.public.sources import Source


def sources_table(
    sources: Sequence[Source], manifests: Mapping[str, Manifest | None] | None = None, folder: Path | None = None
) -> RenderableType:
    """Return one line for each source with licence and size; with ``manifests`` also what of it is in the cache ``folder``."""
    columns = [
        _words("source", [source.name for source in sources]),
        _words("licence", [source.licence for source in sources]),
        _words("size", [source.size for source in sources]),
    ]
    if manifests is not None:
        columns.append(_words("pulled", [_pulled(source, manifests.get(source.name)) for source in sources]))
    columns += [
        _words("GPUs", [source.gpus for source in sources], rank=1),
        _words("from", [f"{source.url} at {source.commit[:8]}" for source in sources], rank=2),
    ]
    foot = f"in {folder}; " if folder else ""
    return FittedTable(
        tuple(columns), foot=f"{foot}licences are those of the repositories; docs/public-tables.md says what is read"
    )


def _pulled(source: Source, manifest: Manifest | None) -> str:
    if manifest is None:
        return NOTHING
    other = "" if manifest.commit == source.commit else f" at {manifest.commit[:8]}"
    return f"{manifest.rows:,} rows, {manifest.date}{other}"


def pulled_text(manifest: Manifest, folder: Path) -> RenderableType:
    """Return what a pull brought, and what was left out."""
    what = f"{_counted(manifest.rows, 'row')} of {_counted(len(manifest.files), 'file')}"
    lines = [Text(f"{manifest.source}: {what} in {folder / manifest.source}", "bold")]
    lines += [Text(f"  {name}: {_counted(table.rows, 'row')}") for name, table in manifest.tables.items()]
    lines += [Text(f"  left out: {_counted(count, 'row')} {why}") for why, count in manifest.left_out.items()]
    return Group(*lines)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def _words(header: str, cells: Sequence[str], rank: int = 0) -> Column:
    return Column(header, tuple(map(Text, cells)), rank)
