"""One network, or one GEMM, on several GPUs and in several types side by side; what it costs where prices are given."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stcsim.arch import Arch
from stcsim.arch.variants import base_name
from stcsim.errors import StcsimError, UnsupportedError, closest, quoted
from stcsim.partial import Partial
from stcsim.processes import Notify
from stcsim.result import Footprint, RunResult, Totals, Trust
from stcsim.result.parts import Side
from stcsim.study.whatif.work import Work
from stcsim.version import __version__

_PRICE = re.compile(r"\d{1,9}(?:\.\d{0,9})?|\.\d{1,9}", re.ASCII)
_HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Entry:
    """One run among others.

    Attributes:
        label: what tells it from the others: its GPU and type, or the file that it is saved in.
        arch: name of the GPU.
        dtype: input element type.
        batch: samples in one pass.
        pattern: name of the GPU's sparsity pattern.
        totals: of the run; ``None`` where the GPU cannot do it.
        memory: what the network needs of the GPU's memory; ``None`` for a GEMM.
        price_per_hour: of the GPU, in whatever currency it was given; ``None`` where none was.
        refused: why there is no run.
        partial: what the network lacks; ``None`` where nothing is missing.
    """

    label: str
    arch: str
    dtype: str
    batch: int
    pattern: str
    totals: Totals | None
    memory: Footprint | None = None
    price_per_hour: float | None = None
    refused: str | None = None
    partial: Partial | None = None

    def time_us(self, side: Side) -> float | None:
        """Return the time of one pass."""
        totals = self.totals
        return {"dense": totals.dense_us, "2:4": totals.sparse_us, "best": totals.best_us}[side] if totals else None

    def energy_uj(self, side: Side) -> float | None:
        """Return the board's energy for one pass."""
        totals = self.totals
        return {"dense": totals.dense_uj, "2:4": totals.sparse_uj, "best": totals.best_uj}[side] if totals else None

    def memory_bytes(self, side: Side) -> int | None:
        """Return the bytes that the network needs, with weights as in ``side``."""
        need = self.memory
        if need is None:
            return None
        weights = {"dense": need.dense_weight_bytes, "2:4": need.sparse_weight_bytes, "best": need.best_weight_bytes}
        return need.total(weights[side])

    def fits(self, side: Side) -> bool | None:
        """Whether that is no more than the GPU has."""
        size = self.memory_bytes(side)
        return None if size is None or self.memory is None else size <= self.memory.capacity_bytes

    def cost_per_million(self, side: Side) -> float | None:
        """Return the price of a million samples, at one pass after the other."""
        time_us = self.time_us(side)
        if time_us is None or self.price_per_hour is None:
            return None
        seconds = time_us / self.batch  # a million samples of so many microseconds
        return self.price_per_hour * seconds / _HOUR_S


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side.

    Attributes:
        title: what they have in common.
        entries: in the order asked for.
        trust: how far to trust the figures of each GPU.
        inputs: ``archs`` (every leaf of each), ``trace_sha256``, ``dtypes``, ``library``, ``duration``, ``prices`` and
            ``version``; of saved results ``files``.
    """

    title: str
    entries: tuple[Entry, ...]
    trust: dict[str, Trust]
    inputs: dict[str, Any]

    @property
    def has_choice(self) -> bool:
        """Whether there are layers to choose the faster side for, one by one: not of a single GEMM."""
        return any(entry.totals.launches > 1 for entry in self.entries if entry.totals)

    @property
    def first(self) -> Entry:
        """The entry that others are held against: the first that has a run."""
        return next(entry for entry in self.entries if entry.totals)

    def faster_than_first(self, entry: Entry) -> float | None:
        """Return the best time of the first entry over that of ``entry``."""
        ours, theirs = entry.time_us("best"), self.first.time_us("best")
        return theirs / ours if ours and theirs else None


def side_by_side(
    works: Sequence[Work],
    archs: Sequence[Arch],
    prices: Mapping[str, float] | None = None,
    progress: Notify | None = None,
) -> Comparison:
    """Run every work on every GPU.

    Args:
        works: one network or GEMM, in one type or in several.
        archs: GPUs, each with another name; variants are priced as the GPU that they lie on unless they have a price.
        prices: for an hour of a GPU, by its name.
        progress: called with (runs done, runs in all).

    Raises:
        StcsimError: a GPU given twice, a price of a GPU that is not compared, or GPUs of which none has any of the types.
    """
    names = [arch.name for arch in archs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise StcsimError("archs", "each name once", f"'{twice}' twice")
    priced = _prices(prices or {}, names)
    asked = [(arch, work, _why_not(arch, work)) for arch in archs for work in works]
    if all(refused for *_, refused in asked):
        raise StcsimError("archs", f"a GPU with {' or '.join(work.dtype for work in works)}", ", ".join(names))
    entries, trust = [], {}
    for done, (arch, work, refused) in enumerate(asked, 1):
        label = arch.name if len(works) == 1 else f"{arch.name} {work.dtype}"
        if refused:
            entries.append(_refused(label, arch, work, priced.get(arch.name), refused))
        else:
            run = work.on(arch)
            entries.append(entry_of(label, run, priced.get(arch.name)))
            if run.trust:
                trust[arch.name] = run.trust
        if progress is not None:
            progress(done, len(asked))
    first, dtypes = works[0], [work.dtype for work in works]
    title = first.title if len(works) == 1 else first.title.removesuffix(f" · {first.dtype}")
    inputs: dict[str, Any] = {"archs": {arch.name: arch.to_dict() for arch in archs}, "trace_sha256": first.trace.sha256}
    inputs |= {"dtypes": dtypes, "library": first.library, "duration": first.duration, "prices": dict(prices or {})}
    return Comparison(title, tuple(entries), trust, {**inputs, "version": __version__})


def of_results(results: Mapping[str, RunResult], prices: Mapping[str, float] | None = None) -> Comparison:
    """Return saved results side by side, each under the name of its file.

    Raises:
        StcsimError: a price of a GPU that is in none of them.
    """
    priced = _prices(prices or {}, [run.arch for run in results.values()])
    entries = tuple(entry_of(name, run, priced.get(run.arch)) for name, run in results.items())
    trust = {name: run.trust for name, run in results.items() if run.trust}
    inputs = {"files": list(results), "prices": dict(prices or {}), "version": __version__}
    networks = ", ".join(dict.fromkeys(run.trace for run in results.values()))
    return Comparison(f"saved results of {networks}", entries, trust, inputs)


def entry_of(label: str, run: RunResult, price_per_hour: float | None = None) -> Entry:
    """Return the entry of a run."""
    head = label, run.arch, run.dtype, run.batch, run.pattern
    return Entry(*head, run.totals, run.footprint, price_per_hour, partial=run.partial)


def parse_prices(texts: Sequence[str]) -> dict[str, float]:
    """Return prices for an hour by GPU, from texts such as ``"h100=2.9"``.

    Raises:
        StcsimError: a text that is none, or a GPU twice.
    """
    prices: dict[str, float] = {}
    for text in texts:
        name, equals, price = (part.strip() for part in text.rpartition("="))
        if not (name and equals and _PRICE.fullmatch(price)):
            raise StcsimError("price", "GPU=PRICE for an hour, e.g. h100=2.9", quoted(text))
        if name.lower() in prices:
            raise StcsimError("price", "each GPU once", f"'{name}' twice")
        prices[name.lower()] = float(price)
    return prices


def _prices(prices: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Return the price of each GPU that has one."""
    known = {each.lower() for name in names for each in (name, base_name(name))}
    for name, price in prices.items():
        if name.lower() not in known:
            raise StcsimError("price", f"one of {', '.join(names)}", f"{quoted(name)}{closest(name, known)}")
        if not (math.isfinite(price) and price >= 0):
            raise StcsimError(f"price {name}", "a price of 0 or more", f"{price}")
    lower = {name.lower(): price for name, price in prices.items()}
    found = {name: lower.get(name.lower(), lower.get(base_name(name).lower())) for name in names}
    return {name: price for name, price in found.items() if price is not None}


def _why_not(arch: Arch, work: Work) -> str | None:
    try:
        arch.require(work.dtype, False)
    except UnsupportedError as error:
        return str(error)
    return None


def _refused(label: str, arch: Arch, work: Work, price: float | None, why: str) -> Entry:
    return Entry(label, arch.name, work.dtype, work.trace.batch, arch.pattern_name, None, None, price, why)
