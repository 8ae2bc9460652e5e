"""Pulling public tables from small repositories: what arrives, what is refused, and that nothing half-written stays."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stcsim.errors import StcsimError
from stcsim.study.measured import read_measured
from stcsim.study.public import cache
from stcsim.study.public.cache import cache_folder, pulled_tables, read_manifest
from stcsim.study.public.fetch import check_blob, fetched
from stcsim.study.public.pull import is_there, pull
from stcsim.study.public.sources import SOURCES, Source, chosen
from tests.unit.study.public import VENOM, VIDUR, VIDUR_FILE, mirrored, slidesparse_file, slidesparse_text, source_of

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git fetches public tables")

VENOM_FILES = dict.fromkeys(source_of("venom").paths, VENOM)


@pytest.fixture(autouse=True)
def own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's configuration, and no git that runs us."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.delenv("GIT_DIR", raising=False)


@pytest.fixture
def vidur(tmp_path: Path) -> Source:
    """Vidur's repository in the folder ``mirror``."""
    return mirrored(
        tmp_path / "mirror", "vidur", {VIDUR_FILE: VIDUR, "LICENSE": "MIT, as it stands there", "large.bin": b"\0" * 9}
    )


def names_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*")) if folder.exists() else []


def refusal(source: Source, tmp_path: Path) -> str:
    """Pull what must be refused; return the sentence."""
    with pytest.raises(StcsimError) as error:
        pull(source, tmp_path / "data", tmp_path / "mirror")
    assert "\n" not in str(error.value) and names_in(tmp_path / "data") == []
    return str(error.value)


def test_pulled_tables_are_measured_tables(vidur: Source, tmp_path: Path) -> None:
    folder, steps = tmp_path / "new" / "data", list[tuple[int, int]]()
    manifest = pull(vidur, folder, tmp_path / "mirror", lambda done, total: steps.append((done, total)))

    assert names_in(folder) == ["vidur", "vidur/LICENSE", "vidur/manifest.json", "vidur/vidur-a40.csv"]
    rows = read_measured(pulled_tables(folder))
    assert [(row.m, row.n, row.k) for row in rows][:2] == [(3072, 512, 4096), (4096, 512, 2048)]
    assert len(rows) == manifest.rows == 6 and steps == [(1, 1)]
    # 4096 x 512 x 5504 in 20 µs are 1154 TFLOPS; one of the second line was not run
    assert manifest.left_out == {"faster than 1.15 dense peaks (dense)": 1, "without a time (not run)": 1}
    assert (manifest.licence, manifest.commit, manifest.url) == ("MIT", vidur.commit, "https://github.com/microsoft/vidur")
    assert manifest.files == {VIDUR_FILE: hashlib.sha256(VIDUR.encode()).hexdigest()}
    assert read_manifest(folder, "vidur") == manifest and is_there(vidur, folder)
    assert (folder / "vidur" / "LICENSE").read_text(encoding="utf-8") == "MIT, as it stands there"


def test_only_what_is_wanted_is_checked_out_and_nothing_stays(vidur: Source, tmp_path: Path) -> None:
    with fetched(vidur, tmp_path / "mirror") as found:
        top = found.files[VIDUR_FILE].parents[len(Path(VIDUR_FILE).parts) - 1]
        assert names_in(top / "data")[-1].endswith("mlp.csv") and not (top / "large.bin").exists()
    assert not top.exists()


def test_all_sources_come_from_one_mirror(tmp_path: Path) -> None:
    slidesparse = {
        slidesparse_file(): slidesparse_text("BF16 -> BF16", "512,4096,1024,40.5"),
        slidesparse_file("cuSPARSELt", stem="Tiny-1B_2_4"): slidesparse_text("BF16 -> BF16", "512,4096,1024,30", factor="1.00"),
        slidesparse_file("cuSPARSELt", stem="Tiny-1B_2_6"): slidesparse_text("BF16 -> BF16", "512,4096,1024,30", factor="1.33"),
        slidesparse_file(gpu="RTX5080_cc120"): slidesparse_text("BF16 -> BF16", "512,4096,1024,30"),
    }
    for name, files in (("slidesparse", slidesparse), ("venom", VENOM_FILES)):
        pull(mirrored(tmp_path / "mirror", name, files), tmp_path / "data", tmp_path / "mirror")
    tables = pulled_tables(tmp_path / "data")
    assert [table.name for table in tables] == ["slidesparse-a100-pcie.csv", "venom-rtx3090.csv"]
    dense, sparse, *rest = read_measured(tables)
    assert (dense.sparse, sparse.sparse) == (False, True) and dense.pair == sparse.pair and len(rest) == 10
    manifest = read_manifest(tmp_path / "data", "slidesparse")
    assert manifest and manifest.left_out == {
        "of rtx5080 (no such GPU file)": 1, "of patterns other than 2:4 (run as 2:4 at a stretched K)": 1,
    }  # fmt: skip


