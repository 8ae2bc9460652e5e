"""Small copies of the public repositories: files in their shapes, with made-up times, in real git repositories."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from stcsim.study.public.sources import SOURCES, Source

VIDUR_HEADER = (
    "num_tokens,num_tensor_parallel_workers,n_embd,n_expanded_embd,n_head,n_kv_head,use_gated_mlp,"
    "time_stats.attn_pre_proj.median,time_stats.attn_post_proj.median,time_stats.mlp_up_proj.median,time_stats.mlp_down_proj.median"
)
VIDUR_FILE = "data/profiling/compute/a40/org/model-7b/mlp.csv"
VIDUR = f"{VIDUR_HEADER}\n512,2,4096,11008,32,8,True,0.2,0.1,0.5,0.02\n8,2,4096,11008,32,8,False,0.0,0.025,0.03,0.06\n"

VENOM_HEADER = "algo,m,k,n,density,gemm_time,spmm_time"
VENOM = f"{VENOM_HEADER}\n3,1024,2048,4096,0.5,0.4,0.25\n7,1024,2048,4096,0.5,0.5,0.1\n3,1024,2048,4096,0.5,0.45,0.27\n"

SLIDESPARSE_HEADER = "M,N,K,alg_count,tops_1,lat_us_1,alg_id_1,workspace_1,tops_2,lat_us_2,alg_id_2,workspace_2"


def source_of(name: str) -> Source:
    """Return a source as it ships."""
    return next(source for source in SOURCES if source.name == name)


def slidesparse_text(dtype: str, *rows: str, factor: str = "", header: str = SLIDESPARSE_HEADER) -> str:
    """Return a file of SlideSparse's: comments, header, rows of M,N,K and the time in µs."""
    comments = ["# GPU: NVIDIA A100 80GB PCIe", "# Model: Tiny-1B", f"# dtype: {dtype}", "# warmup=25, repeat=40"]
    comments += [f"# Sparsity: 2_4 (K_factor={factor})"] if factor else []
    lines = [f"{','.join(row.split(',')[:3])},9,1.0,{row.split(',')[3]},5,0,0.9,999,6,0" for row in rows]
    return "\n".join((*comments, header, *lines)) + "\n"


def slidesparse_file(library: str = "cuBLASLt", gpu: str = "A100_cc80_x", kind: str = "BF16", stem: str = "Tiny-1B") -> str:
    """Return the path of such a file in the repository."""
    return f"slidesparse/benchmark_kernel/{library}/alg_search_results/{gpu}/{kind}/{stem}.csv"


def git(folder: Path, *arguments: str) -> str:
    """Run git as an author of its own, whatever the user's configuration says."""
    author = {f"GIT_{who}_{what}": "a@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = os.environ | author | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def mirrored(mirror: Path, name: str, files: Mapping[str, str | bytes]) -> Source:
    """Make a bare repository with ``files`` in the folder ``mirror``; return the source, pinned to its commit."""
    source = source_of(name)
    work = mirror / "work" / name
    for path, content in files.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    git(work, "init", "--quiet")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "tables")
    commit = git(work, "rev-parse", "HEAD")
    (work / "later.txt").write_text("after the pinned commit", encoding="utf-8")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "later")
    bare = mirror / source.repository.replace("/", "+") / "repo"
    bare.parent.mkdir(parents=True, exist_ok=True)
    git(mirror, "clone", "--quiet", "--bare", str(work), str(bare))
    git(bare, "config", "uploadpack.allowFilter", "true")
    return replace(source, commit=commit)
