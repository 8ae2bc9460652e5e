"""What every room reads files with: sentences of one line, JSON and YAML that say things once, arrays that are no bombs."""

from __future__ import annotations

import io
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stcsim.errors import ArchError, StcsimError, described
from stcsim.json_text import KeyTwiceError, parse_json
from stcsim.npz_members import LIMIT, member_of
from stcsim.printable import escaped, harmless, shortened
from stcsim.study.measured import read_measured
from stcsim.words import whole_of
from stcsim.yaml_text import read_yaml


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\x1b[2Jb", r"a\x1b[2Jb"), ("a\nb\r", r"a\nb\r"), ("\ud800", r"\ud800"), ("\u202e", r"\u202e"), ("\x9b", r"\x9b")],
)
def test_what_steers_a_terminal_is_escaped_in_a_sentence(text: str, shown: str) -> None:
    assert escaped(text) == shown
    assert str(StcsimError(text, text, text)) == f"{shown}: expected {shown}, found {shown}"


def test_other_letters_and_emoji_of_several_characters_are_left_as_they_are() -> None:
    assert escaped("ü 漢 👩‍💻\xa0x") == harmless("ü 漢 👩‍💻\xa0x") == "ü 漢 👩‍💻\xa0x"


def test_a_table_keeps_its_lines_and_loses_what_steers() -> None:
    assert harmless("a\x1b[2J\nb\x07") == "a\N{REPLACEMENT CHARACTER}[2J\nb\N{REPLACEMENT CHARACTER}"


def test_a_long_input_is_cut_in_the_middle_and_its_end_is_still_there() -> None:
    message = str(StcsimError("file", "a name", "'" + "a" * 5000 + "' (did you mean 'b'?)"))
    assert len(message) < 400 and message.endswith("(did you mean 'b'?)")
    assert shortened("abcdefgh", 5) == "ab…gh" and shortened("abc", 3) == "abc"


@pytest.mark.parametrize(
    ("value", "kind"), [("secret", "a text"), ([1], "a list"), (1.5, "a number"), (True, "true or false"), (None, "nothing")]
)
def test_a_file_of_another_kind_is_described_and_not_shown(value: object, kind: str) -> None:
    assert described(value) == kind


@pytest.mark.parametrize("text", ['{"a": 1, "b": 2, "a": 3}', '[{"x": {"a": 1, "a": 1}}]'])
def test_a_key_that_stands_twice_is_refused_at_any_depth(text: str) -> None:
    with pytest.raises(KeyTwiceError, match="a"):
        parse_json(text)


def test_the_second_of_many_keys_is_found_at_once() -> None:
    text = "{" + ",".join(f'"{number}":0' for number in (*range(200_000), 199_999)) + "}"
    began = time.process_time()
    with pytest.raises(KeyTwiceError, match="199999"):
        parse_json(text)
    assert time.process_time() - began < 5  # comparing each with each takes minutes


def test_merge_keys_of_merge_keys_are_refused_before_they_grow() -> None:
    lines = ["x0: &m0 {k: 1}"] + [f"x{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}" for n in range(1, 12)]
    began = time.process_time()
    with pytest.raises(StcsimError, match="more than 1000 keys merged into one mapping"):
        read_yaml("\n".join(lines), "merge.yaml")
    assert time.process_time() - began < 2


def test_many_small_merges_of_one_large_mapping_are_refused_too() -> None:
    large = ", ".join(f"k{number}: 1" for number in range(900))
    text = f"a: &a {{{large}}}\nb: {{<<: [{', '.join(['*a'] * 100_000)}]}}"
    began = time.process_time()
    with pytest.raises(StcsimError, match="merged into one mapping"):
        read_yaml(text, "merge.yaml")
    assert time.process_time() - began < 10


def test_merge_keys_as_people_use_them_work() -> None:
    assert read_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}", "file") == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}


@pytest.mark.parametrize(("text", "number"), [("12", 12), (" 007 ", 7), ("0", 0), ("-1", None), ("²", None), ("", None)])
def test_a_whole_number_is_its_digits(text: str, number: int | None) -> None:
    assert whole_of(text) == number


