"""Do the documents' commands run, and is what they print what stands there?"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.generated import content_of, cut, reason_to_keep
from tests.docs.measured import ABLATION, MEASURED, SIBLINGS, STUDIES, fingerprint, in_short, stored
from tests.docs.options import commands
from tests.docs.pages import Fence, Generated, fences, generated, pages, short
from tests.docs.workshop import Command, Workshop, commands_of, is_program, reason_to_skip

EVERY_COMMAND = [command for page in pages() for command in commands_of(page)]
EVERY_PYTHON = [fence for page in pages() for fence in fences(page) if is_program(fence)]
EVERY_GENERATED = [block for page in pages() for block in generated(page)]


def excused(fence: Fence) -> None:
    """Skip what a mark above a block says cannot be run here."""
    if reason := reason_to_skip(fence):
        pytest.skip(reason)


@pytest.mark.parametrize("command", EVERY_COMMAND, ids=[f"{each.fence.place} {each.text[7:60]}" for each in EVERY_COMMAND])
def test_a_command_of_the_documents_runs(command: Command, workshop: Workshop) -> None:
    excused(command.fence)
    workshop.printed_by(command.text)


@pytest.mark.parametrize("fence", EVERY_PYTHON, ids=[each.place for each in EVERY_PYTHON])
def test_a_block_of_python_runs(fence: Fence, workshop: Workshop) -> None:
    excused(fence)
    workshop.printed_by_python(fence)


@pytest.mark.parametrize("block", EVERY_GENERATED, ids=[f"{each.place} {each.what[:50]}" for each in EVERY_GENERATED])
def test_a_generated_block_is_what_is_printed_now(block: Generated, workshop: Workshop) -> None:
    if reason := reason_to_keep(block):
        pytest.skip(reason)
    fresh = content_of(block, workshop)
    assert block.content == fresh + "\n", f"stale; python -m tests.docs.write {short(block.page)} writes it anew"


@pytest.mark.parametrize(
    ("path", "option"),
    [
        (MEASURED, "--silicon DIR"),
        (ABLATION, "--ablation DIR --rates DIR"),
        (SIBLINGS, "--siblings FILE"),
        (STUDIES, "--studies"),
    ],
    ids=["measured", "ablation", "siblings", "studies"],
)
def test_figures_that_were_kept_are_those_of_this_model(path: Path, option: str) -> None:
    known, now = stored(path)["made_with"], fingerprint()
    changed = [name for part in now for name in now[part] if known[part].get(name) != now[part][name]]
    again = f"python -m tests.docs.write {option} makes it anew"
    assert not changed, f"{short(path)} was made with another model or other values ({', '.join(changed)}); {again}"


def test_an_effect_is_kept_in_short() -> None:
    effect = {
        "mechanism": "launch",
        "without": "0",
        "cell": "a100 dense bf16",
        "kept": [0.1, -0.1],
        "off": [0.1, 0.3],
        "moved": 1,
    }
    short_one = in_short(effect)
    assert short_one["rows"] == 2 and short_one["moved"] == 1  # the first row keeps its error
    assert short_one["shift"] == 0.22222  # (0 + (1.3 / 0.9 - 1)) / 2
    assert (short_one["mean_abs"], short_one["mean_abs_moved"], short_one["median"]) == ([0.1, 0.2], [0.1, 0.3], [0.0, 0.2])


def test_every_command_of_the_program_has_its_options_in_the_documents() -> None:
    listed = {block.what.removeprefix("options ") for block in EVERY_GENERATED if block.what.startswith("options ")}
    missing = set(commands()) - listed
    assert not missing, f"docs/commands.md: no block <!-- generated: options … --> for {', '.join(sorted(missing))}"


def test_the_suite_runs_most_of_what_the_documents_show() -> None:
    not_run = [command for command in EVERY_COMMAND if "not run" in command.fence.marks]
    print(f"\n{len(EVERY_COMMAND)} commands in {len(pages())} pages, {len(not_run)} of them not run")
    assert len(EVERY_COMMAND) > 40 and len(not_run) < len(EVERY_COMMAND) / 2


PAGE = """\
Text.

<!-- not run: needs a GPU -->
```sh
stcsim run a \\
  --arch b  # why
$ stcsim arch
pip install x
```
```python
print(1)
```
<!-- file: x.csv -->
```csv
name,m
```

<!-- generated: stcsim arch | head 1 -->
old
<!-- end -->
"""


def page_of(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    page = folder / "page.md"
    page.write_text(text, encoding="utf-8")
    for module in ("pages", "workshop"):
        monkeypatch.setattr(f"tests.docs.{module}.pages", lambda: [page])
    monkeypatch.setattr("tests.docs.pages.ROOT", folder)
    return page


def test_a_page_is_read_with_its_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of(PAGE, tmp_path, monkeypatch)
    shell, python, file = fences(page)
    assert (shell.line, shell.language, shell.marks) == (4, "sh", {"not run": "needs a GPU"})
    assert python.marks == {} and file.marks == {"file": "x.csv"} and file.text == "name,m"
    assert [command.text for command in commands_of(page)] == ["stcsim run a --arch b", "stcsim arch"]
    assert [(block.line, block.what, block.content) for block in generated(page)] == [(18, "stcsim arch | head 1", "old\n")]


def test_blocks_that_never_end_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = page_of("<!-- generated: stcsim arch -->\n", tmp_path, monkeypatch)
    with pytest.raises(AssertionError, match="page.md: 1 generated blocks begin, 0 end in <!-- end -->"):
        generated(page)
    with pytest.raises(AssertionError, match="page.md:1: a fence that is never closed"):
        fences(page_of("```sh\nstcsim arch\n", tmp_path, monkeypatch))


def test_a_command_that_fails_says_what_it_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page_of("", tmp_path, monkeypatch)
    (tmp_path / "shop").mkdir()
    shop = Workshop(tmp_path / "shop")
    with pytest.raises(AssertionError, match="exit code 2\nstcsim: .*a1000"):
        shop.printed_by("stcsim arch a1000")
    with pytest.raises(AssertionError, match="no shell runs it"):
        shop.printed_by("stcsim arch | head")


def test_lines_are_cut_out_with_a_sign_of_it() -> None:
    lines = ["one", "two", "three", "four"]
    assert cut(lines, ['from "two"', 'to "three"']) == ["…", "two", "three", "…"]
    assert cut(lines, ["head 1"]) == ["one", "…"] and cut(lines, ["tail 1"]) == ["…", "four"]
    assert cut(lines, ["head 4", "tail 9", 'from "one"', 'to "four"']) == lines
    with pytest.raises(AssertionError, match="no line holds 'five'"):
        cut(lines, ["from five"])
