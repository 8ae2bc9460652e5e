"""README shows what the program prints."""

from __future__ import annotations

from tests.validation.readme import README, RUN, filled, printed_by


def test_the_first_output_of_readme_is_what_is_printed_now() -> None:
    text = README.read_text(encoding="utf-8")
    assert filled(text, "run", printed_by(*RUN)) == text, "python -m tests.validation.readme writes it anew"
