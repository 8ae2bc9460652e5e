"""The public tables that stcsim knows: where each is, at which commit, under which licence, and how its files are read.

There is no SHA-256 of any file here: the commits were pinned where the files could be named but not fetched, so nobody has
computed one. The commit's id stands in. It is a hash (SHA-1) over all names and contents below it, so other content has another
id, and ``fetch`` holds every file against it. The SHA-256 of each file is written down at the first pull (``cache``); from then
on any other bytes are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from stcsim.errors import StcsimError, closest
from stcsim.study.public import aiconfigurator, slidesparse, venom, vidur
from stcsim.study.public.rows import Convert

LICENCE_FILES = ("LICENSE*", "NOTICE*")
"""Fetched beside the tables from the top of a repository, where there are any."""


def _needs_nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Source:
    """One repository with measured GEMM times.

    Attributes:
        name: as on the command line.
        repository: ``OWNER/NAME``.
        host: where it is.
        commit: the full id that is fetched.
        licence: SPDX identifier.
        paths: patterns of files; ``*`` stands for any part of one name.
        size: of all of them, in words.
        gpus: boards, in words.
        grades: which rows have which grade, in words.
        convert: reads one file.
        check: raises where a library is missing that ``convert`` needs.
    """

    name: str
    repository: str
    commit: str
    licence: str
    paths: tuple[str, ...]
    size: str
    gpus: str
    grades: str
    convert: Convert
    check: Callable[[], None] = _needs_nothing
    host: str = "https://github.com"

    @property
    def url(self) -> str:
        """Where git finds it."""
        return f"{self.host}/{self.repository}"

    @property
    def pinned(self) -> str:
        """What errors call it: the address and the beginning of the commit's id."""
        return f"{self.url} at {self.commit[:12]}"


_AIC = "aic-core/src/aiconfigurator_core/systems/data"
_RELEASES = {"a100_sxm": "1.0.0"} | dict.fromkeys(("h100_sxm", "h200_sxm", "l40s", "b200_sxm"), "1.3.0rc20")
_SLIDESPARSE = "slidesparse/benchmark_kernel"

SOURCES = (
    Source(
        name="aiconfigurator", repository="ai-dynamo/aiconfigurator", commit="095f58a51c4ca8e61b66ec108d86f223f8d559ce",
        licence="Apache-2.0",
        paths=tuple(f"{_AIC}/{gpu}/gemm/trtllm/{release}/gemm_perf.parquet" for gpu, release in _RELEASES.items()),
        size="5 files of 0.1 to 0.8 MB", gpus="A100, H100, H200 SXM; L40S; B200",
        grades="A; B where the time includes the quantisation of activations (fp8) or a plugin (int8)",
        convert=aiconfigurator.convert, check=aiconfigurator.require_pyarrow,
    ),
    Source(
        name="slidesparse", repository="bcacdwk/vllmbench", commit="92a8ca495b1c8cfe9ae5b1fc31badeb48a47ea65",
        licence="Apache-2.0",
        paths=tuple(f"{_SLIDESPARSE}/{library}/alg_search_results/*/*/*.csv" for library in ("cuBLASLt", "cuSPARSELt")),
        size="36 MB in hundreds of files", gpus="A100, H100 PCIe; RTX 4090; B200; RTX 5080",
        grades="A; B int8 (dense writes int32, 2:4 bf16); C under 1 GFLOP, and untuned dense int8",
        convert=slidesparse.convert,
    ),
    Source(
        name="vidur", repository="microsoft/vidur", commit="7d47513363ec447a741ac5e47241580b47724fbf", licence="MIT",
        paths=("data/profiling/compute/a40/*/*/mlp.csv",), size="a few MB", gpus="A40",
        grades="A from 30 µs on; B below (times are whole microseconds)", convert=vidur.convert,
    ),
    Source(
        name="venom", repository="UDC-GAC/venom", commit="8ddaf38ef918d4aedfea12696fed60348c5ccd10", licence="Apache-2.0",
        paths=tuple(
            f"result/{name}.csv" for name in ("baseline_a", "baseline_b", "ablation1", "ablation2", "spmm_bert_spatha")
        ),
        size="5 small files", gpus="RTX 3090", grades="B (no search over algorithms)", convert=venom.convert,
    ),
)  # fmt: skip


def chosen(names: Sequence[str]) -> tuple[Source, ...]:
    """Return the sources called ``names``, all where there are none; in the order of ``SOURCES``, each once.

    Raises:
        StcsimError: an unknown name, or a library is missing that one of them needs.
    """
    known = [source.name for source in SOURCES]
    for name in names:
        if name not in known:
            raise StcsimError("SOURCE", f"one of {', '.join(known)}", f"'{name}'{closest(name, known)}")
    found = tuple(source for source in SOURCES if not names or source.name in names)
    for source in found:
        source.check()
    return found
