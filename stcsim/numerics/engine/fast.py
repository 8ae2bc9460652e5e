"""The fast engine: decodes operands to float64 and runs the compiled chains of ``dot_fast``; integers go through BLAS.

Twin of ``reference``; must agree exactly.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stcsim.isa import DType
from stcsim.numerics.engine.dot_fast import LANES, Constants, run_chains
from stcsim.numerics.formats import Codes, Floats, code_type, decoded, float_format, integers
from stcsim.numerics.orders import Cut
from stcsim.numerics.rules import Datapath, DotRule, sum_type

_PANEL_ELEMENTS = 1 << 22
"""Decoded elements of one operand held at a time (32 MiB of values and as much of powers)."""
_THREAD_MACS = 1 << 22
"""Smaller products are not worth a thread."""


def multiply(
    path: Datapath,
    a: Codes,
    b: Codes,
    c: Codes,
    columns: npt.NDArray[np.int32] | None = None,
    cut: Cut | None = None,
    workers: int | None = None,
) -> Codes:
    """Return D = A . B + C as raw codes, (batch, m, n). Twin of ``reference.multiply``; must agree exactly.

    Args:
        path, a, b, c, columns, cut: as the twin takes them.
        workers: threads; by default one for each processor.
    """
    with np.errstate(all="ignore"):
        if path.rule is None:
            return _multiply_integers(path, a, b, c, columns) if cut is None else _cut_integers(path, a, b, c, columns, cut)
        a, columns = _in_order(path, path.rule, a, columns)
        whole = _Operands(path, a, b, columns, workers)
        if cut is None:
            return _canonical(whole.summed(decoded(c, path.c)[0]), path.d)
        total = np.zeros(c.shape, np.float32)
        for first, last in cut.slices:
            total += whole.part(first, last).promoted(cut.promote_every, c.shape)
        return _canonical(total + decoded(c, sum_type(path))[0].astype(np.float32), sum_type(path))


class _Operands(NamedTuple):
    """Factors of a product of floats, in the order of the blocks."""

    path: Datapath
    a: Codes
    b: Codes
    columns: npt.NDArray[np.int32]
    workers: int | None

    def part(self, first: int, last: int) -> _Operands:
        """Return the factors of some instructions."""
        rows = self.b.shape[1] * self.path.products // self.a.shape[2]  # of B, in one instruction
        inside = slice(first * self.path.products, last * self.path.products)
        b, columns = self.b[:, first * rows : last * rows], self.columns[..., inside] - np.int32(first * rows)
        return self._replace(a=self.a[..., inside], b=b, columns=columns)

    def summed(self, c: Floats) -> Floats:
        """Return the sums that begin with ``c``, which is overwritten."""
        rule = self.path.rule
        return _emulated(self, c) if rule and rule.adds_c_last else _chains(self, c, 0, np.empty((1, 1, 1)))

    def promoted(self, every: int, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """Return the sums that begin with zero, promoted every so many instructions (0: never)."""
        instructions = self.a.shape[2] // self.path.products
        if not every or every >= instructions:
            return self.summed(np.zeros(shape)).astype(np.float32)
        total = np.zeros(shape)
        if self.path.rule and not self.path.rule.adds_c_last:
            _chains(self, np.zeros(shape), every * self.path.products, total)
            return total.astype(np.float32)
        for first in range(0, instructions, every):
            part = self.part(first, min(instructions, first + every))
            total = (total + part.summed(np.zeros(shape))).astype(np.float32).astype(np.float64)
        return total.astype(np.float32)


def _emulated(whole: _Operands, c: Floats) -> Floats:
    """Return D of a rule that adds C last: each instruction's chains start from zero, then one addition to nearest."""
    native = np.dtype(whole.path.d.numpy)
    for at in range(whole.a.shape[2] // whole.path.products):
        sums = _chains(whole.part(at, at + 1), np.zeros_like(c), 0, np.empty((1, 1, 1)))
        c = (sums.astype(native) + c.astype(native)).astype(np.float64)
    return c


def _chains(whole: _Operands, c: Floats, span: int, total: Floats) -> Floats:
    """Return the running values after all blocks, panel by panel; ``c`` is overwritten.

    Args:
        whole: the factors.
        c: (batch, m, n), what the sums begin with.
        span: products after which they are promoted into ``total``, of the same shape, and begin with zero; 0: never.
    """
    path, a, b, columns, workers = whole
    assert path.rule is not None
    constants = _constants(path, path.rule)
    threads = min(workers or os.cpu_count() or 1, 1 + c.size * a.shape[2] // _THREAD_MACS)
    for batch, lanes in _panels(c.shape[0], c.shape[2], b.shape[1]):
        value, power = decoded(np.ascontiguousarray(b[batch, :, lanes]), path.b)
        choice = columns[batch] if len(columns) > 1 else columns
        registers = total[batch, :, lanes] if span else total
        panel = _Panel(path.a, constants, a[batch], choice, value, power, c[batch, :, lanes], span, registers)
        shares = list(_shares(len(panel.a), c.shape[1], a.shape[2], threads))
        if threads == 1:
            for share in shares:
                panel.run(share)
        else:
            with ThreadPoolExecutor(threads) as pool:  # the kernel holds no lock
                list(pool.map(panel.run, shares))
    return c


class _Panel(NamedTuple):
    """Some matrices of a batch and some columns of B, decoded: what the threads share."""

    form: DType
    constants: Constants
    a: Codes
    columns: npt.NDArray[np.int32]
    value: Floats
    power: Floats
    c: Floats
    span: int
    total: Floats

    def run(self, share: tuple[slice, slice]) -> None:
        """Decode some rows of A in some matrices and overwrite their part of c."""
        matrices, rows = share
        a_value, a_power = decoded(self.a[share], self.form)
        choice = self.columns[
            matrices if len(self.columns) > 1 else slice(None), rows if self.columns.shape[1] > 1 else slice(None)
        ]
        running = np.ascontiguousarray(self.c[share])
        columns = np.ascontiguousarray(choice)
        total = np.ascontiguousarray(self.total[share]) if self.span else self.total
        run_chains(
            a_value, a_power, columns, self.value[matrices], self.power[matrices], running, self.constants, self.span, total
        )
        self.c[share] = running
        if self.span:
            self.total[share] = total


def _panels(batch: int, n: int, rows: int) -> Iterator[tuple[slice, slice]]:
    """Yield parts of B that fit the panel: some matrices of a batch, and some columns."""
    lanes = max(1, min(n, max(LANES, _PANEL_ELEMENTS // max(1, rows) // LANES * LANES)))
    matrices = max(1, _PANEL_ELEMENTS // max(1, rows * lanes))
    for start in range(0, batch, matrices):
        for first in range(0, n, lanes):
            yield slice(start, min(batch, start + matrices)), slice(first, min(n, first + lanes))


def _shares(count: int, m: int, k: int, threads: int) -> Iterator[tuple[slice, slice]]:
    """Yield (matrices, rows) for the threads: whole matrices when there are enough of them, else rows."""
    matrices, rows = (-(-count // threads), m) if count >= threads else (1, -(-m // threads))
    rows = max(1, min(rows, _PANEL_ELEMENTS // max(1, k)))
    for start in range(0, count, matrices):
        for first in range(0, m, rows):
            yield slice(start, min(count, start + matrices)), slice(first, min(m, first + rows))


def _in_order(
    path: Datapath, rule: DotRule, a: Codes, columns: npt.NDArray[np.int32] | None
) -> tuple[Codes, npt.NDArray[np.int32]]:
    """Return A and its columns with the products in the order of the blocks; both keep a leading batch and row axis."""
    k = a.shape[2]
    chosen = np.arange(k, dtype=np.int32)[None, None] if columns is None else columns
    if not rule.order or path.products < len(rule.order):
        return a, chosen
    taken = (np.arange(0, k, len(rule.order))[:, None] + np.array(rule.order)).reshape(-1)
    return a[..., taken], chosen[..., taken]


def _constants(path: Datapath, rule: DotRule) -> Constants:
    form = float_format(rule.rounding.form)
    return Constants(
        length=min(rule.block_length, path.products),
        zero=2.0**rule.e_zero,
        steps_below_top=2.0**rule.fraction_bits,
        c_least=2.0 ** (form if rule.adds_c_last else path.c).min_exponent,
        least=2.0**form.min_exponent,
        steps=2.0**rule.rounding.fraction_bits,
        beyond=2.0 ** (form.max_exponent + 1),
        nearest=rule.rounding.nearest,
    )


def _canonical(running: Floats | npt.NDArray[np.float32], form: DType) -> Codes:
    """Return the codes of results that the format holds exactly; NaN is the one pattern of the datapath."""
    codes = running.astype(form.numpy).view(code_type(form))
    codes[np.isnan(running)] = form.nan_code
    return codes


def _multiply_integers(path: Datapath, a: Codes, b: Codes, c: Codes, columns: npt.NDArray[np.int32] | None) -> Codes:
    """Return the int32 codes; every sum is below 2**53, so that float64 products are exact."""
    dense = integers(a, path.a) if columns is None else _spread(integers(a, path.a), columns, b.shape[1])
    left, right, total = dense.astype(np.float64), integers(b, path.b).astype(np.float64), integers(c, path.c)
    span = path.products * dense.shape[2] // a.shape[2] if path.saturates else dense.shape[2]
    for k in range(0, dense.shape[2], max(1, span)):
        total = total + (left[..., k : k + span] @ right[:, k : k + span]).astype(np.int64)
        if path.saturates:
            total = np.clip(total, -(2**31), 2**31 - 1)
    return (total & 0xFFFFFFFF).astype(np.uint32)


def _cut_integers(path: Datapath, a: Codes, b: Codes, c: Codes, columns: npt.NDArray[np.int32] | None, cut: Cut) -> Codes:
    """Return the int32 codes of sums in parts, each clamped when the datapath saturates; parts are added modulo 2^32."""
    if not path.saturates:
        return _multiply_integers(path, a, b, c, columns)
    rows = b.shape[1] * path.products // a.shape[2]
    total, zero = c.astype(np.uint32), np.zeros_like(c)
    for first, last in cut.slices:
        for at in range(first, last, cut.promote_every or last - first):
            end = min(last, at + (cut.promote_every or last - first))
            inside, of_b = slice(at * path.products, end * path.products), slice(at * rows, end * rows)
            chosen = None if columns is None else columns[..., inside] - np.int32(at * rows)
            total = total + _multiply_integers(path, a[..., inside], b[:, of_b], zero, chosen)
    return total


def _spread(kept: npt.NDArray[np.int64], columns: npt.NDArray[np.int32], k: int) -> npt.NDArray[np.int64]:
    """Return the dense (batch, m, k) A: kept elements at their columns, zeros elsewhere."""
    dense = np.zeros((*kept.shape[:2], k), np.int64)
    np.put_along_axis(dense, columns.astype(np.int64), kept, axis=2)
    return dense