def test_a_number_of_5000_digits_is_no_number_and_is_not_shown_whole(tmp_path: Path) -> None:
    assert whole_of("9" * 5000) is None
    table = tmp_path / "t.csv"
    table.write_text(f"arch,sparsity,dtype,m,n,k,time_us\na100,dense,fp16,{'9' * 5000},64,64,9\n", encoding="utf-8")
    with pytest.raises(StcsimError, match="m: expected a whole number above 0, found '9+") as refusal:
        read_measured([table])
    assert len(str(refusal.value)) < 800


def archive_of(data: bytes, size: int | None = None) -> tuple[zipfile.ZipFile, zipfile.ZipInfo]:
    """An archive with one member; ``size`` is what it claims to hold."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", data)
    opened = zipfile.ZipFile(out)
    info = opened.infolist()[0]
    if size is not None:
        info.file_size = size
    return opened, info


def npy(shape: tuple[int, ...], payload: bytes = b"", descr: Any = "<f4") -> bytes:
    """A file of numpy whose header says what it likes."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": False, "shape": shape})
    return out.getvalue() + payload


@pytest.mark.parametrize(
    ("data", "size", "said"),
    [
        (npy((10**9, 10**9)), None, "4,000,000,000,000,000,000 bytes of numbers, found 0"),
        (npy((10**9, 10**9)), 128 + 4 * 10**18, "which cannot be so many"),
        (npy((1,), b"....", "|O"), None, "would have to be unpickled"),
        (b"cposix\nsystem\n(S'touch x'\ntR.", None, "an array of numpy"),
        (npy((-1, 64)), None, "expected"),
        (b"", None, "an array of numpy"),
    ],
)
def test_a_member_that_claims_what_cannot_be_is_refused_unread(data: bytes, size: int | None, said: str) -> None:
    with pytest.raises(StcsimError, match=said):
        member_of(*archive_of(data, size), "w.npz: w")


def test_a_bomb_is_refused_and_the_variable_that_lifts_the_limit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    archive, info = archive_of(npy((1 << 20,), bytes(4 << 20)))
    assert member_of(archive, info, "w").nbytes == 4 << 20
    monkeypatch.setenv(LIMIT, "0.001")
    with pytest.raises(StcsimError, match=rf"at most 0.001 GiB where nearly all bytes are alike \({LIMIT} in the environment"):
        member_of(archive, info, "w")
    monkeypatch.setenv(LIMIT, "lots")
    with pytest.raises(StcsimError, match=f"environment: {LIMIT}: expected a number of GiB, found 'lots'"):
        member_of(archive, info, "w")


def test_random_numbers_are_no_bomb(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "0")
    noise = np.random.default_rng(1).bytes(4000)
    assert member_of(*archive_of(npy((1000,), noise)), "w").shape == (1000,)


def test_a_result_with_a_key_twice_is_refused(tmp_path: Path) -> None:
    from stcsim.result import RunResult

    path = tmp_path / "r.json"
    path.write_text('{"schema": "x", "schema": "y"}', encoding="utf-8")
    with pytest.raises(StcsimError, match="every key of an object once, found 'schema' twice"):
        RunResult.load(path)


def test_the_words_of_a_file_that_is_no_architecture_are_not_repeated(tmp_path: Path) -> None:
    from stcsim.arch import load_arch

    path = tmp_path / "passwd.yaml"
    path.write_text("root:x:0:0:root:/root:/bin/bash\n", encoding="utf-8")
    with pytest.raises(ArchError, match="found a text$") as refusal:
        load_arch(path)
    assert "bash" not in str(refusal.value)


def test_numbers_with_a_plus_or_a_colon_stay_what_is_written_where_that_means_more() -> None:
    text = "[+8, -8, 8, +1.5, 1e3, 1:4, 2:4.5, x1.5]"
    assert read_yaml(text, "file", as_written=True) == ["+8", -8, 8, "+1.5", 1000.0, "1:4", "2:4.5", "x1.5"]
    assert read_yaml(text, "file")[:6] == [8, -8, 8, 1.5, 1000.0, 64]  # type: ignore[index]  # as YAML 1.1 has them
