"""Lines that break where a reader would pause, and what a table says of columns that find no room."""

from __future__ import annotations

import pytest
from rich.console import Console
from rich.style import Style
from rich.text import Text

from stcsim.report.phrases import Phrases, broken
from stcsim.report.terminal.columns import Column, FittedTable

SAID = "weights 128 MiB, activations 384 KiB; fits 80 GiB"
FIGURES = "384 KiB|1.5 GiB|64 B|12.3 µs|1.20 ms|3 s|8.5 %|1,410 MHz|400 W|312 TOPS|128 →|3 ×".split("|")


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (80, ["weights 128 MiB, activations 384 KiB; fits 80 GiB"]),
        (49, ["weights 128 MiB, activations 384 KiB; fits 80 GiB"]),  # just all of it
        (48, ["weights 128 MiB, activations 384 KiB;", "fits 80 GiB"]),
        (36, ["weights 128 MiB,", "activations 384 KiB; fits 80 GiB"]),  # one less than the first two phrases
        (20, ["weights 128 MiB,", "activations 384 KiB;", "fits 80 GiB"]),
    ],
)
def test_lines_break_behind_commas_and_semicolons(width: int, lines: list[str]) -> None:
    assert broken(SAID, width) == lines


@pytest.mark.parametrize("text", ["one: two. three (four) - five", "1,024 rows of 2;3", "a,b;c"])
def test_nothing_else_is_a_pause(text: str) -> None:
    # no space behind a comma, or no comma
    assert broken(f"x, {text}", len(text)) == ["x,", text]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short, tensor 1045 (1045 alone), end", ["short, tensor 1045", "(1045 alone), end"]),
        ("time saved: DRAM bandwidth, end", ["time saved:", "DRAM bandwidth, end"]),
    ],
)
def test_a_phrase_too_long_for_a_line_is_broken_before_brackets_and_behind_colons(text: str, lines: list[str]) -> None:
    assert broken(text, 20) == lines


def test_a_phrase_too_long_for_a_line_is_broken_between_words() -> None:
    text = "short, a phrase that no line can hold, end"
    assert broken(text, 14) == ["short, a", "phrase that no", "line can hold,", "end"]


@pytest.mark.parametrize("figure", FIGURES)
def test_a_number_stays_with_its_unit_or_sign(figure: str) -> None:
    text = f"about as many as {figure} of something"
    for width in range(len(figure), len(text)):
        assert any(figure in line for line in broken(text, width)), width


def test_a_word_that_begins_like_a_unit_is_a_word() -> None:
    assert broken("3 samples", 7) == ["3", "samples"]
    assert broken("3 Whats", 6) == ["3", "Whats"]


def test_a_word_longer_than_the_line_stays_whole() -> None:
    assert broken("on encoder.layer.11.attention there", 10) == ["on", "encoder.layer.11.attention", "there"]
    assert broken("word", 0) == ["word"]


def test_lines_of_the_text_stay_lines() -> None:
    assert broken("one, two\nthree, four", 80) == ["one, two", "three, four"]
    assert broken("one, two\nthree, four", 8) == ["one, two", "three,", "four"]
    assert broken("one\n\ntwo", 80) == ["one", "", "two"]


@pytest.mark.parametrize("width", range(1, 60))
def test_nothing_is_lost_and_nothing_is_wider_than_it_must_be(width: int) -> None:
    lines = broken(SAID, width)
    assert " ".join(lines) == SAID
    assert all(len(line) <= max(width, len("activations")) for line in lines)


def test_wide_characters_count_as_two() -> None:
    assert broken("重み, 活性", 9) == ["重み,", "活性"]
    assert broken("重み, 活性", 10) == ["重み, 活性"]


def drawn(phrases: Phrases, width: int) -> list[Text]:
    """Return the lines that a console of that width is given."""
    console = Console(width=width)
    lines = list(phrases.__rich_console__(console, console.options))
    assert all(isinstance(line, Text) for line in lines)
    return [line for line in lines if isinstance(line, Text)]


def styles(line: Text) -> list[tuple[str, str]]:
    """Return each stretch of a line that has a style of its own."""
    return [(line.plain[span.start : span.end], str(span.style)) for span in line.spans]


def test_a_label_stands_before_the_first_line_and_all_lines_are_indented() -> None:
    lines = drawn(Phrases("memory", SAID, 8), 45)
    assert [line.plain for line in lines] == ["memory  weights 128 MiB, activations 384 KiB;", "        fits 80 GiB"]


def test_a_plain_text_has_the_style_it_is_given() -> None:
    first, second = drawn(Phrases("memory", SAID, 8, style="red"), 45)
    assert styles(first) == [("weights 128 MiB, activations 384 KiB;", "red")]
    assert styles(second) == [("fits 80 GiB", "red")]


def test_a_label_has_its_own_style() -> None:
    (line,) = drawn(Phrases("memory", "fits 80 GiB", 8, label_style="dim"), 45)
    assert line.get_style_at_offset(Console(), 0) == Style(dim=True)


def test_a_styled_text_keeps_its_styles_over_the_break() -> None:
    text = Text.assemble("weights 128 MiB, ", ("activations 384 KiB; fits", "bold red"), " 80 GiB")
    first, second = drawn(Phrases("memory", text, 8), 45)
    assert first.plain.endswith("KiB;") and second.plain == "        fits 80 GiB"
    assert ("activations 384 KiB;", "bold red") in styles(first)
    assert ("fits", "bold red") in styles(second)


def test_lines_that_are_alike_are_found_one_after_the_other() -> None:
    text = Text.assemble("same, ", ("same", "red"))
    first, second = drawn(Phrases("", text, 0), 5)
    assert (first.plain, second.plain) == ("same,", "same")
    assert styles(second) == [("same", "red")]


def column(header: str, width: int, rank: int = 0) -> Column:
    return Column(header, (Text("x" * width),), rank)


TABLE = FittedTable(
    (column("layer", 10), column("time\nµs", 6, 1), column("part\nof all", 6, 2), column("", 6, 3), column("time\nµs", 6, 3))
)
"""Columns of 10 and 6 characters with 2 between: 10, 18, 26 and 42 wide with all up to rank 0, 1, 2 and 3."""


def test_nothing_is_said_where_all_columns_fit() -> None:
    assert TABLE.left_out(42) == "" and len(TABLE.chosen(42)) == 5


def test_columns_without_room_are_named_in_their_order() -> None:
    assert TABLE.left_out(41) == "no room for time µs"
    assert TABLE.left_out(25) == "no room for part of all, time µs"


def test_each_name_is_said_once_and_one_without_a_name_not_at_all() -> None:
    # both columns of µs are gone, and the one without a header
    assert TABLE.left_out(10) == "no room for time µs, part of all"
    assert FittedTable((column("layer", 10), column("", 6, 3))).left_out(10) == ""


def printed(table: FittedTable, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(table)
    return captured.get().splitlines()


def test_the_line_stands_below_the_table_broken_to_its_width() -> None:
    lines = [line.rstrip() for line in printed(TABLE, 20)]
    assert lines[-2:] == ["no room for part of", "all, time µs"]  # the phrase is too long for a line


def test_a_table_that_is_told_so_says_nothing() -> None:
    quiet = FittedTable(TABLE.columns, says_what_is_left_out=False)
    assert not any("no room" in line for line in printed(quiet, 20))
