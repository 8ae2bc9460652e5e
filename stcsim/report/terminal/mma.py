"""One element of D as text: the kept elements, the rows of B they pick, the aligned products block by block, the result."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.text import Text

from stcsim.isa import DTYPES
from stcsim.report.terminal.bits import LEADING, BitRow, bit_rows
from stcsim.report.terminal.columns import Column, FittedTable
from stcsim.report.units import NOTHING
from stcsim.result import document as documents

if TYPE_CHECKING:
    from stcsim.numerics.rules import DotRule
    from stcsim.numerics.steps import Block, Element, Group, MmaSteps, Term

TENSOR_CORE = "tensor core"
"""Name of the line that says what the hardware gives."""
_PRUNED = "·"
_KEEPS = {2: "one of each two elements is", 4: "two of each four elements are", 8: "two of each four pairs are"}
_PRODUCTS_IN_LINE = 4


def mma_text(steps: MmaSteps, operands: str = "") -> RenderableType:
    """Return ``steps`` for a terminal; ``operands`` says where A, B and C are from."""
    parts: list[RenderableType] = [*_title(steps, operands)]
    if steps.groups:
        parts += [Text(), *_groups(steps)]
    for at, block in enumerate(steps.blocks):
        parts += [Text(), *_block(steps, at, block)]
    if steps.integers:
        parts += [Text(), *_integers(steps)]
    return Lines(*parts, Text(), *_result(steps))


def number(value: float, digits: int = 4) -> str:
    """Return a number in so many significant digits, with a minus sign as long as a plus."""
    return f"{value + 0:.{digits}g}".replace("-", "−")


def code_text(element: Element, form: str) -> str:
    """Return a code of D in hex, as wide as its format."""
    return f"0x{element.code:0{DTYPES[form].bits // 4}X}"


def power_text(exponent: int) -> str:
    """Return a power of two: ``2^−3``."""
    return f"2^{number(exponent)}"


def summary(steps: MmaSteps) -> str:
    """Return in one sentence how the dot product is cut."""
    count = len(steps.integers.products) if steps.integers else sum(len(block.terms) - 1 for block in steps.blocks)
    kind = "kept product" if steps.blocking == "kept" else "product"
    if not steps.rule:
        return f"{count} {kind}s of integers are added to C exactly"
    length = len(steps.blocks[0].terms) - 1
    cut = "in one block" if len(steps.blocks) == 1 else f"in {len(steps.blocks)} blocks of {length}, one after the other"
    source = "measured" if steps.measured else "assumed"
    return f"{count} {kind}s are added {cut}" + (f" ({source}; see --blocking)" if steps.blocking else "")


def document(steps: MmaSteps, seed: int | None = None) -> dict[str, Any]:
    """Return ``steps``; infinities and NaN are texts. ``seed`` is that of the operands, where they were drawn."""
    inputs = {"instruction": steps.instruction.name, "arch": steps.arch, "row": steps.row, "col": steps.col, "seed": seed}
    content = {"name": steps.instruction.name, **asdict(steps), "inputs": inputs | {"blocking": steps.blocking or None}}
    return documents.document("mma-1", _plain(content))


def row_lines(steps: MmaSteps) -> list[dict[str, object]]:
    """Return one flat line for each term that is added: block by block, or the products of integers."""
    if steps.integers:
        names = ("row", "a", "b", "value")
        return [dict(zip(names, product, strict=True)) for product in steps.integers.products]
    terms = ((at, asdict(term)) for at, block in enumerate(steps.blocks, 1) for term in block.terms)
    return [documents.flat(_plain({"block": at, **term})) for at, term in terms]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _title(steps: MmaSteps, operands: str) -> Iterator[Text]:
    yield Text(f"{steps.instruction.name} on {steps.arch}", "bold").append(f"{'  ' * bool(operands)}{operands}", "not bold dim")
    yield Text(f"D[{steps.row},{steps.col}] = row {steps.row} of A · column {steps.col} of B + C: {summary(steps)}")


def _groups(steps: MmaSteps) -> Iterator[RenderableType]:
    groups = steps.groups
    size = len(groups[0].elements)
    yield Text(f"Row {steps.row} of A: {_KEEPS[size]} kept, their places are the metadata", "bold")
    named = [f"{group.first}–{group.first + size - 1}" for group in groups]
    nibbles = [Text(f"{group.nibble >> 2:02b} {group.nibble & 3:02b}  {group.nibble:X}") for group in groups]
    rows = [Text(", ".join(map(str, group.rows))) for group in groups]
    yield FittedTable(
        (
            Column("  k", tuple(Text(f"  {name}", "dim") for name in named)),
            Column("elements of A", _elements(groups)),
            Column("2nd 1st  hex" if size > 2 else "code  hex", tuple(nibbles)),
            Column("picks rows of B", tuple(rows)),
        ),
        foot="  a code of 01 00 keeps the first of a pair, 11 10 the second" if size == 2 else "",
    )


def _elements(groups: Sequence[Group]) -> tuple[Text, ...]:
    """Return one line for each group, elements in columns, a dot where nothing was kept."""
    words = [
        [number(each.value) if group.first + at in group.rows else _PRUNED for at, each in enumerate(group.elements)]
        for group in groups
    ]
    width = max(len(word) for line in words for word in line)
    lines = []
    for line in words:
        text = Text()
        for at, word in enumerate(line):
            text.append(f"{'  ' * (at > 0)}{word:>{width}}", "dim" if word == _PRUNED else "bold cyan")
        lines.append(text)
    return tuple(lines)


def _block(steps: MmaSteps, at: int, block: Block) -> Iterator[RenderableType]:
    rule = steps.rule
    assert rule
    title = f"Block {at + 1} of {len(steps.blocks)}" if len(steps.blocks) > 1 else "The block"
    if block.special:
        yield Text(f"{title}: a term is infinite or NaN, so nothing is added", "bold")
    else:
        below = f"{rule.fraction_bits} bits below are kept"
        yield Text(f"{title}: aligned to the largest exponent, {power_text(block.top)}; {below}", "bold")
    yield _terms(block, rule, first_name(steps, at), last_name(steps, at))
    if error := errors_text(steps, block):
        yield Text(f"  {error}", "dim")


def first_name(steps: MmaSteps, at: int) -> str:
    """Return what the running value is called before block ``at``."""
    assert steps.rule
    return f"D{at}" if at else "zero" if steps.rule.adds_c_last else "C"


def last_name(steps: MmaSteps, at: int) -> str:
    """Return what the running value is called after block ``at``."""
    assert steps.rule
    return f"D{at + 1}" if at + 1 < len(steps.blocks) or steps.rule.adds_c_last else "D"


def _terms(block: Block, rule: DotRule, first: str, last: str) -> FittedTable:
    """Return a line for each term, one for the sum, one for the result."""
    lines = [_term(term, first) for term in block.terms]
    whole = 1
    if not block.special:
        rows = bit_rows(block, rule)
        whole = len(rows.total.whole)
        lines = [(*line, _bits(row)) for line, row in zip(lines, rows.terms, strict=True)]
        total = Text(number(math.ldexp(block.total, block.scale), 5))
        lines.append((Text("  sum"), Text(), Text(), total, Text(), Text(f"{block.total:,}"), _bits(rows.total)))
    else:
        lines = [(*line[:-1], Text(), Text()) for line in lines]
    shown = Text() if block.special else _bits(rows.result, "bold green")
    value = Text(number(block.result.value, 5), "bold green")
    lines.append((Text(f"  {last}", "bold green"), Text(), Text(), value, Text(), Text(), shown))
    name, a, b, product, exponent, integer, bits = (tuple(cells) for cells in zip(*lines, strict=True))
    width = whole + rule.fraction_bits + 2
    return FittedTable(
        (
            Column("  row\n  of B", name),
            Column("a", a, justify="right"),
            Column("b", b, justify="right"),
            Column("a·b", product, justify="right"),
            Column("2^e", exponent, justify="right"),
            Column(f"{'aligned bits':<{width}}│dropped", bits),
            Column("aligned integer", integer, 1, justify="right"),
        )
    )


def _term(term: Term, first: str) -> tuple[Text, ...]:
    """Return the cells of a term but for its bits."""
    factors = [Text(number(each.value), "cyan") if each else Text() for each in (term.a, term.b)]
    name = Text(f"  {first if term.row is None else term.row}")
    exponent = number(term.exponent) if term.significand else NOTHING
    return name, *factors, Text(number(term.value, 5)), Text(exponent), Text(f"{term.aligned:,}")


def _bits(row: BitRow, style: str = "") -> Text:
    """Return a number in binary: zeros in front dim, what truncation drops red behind a bar."""
    text = Text(row.sign)
    for part in (row.whole, ".", row.fraction):
        ahead = len(part) - len(part.lstrip(LEADING))
        text.append(part[:ahead], "dim").append(part[ahead:], style)
    return text.append("│", "dim").append(row.dropped, "red")


def errors_text(steps: MmaSteps, block: Block) -> str:
    """Return the two errors of one block, in units in the last place of D; nothing when D is not finite."""
    if steps.ulp_exponent is None:
        return ""
    ulp = 2.0**steps.ulp_exponent
    aligned, rounded = float(block.alignment_error) / ulp, float(block.rounding_error) / ulp
    if not aligned and not rounded:
        return "no error"
    return f"error of alignment {number(aligned, 3)} ulp, of rounding {_rounding(steps)} {number(rounded, 3)} ulp"


def _rounding(steps: MmaSteps) -> str:
    assert steps.rule
    rounding = steps.rule.rounding
    return f"{'to nearest' if rounding.nearest else 'toward zero'} ({rounding.fraction_bits} bits)"


def _integers(steps: MmaSteps) -> Iterator[RenderableType]:
    assert steps.integers
    products = steps.integers.products
    yield Text("The products, by row of B, are added exactly", "bold")
    words = [f"{row}: {number(a, 9)}·{number(b, 9)} = {number(product, 9)}" for row, a, b, product in products]
    width = max(map(len, words)) + 2
    for at in range(0, len(words), _PRODUCTS_IN_LINE):
        yield Text("  " + "".join(f"{word:<{width}}" for word in words[at : at + _PRODUCTS_IN_LINE]).rstrip())
    total = sum(product for *_, product in products)
    yield Text(f"  sum {number(total, 17)}, with C = {number(steps.c.value, 17)}: {number(steps.integers.exact, 17)}", "bold")


def _result(steps: MmaSteps) -> Iterator[Text]:
    yield Text(f"D[{steps.row},{steps.col}]", "bold")
    for name, value, note in result_lines(steps):
        yield Text(f"  {name:<12}  ").append(f"{value:<20}", "bold green" if name == TENSOR_CORE else "").append(f"  {note}")


def result_lines(steps: MmaSteps) -> list[tuple[str, str, str]]:
    """Return (name, value, note) of what the tensor core gives, what is exact, and how far apart they are."""
    form = steps.instruction.d
    digits = DTYPES[form].decimal_digits if DTYPES[form].is_float else 17
    lines = [(TENSOR_CORE, number(steps.d.value, digits), code_text(steps.d, form))]
    if steps.rule and steps.rule.adds_c_last:
        lines.insert(
            0,
            (
                "+ C",
                number(steps.c.value, 5),
                f"is added last: emulated fp8{' (assumed)' * (steps.instruction.sparse and not steps.measured)}",
            ),
        )
    if steps.integers:
        return [*lines, ("exact", number(steps.integers.exact, 17), _overflow(steps))]
    lines.append(("exact", number(steps.exact, 17), "C + a·b, correctly rounded to float64"))
    lines.append((f"nearest {form}", number(steps.nearest.value, digits), code_text(steps.nearest, form)))
    if steps.error_ulp is not None:
        lines.append(("error", f"{number(steps.error_ulp, 3)} ulp", ulp_text(steps)))
    return lines


def _overflow(steps: MmaSteps) -> str:
    """Return what became of a sum beyond int32."""
    assert steps.integers
    if not steps.integers.overflows:
        return "fits in 32 bits"
    return "beyond 32 bits: clamped (.satfinite)" if steps.instruction.satfinite else "beyond 32 bits: wraps"


def ulp_text(steps: MmaSteps) -> str:
    """Return how large a unit in the last place is here."""
    assert steps.ulp_exponent is not None and steps.rule
    missing = DTYPES[steps.instruction.d].fraction_bits - steps.rule.rounding.fraction_bits
    kept = f", last kept bit {power_text(steps.ulp_exponent + missing)}" if missing else f" of {steps.instruction.d}"
    return f"1 ulp = {power_text(steps.ulp_exponent)}{kept}"
