"""The store: what comes out is what went in, one process writes, and whatever goes wrong leaves it whole."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from stcsim.errors import StcsimError
from stcsim.study.sweeps.store import SCHEMA, Store, WritableStore
from stcsim.study.sweeps.work import Answer
from tests.unit.study.sweeps.studies import figures

SOME = figures(
    macs=2**40, best_us=0.1 + 0.2, best_tops=1.5, speedup=None, clock_is_limited=True, fits=False, partial="partial: ü"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.sqlite"


def content(path: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as database:
        return database.execute("SELECT * FROM answers ORDER BY key").fetchall()


def test_what_comes_out_is_what_went_in(path: Path) -> None:
    with WritableStore(path) as store:
        store.add([Answer("a", SOME), Answer("b", None, "this cell: expected a, found b")])
    with Store(path) as store:
        assert store.answer("a") == Answer("a", SOME) and store.answer("b") == Answer("b", None, "this cell: expected a, found b")
        assert store.answer("c") is None
        assert [store.sentence(key) for key in "abc"] == ["", "this cell: expected a, found b", None]


def test_an_answer_takes_the_place_of_an_error(path: Path) -> None:
    with WritableStore(path) as store:
        store.add([Answer("a", None, "no")])
        store.add([Answer("a", SOME)])
        assert store.answer("a") == Answer("a", SOME) and len(content(path)) == 1


def test_a_store_at_rest_is_one_file_and_a_lock(path: Path) -> None:
    with WritableStore(path) as store:
        store.add([Answer("a", SOME)])
    with Store(path) as store:
        assert store.sentence("a") == ""
    assert sorted(each.name for each in path.parent.iterdir()) == ["s.sqlite", "s.sqlite.lock"]


def test_whoever_reads_while_another_writes_sees_whole_batches(path: Path) -> None:
    with WritableStore(path) as writer, Store(path) as reader:
        assert reader.answer("a") is None
        writer.add([Answer("a", SOME), Answer("b", SOME)])
        assert reader.answer("a") == reader.answer("b").__class__("a", SOME)


def test_a_second_writer_is_refused_and_the_first_goes_on(path: Path) -> None:
    with WritableStore(path) as store:
        with pytest.raises(StcsimError, match="expected a store that no other process writes to, found a study at work on it"):
            WritableStore(path)
        store.add([Answer("a", SOME)])
    with WritableStore(path) as store:
        assert store.answer("a") == Answer("a", SOME)


def test_a_writer_that_was_killed_blocks_nobody(path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path\n"
        "from stcsim.study.sweeps.store import WritableStore; from stcsim.study.sweeps.work import Answer\n"
        "store = WritableStore(Path(sys.argv[1])); store.add([Answer('a', None, 'kept')])\n"
        "store._database.execute('BEGIN IMMEDIATE')\n"
        "store._database.execute(\"INSERT INTO answers (key, error) VALUES ('b', 'not kept')\")\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], cwd=Path(__file__).parents[4], check=False)
    with WritableStore(path) as store:
        assert (store.sentence("a"), store.sentence("b")) == ("kept", None)
        store.add([Answer("b", SOME)])


def test_a_store_of_another_schema_is_refused_and_left_as_it_is(path: Path) -> None:
    with WritableStore(path) as store:
        store.add([Answer("a", SOME)])
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA + 1}")
    before = path.read_bytes()
    for kind in (Store, WritableStore):
        with pytest.raises(StcsimError, match=rf"expected a store of schema {SCHEMA}, .*--store.*, found schema {SCHEMA + 1}"):
            kind(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("kind", [Store, WritableStore])
def test_what_is_no_store_is_refused_and_left_as_it_is(path: Path, kind: type[Store]) -> None:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE another (a)")
    before = path.read_bytes()
    with pytest.raises(StcsimError, match="expected a store that stcsim study run has made, found another SQLite file"):
        kind(path)
    assert path.read_bytes() == before
    path.write_text("arch: a100\n" * 1000, encoding="utf-8")
    with pytest.raises(StcsimError, match="expected a store that can be read and written, found file is not a database"):
        kind(path)
    assert path.read_text(encoding="utf-8") == "arch: a100\n" * 1000


def test_a_store_that_is_not_there_is_one_sentence(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StcsimError, match="expected a store that stcsim study run has made, found no such file"):
        Store(path)
    with pytest.raises(StcsimError, match="expected a place that can be written to, found unable to open database file"):
        WritableStore(tmp_path / "no" / "s.sqlite")


def test_a_full_disk_is_one_sentence_and_loses_nothing_that_was_kept(path: Path) -> None:
    with WritableStore(path) as store:
        store.add([Answer("a", SOME)])
        pages = store._database.execute("PRAGMA page_count").fetchone()[0]
        store._database.execute(f"PRAGMA max_page_count = {pages + 1}")
        with pytest.raises(StcsimError, match="expected a store that can be read and written, found database or disk is full"):
            store.add([Answer(f"{at:064}", SOME) for at in range(1000)])
        assert store.answer("a") == Answer("a", SOME) and store.sentence(f"{0:064}") is None
    assert [row[0] for row in content(path)] == ["a"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs limits on the size of files")
def test_a_system_that_writes_no_more_is_one_sentence_and_loses_nothing_that_was_kept(path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from stcsim.errors import StcsimError\n"
        "from stcsim.study.sweeps.store import WritableStore; from stcsim.study.sweeps.work import Answer\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with WritableStore(Path(sys.argv[1])) as store:\n"
        "    store.add([Answer('a', None, 'kept')])\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "    try: store.add([Answer(f'{at:064}', None, 'x' * 1000) for at in range(1000)])\n"
        "    except StcsimError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=Path(__file__).parents[4], check=True, capture_output=True, text=True
    )
    assert "expected a store that can be read and written, found " in done.stdout and done.stdout.count("\n") == 1
    with WritableStore(path) as store:
        assert store.sentence("a") == "kept" and len(content(path)) == 1