def test_parquet_tables_are_pulled(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="aiconfigurator's tables are parquet")
    from pyarrow import parquet

    from tests.unit.study.test_public_converters import AIC_ROW

    parquet.write_table(pyarrow.Table.from_pylist([AIC_ROW]), tmp_path / "gemm.parquet")
    files = dict.fromkeys(source_of("aiconfigurator").paths, (tmp_path / "gemm.parquet").read_bytes())
    manifest = pull(mirrored(tmp_path / "mirror", "aiconfigurator", files), tmp_path / "data", tmp_path / "mirror")
    gpus = {row.arch: row.record["weight_copies"] for row in read_measured(pulled_tables(tmp_path / "data"))}
    assert {"a100": "5", "h100": "5", "h200": "5", "l40s": "5"}.items() <= gpus.items() and len(manifest.files) == 5


def test_attributes_of_a_repository_change_no_byte(tmp_path: Path) -> None:
    files = {VIDUR_FILE: VIDUR, ".gitattributes": "*.csv text eol=crlf ident filter=lfs\n"}
    manifest = pull(mirrored(tmp_path / "mirror", "vidur", files), tmp_path / "data", tmp_path / "mirror")
    assert manifest.files == {VIDUR_FILE: hashlib.sha256(VIDUR.encode()).hexdigest()}


def test_a_git_that_runs_us_is_left_alone(vidur: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "of-a-hook"))
    assert pull(vidur, tmp_path / "data", tmp_path / "mirror").rows == 6 and not (tmp_path / "of-a-hook").exists()


def test_a_commit_that_is_not_there_is_refused(vidur: Source, tmp_path: Path) -> None:
    other = replace(vidur, commit="0123456789" * 4)
    assert refusal(other, tmp_path).endswith(f"repo: expected the commit {'0123456789' * 4}, found none of that id")


