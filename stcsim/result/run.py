"""What a run returns: frozen rows and totals, in microseconds, TOPS and bytes, ready to print, to save and to load again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from stcsim.errors import StcsimError, quoted
from stcsim.files import write_whole
from stcsim.isa.patterns import pattern_of
from stcsim.json_text import KeyTwiceError, parse_json
from stcsim.partial import Partial
from stcsim.result.document import columns, document, flat, json_text, plain
from stcsim.result.load import build
from stcsim.result.rows import LayerRow, MemoryRow, PruneGroup
from stcsim.result.totals import Footprint, Totals, Trust

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA = "run-1"
"""The shape of a saved result; a change of it is another number."""

_SIDES = ("dense", "sparse", "chosen")
_OF_CHOSEN = ("kernel", "time_us", "clock_mhz", "watts", "energy_uj")
"""What a line says of the chosen kernel, whose other figures stand under its side."""


@dataclass(frozen=True, slots=True, repr=False)
class RunResult:
    """A whole run: the fully resolved inputs and everything printed. A result can be re-run from ``inputs``.

    Attributes:
        arch: name of the GPU.
        trace: name of the network, or of the GEMM.
        dtype: input element type of all layers that have no rule of their own.
        batch: samples in one pass.
        sparsity: what was run: ``"both"``, ``"dense"`` or ``"2:4"``.
        engine: which one timed it.
        inputs: ``arch`` (every leaf), ``trace`` (its operations) and ``trace_sha256``, or ``gemm``; and every option of the call
            by its name: ``dtype``, ``sparsity``, ``engine``, ``kernel``, ``launch``, ``duration``, ``fusion``, ``library``,
            ``keep_dense``, ``dtype_of``, ``pruned_as``, of a GEMM ``weights_in_l2`` and ``weight_copies``; ``batch`` and
            ``version`` to be read. ``stcsim.rerun`` takes them.
        rows: GEMMs and convolutions, in the order of the trace.
        totals: sums over all of it.
        memory: memory operations with a kernel of their own, in the order of the trace.
        groups: alike layers that have the choice between dense and 2:4, those that save most when pruned first.
        footprint: memory that it needs.
        trust: how far to trust it all.
        partial: what the network lacks, so that every total is too small; ``None`` where nothing is missing.
    """

    arch: str
    trace: str
    dtype: str
    batch: int
    sparsity: str
    engine: str
    inputs: dict[str, Any]
    rows: tuple[LayerRow, ...]
    totals: Totals
    memory: tuple[MemoryRow, ...] = ()
    groups: tuple[PruneGroup, ...] = ()
    footprint: Footprint | None = None
    trust: Trust | None = None
    partial: Partial | None = None

    @property
    def pattern(self) -> str:
        """The name of the sparse side: the GPU's pattern, ``"2:4"``."""
        return pattern_of(self.inputs["arch"])

    @property
    def library(self) -> str:
        """Whose 2:4 kernels were taken; ``"cusparselt"`` in results of versions that knew no other."""
        return str(self.inputs.get("library", "cusparselt"))

    @property
    def duration(self) -> str:
        """How long the board was under load; ``"sustained"`` in results of versions that knew nothing else."""
        return str(self.inputs.get("duration", "sustained"))

    def __repr__(self) -> str:
        """Return one line: what was run, how long it takes dense, pruned and at best, and the speedup with its interval."""
        totals = self.totals
        times = (("dense", totals.dense_us), (self.pattern, totals.sparse_us), ("best", totals.best_us))
        shown = [f"{side} {time_us:,.1f} µs" for side, time_us in times if time_us is not None]
        if totals.speedup is not None and totals.sparse_us is not None:
            likely = totals.speedup_interval
            shown.append(f"{totals.speedup:.2f}×" + (f" ({likely.low:.2f}–{likely.high:.2f})" if likely else ""))
        partial = ["partial"] if self.partial else []
        return f"RunResult({self.trace} on {self.arch}, {self.dtype}, batch {self.batch}: {', '.join(shown + partial)})"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain mappings, lists, numbers and texts (``stcsim schema run`` prints their JSON schema)."""
        return document(SCHEMA, self)

    def to_json(self) -> str:
        """Return :meth:`to_dict` as JSON text."""
        return json_text(self.to_dict())

    def lines(self) -> list[dict[str, object]]:
        """Return one flat mapping for each layer, then for each memory operation with a kernel of its own.

        The names are the paths in :meth:`to_dict`'s rows, such as ``dense.time_us`` and ``sparse.breakdown.l2``; ``partial`` is
        the sentence of what the network lacks, the same on every line.
        """
        partial = self.partial.sentence if self.partial else None
        return [{**line, "partial": partial} for line in (*map(_line, self.rows), *map(_line, self.memory))]

    def to_dataframe(self) -> DataFrame:
        """Return :meth:`lines` as a pandas ``DataFrame``.

        Raises:
            StcsimError: when pandas is not installed.
        """
        if find_spec("pandas") is None:
            raise StcsimError("to_dataframe", "pandas (pip install 'stcsim[pandas]')", "none")
        from pandas import DataFrame

        lines = self.lines()
        return DataFrame(lines, columns=columns(lines))

    def save(self, path: str | PathLike[str]) -> None:
        """Write everything to ``path`` as JSON, whole or not at all; :meth:`load` reads it again.

        Raises:
            StcsimError: when nothing can be written there.
        """
        write_whole(path, self.to_json())

    @classmethod
    def load(cls, path: str | PathLike[str]) -> RunResult:
        """Return the result that :meth:`save`, or ``--json``, wrote.

        Raises:
            StcsimError: when it cannot be read, is no result of a run, or was written by a version whose schema is another.
        """
        file = fspath(path)
        try:
            with open(file, encoding="utf-8") as text:
                content = parse_json(text.read())
        except OSError as error:
            raise StcsimError(file, "a file that can be read", error.strerror or str(error)) from None
        except KeyTwiceError as error:
            raise StcsimError(file, "every key of an object once", f"{quoted(error.key)} twice") from None
        except (ValueError, RecursionError):
            raise StcsimError(file, "JSON", "something else") from None
        return cls.from_dict(content, file)

    @classmethod
    def from_dict(cls, content: object, where: str = "result") -> RunResult:
        """Return the result that :meth:`to_dict` made plain; errors begin with ``where``. Raises as :meth:`load`."""
        wanted = f"stcsim/{SCHEMA}"
        if not isinstance(content, Mapping) or "schema" not in content:
            raise StcsimError(where, f"a result of stcsim run (schema {wanted})", "none")
        if content["schema"] != wanted:
            raise StcsimError(f"{where}: schema", f"'{wanted}', the one that this version reads", quoted(content["schema"]))
        return build(cls, {name: each for name, each in content.items() if name not in ("schema", "stcsim")}, where)


def _line(row: LayerRow | MemoryRow) -> dict[str, object]:
    own = {field.name: plain(getattr(row, field.name)) for field in fields(row) if field.name not in _SIDES}
    chosen = {name: getattr(row.chosen, name) for name in _OF_CHOSEN if hasattr(row.chosen, name)}
    return flat({**own, "dense": plain(row.dense), "sparse": plain(row.sparse), "chosen": chosen})