def test_a_name_is_no_pinned_commit(vidur: Source, tmp_path: Path) -> None:
    assert "repo: expected the commit HEAD, found " in refusal(replace(vidur, commit="HEAD"), tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    files = {path: text for path, text in VENOM_FILES.items() if "ablation2" not in path}
    source = mirrored(tmp_path / "mirror", "venom", files)
    assert refusal(source, tmp_path) == f"{source.pinned}: expected a file result/ablation2.csv, found none"


def test_a_missing_column_is_named_and_nothing_is_kept(tmp_path: Path) -> None:
    source = mirrored(
        tmp_path / "mirror", "venom", VENOM_FILES | {"result/baseline_b.csv": VENOM.replace("gemm_time", "gemm_ms")}
    )
    assert refusal(source, tmp_path).startswith("result/baseline_b.csv: header: expected a column 'gemm_time', found algo, m, ")


def test_a_source_without_a_usable_row_is_refused(tmp_path: Path) -> None:
    files = {slidesparse_file(library, gpu="RTX5080_cc120"): slidesparse_text("BF16 -> BF16", "512,4096,1024,30")
             for library in ("cuBLASLt", "cuSPARSELt")}  # fmt: skip
    source = mirrored(tmp_path / "mirror", "slidesparse", files)
    assert refusal(source, tmp_path) == f"{source.pinned}: expected a row that stcsim can predict, found none"


def test_content_that_is_not_the_commits_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(b"hello\n")
    check_blob(file, "ce013625030ba8dba906f756967f9e9ca394464a", "here")  # `echo hello | git hash-object --stdin`
    file.write_bytes(b"hello!\n")
    with pytest.raises(StcsimError, match="^here: expected the content ce013625030ba8dba906f756967f9e9ca394464a, found 4effa19"):
        check_blob(file, "ce013625030ba8dba906f756967f9e9ca394464a", "here")
    with pytest.raises(StcsimError, match="^here: expected a file, found No such file or directory"):
        check_blob(tmp_path / "none", "ce013625030ba8dba906f756967f9e9ca394464a", "here")


def test_without_a_network_the_mirror_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    source = replace(source_of("vidur"), host="https://127.0.0.1:9")  # the port of "discard": nobody listens
    with pytest.raises(StcsimError) as error:
        pull(source, tmp_path / "data")
    assert str(error.value).startswith(
        "https://127.0.0.1:9/microsoft/vidur: expected a repository that git can fetch from "
        "(with no network, --mirror DIR names a folder of copies), found unable to access "
    )
    assert "\n" not in str(error.value) and not (tmp_path / "data").exists()


def test_a_mirror_without_the_repository_is_refused(vidur: Source, tmp_path: Path) -> None:
    sentence = refusal(source_of("venom"), tmp_path)
    assert sentence == f"--mirror {tmp_path / 'mirror'}: expected a bare repository 'UDC-GAC+venom/repo' in it, found none"
    shutil.rmtree(tmp_path / "mirror" / "microsoft+vidur" / "repo" / "objects")
    assert "repo: expected a repository that git can fetch from " in refusal(vidur, tmp_path)


def test_without_git_it_is_asked_for(vidur: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    sentence = "git: expected the program that fetches public tables (https://git-scm.com), found none on the PATH"
    assert refusal(vidur, tmp_path) == sentence


def stop(*_: object) -> Iterator[object]:
    """Ctrl-C."""
    raise KeyboardInterrupt


def test_an_interrupted_pull_leaves_what_was_there(vidur: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, mirror = tmp_path / "data", tmp_path / "mirror"
    with pytest.raises(KeyboardInterrupt):
        pull(replace(vidur, convert=stop), folder, mirror)
    assert not folder.exists()
    pull(vidur, folder, mirror)
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(cache, "_swap", stop)
        pull(vidur, folder, mirror)
    with (
        monkeypatch.context() as patched,
        pytest.raises(StcsimError, match="expected a folder that can be written, found No space"),
    ):
        patched.setattr(cache.shutil, "rmtree", lambda *_, **__: None)
        rename, turns = Path.rename, iter((True, False, True))

        def full(path: Path, target: Path) -> Path:
            if next(turns):
                return rename(path, target)
            raise OSError(28, "No space left on device")

        patched.setattr(Path, "rename", full)
        pull(vidur, folder, mirror)
    for draft in folder.glob(".*"):
        shutil.rmtree(draft)  # what the patched rmtree left
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


def test_a_table_that_was_altered_is_refused(vidur: Source, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    date = pull(vidur, folder, tmp_path / "mirror").date
    table = folder / "vidur" / "vidur-a40.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("200", "100"), encoding="utf-8")
    for call in (lambda: pulled_tables(folder), lambda: is_there(vidur, folder)):
        with pytest.raises(StcsimError) as error:
            call()
        assert str(error.value).startswith(f"{table}: expected the table of the pull of {date} (SHA-256 ")
        assert str(error.value).endswith("…; `stcsim data pull vidur --again` fetches it anew")
    table.unlink()
    with pytest.raises(StcsimError, match="found no file; `stcsim data pull vidur --again`"):
        pulled_tables(folder)
    pull(vidur, folder, tmp_path / "mirror")
    assert len(read_measured(pulled_tables(folder))) == 6


def test_a_manifest_that_was_altered_is_refused(vidur: Source, tmp_path: Path) -> None:
    folder, manifest = tmp_path / "data", tmp_path / "data" / "vidur" / "manifest.json"
    pull(vidur, folder, tmp_path / "mirror")
    for text in ("", "[]", '{"tables": {}}', '{"tables": {"a.csv": 3}}'):
        manifest.write_text(text, encoding="utf-8")
        with pytest.raises(StcsimError, match="expected a manifest as `stcsim data pull` writes it, found another"):
            pulled_tables(folder)
    pull(vidur, folder, tmp_path / "mirror")
    assert is_there(vidur, folder)


def test_other_bytes_at_the_same_commit_are_refused(vidur: Source, tmp_path: Path) -> None:
    folder, manifest = tmp_path / "data", tmp_path / "data" / "vidur" / "manifest.json"
    pull(vidur, folder, tmp_path / "mirror")
    fields = json.loads(manifest.read_text(encoding="utf-8"))
    fields["files"][VIDUR_FILE] = "0" * 64  # as if the first pull had brought something else
    manifest.write_text(json.dumps(fields), encoding="utf-8")
    with pytest.raises(StcsimError) as error:
        pull(vidur, folder, tmp_path / "mirror")
    now = hashlib.sha256(VIDUR.encode()).hexdigest()[:12]
    expected = f"the bytes of the pull of {fields['date']} (SHA-256 000000000000…)"
    assert str(error.value) == f"{vidur.pinned}: {VIDUR_FILE}: expected {expected}, found {now}…; nothing was replaced"
    assert json.loads(manifest.read_text(encoding="utf-8")) == fields


def test_a_new_pin_or_version_is_pulled_anew(vidur: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_there(vidur, tmp_path / "data")
    pull(vidur, tmp_path / "data", tmp_path / "mirror")
    assert is_there(vidur, tmp_path / "data") and not is_there(replace(vidur, commit="f" * 40), tmp_path / "data")
    monkeypatch.setattr("stcsim.study.public.pull.__version__", "99.0")  # it may know more GPUs
    assert not is_there(vidur, tmp_path / "data")


def test_where_tables_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STCSIM_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for shared, folder in ((None, tmp_path / ".cache"), ("relative", tmp_path / ".cache"), ("/shared", Path("/shared"))):
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        if shared:
            monkeypatch.setenv("XDG_CACHE_HOME", shared)
        assert cache_folder() == folder / "stcsim" / "data"
    monkeypatch.setenv("STCSIM_DATA", "/mine")
    assert cache_folder() == Path("/mine")


def test_sources_are_pinned_and_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for source in SOURCES:
        assert len(source.commit) == 40 and int(source.commit, 16) and source.licence in ("Apache-2.0", "MIT")
    assert [source.name for source in chosen(["venom", "vidur", "venom"])] == ["vidur", "venom"]
    with pytest.raises(
        StcsimError, match=r"^SOURCE: expected one of aiconfigurator, .* found 'vidor' \(did you mean 'vidur'\?\)"
    ):
        chosen(["vidor"])
