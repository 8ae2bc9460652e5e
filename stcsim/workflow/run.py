"""A recipe from start to table: its stages, their scores in every type, and what a pass would cost on each GPU."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import torch

from stcsim.arch import Arch, ArchOrName, load_arch
from stcsim.errors import UnsupportedError
from stcsim.numerics.orders import order as to_order
from stcsim.words import listed, size
from stcsim.workflow import datasets, modelopt
from stcsim.workflow.datasets import DataSet, Part
from stcsim.workflow.evaluation import OnDatapath, on_datapath, score
from stcsim.workflow.models import products
from stcsim.workflow.prediction import predict, trace_of
from stcsim.workflow.reading import load_recipe
from stcsim.workflow.recipe import Calibrate, Recipe
from stcsim.workflow.result import Row, Score, Speed, WorkflowResult
from stcsim.workflow.stages import Stages, steps_of
from stcsim.workflow.state import Amax, Folder, key_of, source_sha256
from stcsim.workflow.training import answers, deterministic

Progress = Callable[[int, int], None]

ARCHS = ("a100", "h100")
"""GPUs that are asked about by default."""
_TYPES = {"fp16": "fp16", "int8": "int8", "fp8": "fp8"}
_STEPS_PER_CELL = 300
"""Steps of training that a cell of the table takes about as long as, for the time that is left."""
_LIBRARIES = ("torch", "nvidia-modelopt", "numpy", "scikit-learn", "scipy")
_PERCENT, _BITS = "accuracy", "bits"


@dataclass(frozen=True, slots=True)
class Cell:
    """One row of the table to be counted: a stage's network in one type, with scales found in one way, on one GPU's datapath."""

    stage: str
    dtype: str
    method: str
    arch: str

    @property
    def name(self) -> str:
        """What its file is called."""
        return "-".join(filter(None, (self.stage, self.dtype, self.method, self.arch)))


def workflow(
    recipe: Recipe | str | os.PathLike[str],
    arch: ArchOrName | Sequence[ArchOrName] = ARCHS,
    *,
    quick: bool = False,
    out: str | os.PathLike[str] | None = None,
    batch: int = 64,
    order: str | None = None,
    progress: Progress | None = None,
) -> WorkflowResult:
    """Run a recipe, and return its table: scores in fp32 and on simulated datapaths, beside predicted times.

    Args:
        recipe: the name of one that ships, the path of a file, or a recipe.
        arch: GPUs. Each type runs on the datapath of the first that has it; times are predicted for all.
        quick: whether the small version runs.
        out: the folder that keeps what stages leave; ``stcsim-workflow/NAME`` by default. What is there is used again.
        batch: samples in the pass whose times are predicted.
        order: in which fp8 kernels add, as of ``numerics.gemm``; one chain by default.
        progress: called with (done, in all), in steps of training.

    Raises:
        StcsimError: when the recipe, a GPU or the folder cannot be used, or a library is missing.
    """
    asked = load_recipe(recipe)
    ran = asked.small() if quick else asked
    archs = [load_arch(each) for each in listed(arch, "arch", "names of GPUs")]  # type: ignore[arg-type]
    size(batch, "batch")
    to_order(order)
    modelopt.check_installed()
    datasets.check_installed(ran.data.set)
    folder = Folder(out or os.path.join("stcsim-workflow", f"{asked.name}{'-quick' if quick else ''}"), ran.name)
    data = _cut(datasets.load(ran.data.set, ran.data.seed, ran.model.length or 1), ran.data.test_samples)
    with deterministic():
        return _Table(ran, data, archs, folder, order, progress or (lambda done, total: None)).result(batch)


def _cut(data: DataSet, samples: int | None) -> DataSet:
    test = data.test if samples is None else Part(data.test.x[:samples], data.test.y[:samples])
    return DataSet(data.train, data.validation, test, data.classes, data.digest)


class _Table:
    """Fills the table, cell by cell."""

    def __init__(
        self, recipe: Recipe, data: DataSet, archs: list[Arch], folder: Folder, order: str | None, progress: Progress
    ) -> None:
        self._recipe, self._data, self._archs, self._folder, self._order = recipe, data, archs, folder, order
        self._progress, self._done = progress, 0
        self._stages = Stages(recipe, data, folder, self._advance)
        self._cells = self._wanted()
        steps = steps_of(recipe, self._stages.is_done)
        self._total = steps + _STEPS_PER_CELL * sum(2 if each.stage else 1 for each in self._cells)

    def result(self, batch: int) -> WorkflowResult:
        """Return the whole table."""
        recipe = self._recipe
        rows = [self._row(cell) for cell in self._cells]
        pruned = next((state.masks for state in map(self._stages.state, recipe.stages) if state.masks), {})
        trace = trace_of(recipe.model, self._data.classes, batch)
        speeds = [predict(trace, arch, dtype, pruned) for arch in self._archs for dtype in _TYPES if _has(arch, dtype)]
        return WorkflowResult(
            recipe=recipe.name,
            title=recipe.title,
            recipe_sha256=recipe.sha256,
            metric=_PERCENT if self._data.test.y.ndim == 1 else _BITS,
            samples=len(self._data.test.x),
            data_sha256=self._data.digest,
            parameters=sum(each.numel() for each in self._stages.state(next(iter(recipe.stages))).weights.values()),
            order=str(to_order(self._order)),
            notes=self._notes(speeds),
            versions={"python": platform.python_version(), **{each: version(each) for each in _LIBRARIES}},
            rows=tuple(rows),
            speeds=tuple(speeds),
        )

    def _advance(self, steps: int) -> None:
        self._done += steps
        self._progress(min(self._done, self._total), self._total)

    def _wanted(self) -> list[Cell]:
        """Return the rows of the table: each shown network in every type, and each calibration."""
        homes = {dtype: next((arch.name for arch in self._archs if _has(arch, dtype)), None) for dtype in _TYPES}
        cells = []
        for name, stage in self._recipe.stages.items():
            if not stage.shown:
                continue
            pairs: list[tuple[str, str]]
            if isinstance(stage, Calibrate):
                pairs = [(stage.dtype, method) for method in stage.methods]
            elif quantise := getattr(stage, "quantise", None):
                pairs = [(quantise, "qat")]
            else:
                pairs = [("fp16", ""), ("int8", "max"), ("fp8", "max")]
            cells += [Cell(name, dtype, method, home) for dtype, method in pairs if (home := homes[dtype])]
        return cells

    def _row(self, cell: Cell) -> Row:
        key = key_of(asdict(cell), self._stages.key(cell.stage), len(self._data.test.x), self._order, source_sha256(cells=True))
        figures = self._folder.cell(cell.name, key)
        if figures is None:
            figures = self._counted(cell)
            self._folder.keep_cell(cell.name, key, figures)
        else:
            self._advance(2 * _STEPS_PER_CELL)
        scores = {name: Score(**figures[name]) if figures[name] else None for name in _SCORES}
        return Row(**{**asdict(cell), **figures, **scores})

    def _counted(self, cell: Cell) -> dict[str, Any]:
        state, test = self._stages.state(cell.stage), self._data.test
        network = self._stages.network(state)
        scales: Mapping[str, Amax] = {}
        quantised = None
        if cell.dtype != "fp16":
            scales, quantised = self._stages.scales(network, cell.dtype, "max" if cell.method == "qat" else cell.method)
            if state.scales:
                scales = state.scales
                modelopt.set_amax(quantised, scales)
        sparse = tuple(name for name, mask in state.masks.items() if _is_24(mask))
        order = self._order if cell.dtype == "fp8" else None
        found: OnDatapath = on_datapath(
            network, test, cell.arch, cell.dtype, sparse, scales, lambda: self._advance(_STEPS_PER_CELL), order
        )
        return {
            "pruned": bool(sparse),
            "trained": state.loss is not None,
            "fp32": asdict(score(answers(network, test), test)),
            "emulated": asdict(score(answers(quantised, test), test)) if quantised else None,
            "simulated": asdict(found.simulated),
            "expanded": asdict(found.expanded) if found.expanded else None,
            "differing": found.differing,
            "sparse_layers": found.sparse_layers,
            "layers": len(products(network)),
        }

    def _notes(self, speeds: Sequence[Speed]) -> tuple[str, ...]:
        recipe = self._recipe
        homes = {dtype for dtype in _TYPES if any(_has(arch, dtype) for arch in self._archs)}
        notes = [f"none of the GPUs has {dtype}" for dtype in _TYPES if dtype not in homes]
        if speeds and not any(speed.faster for speed in speeds):
            notes.append("no layer is faster as 2:4 at this size: the network is too small to gain from it")
        if self._order is not None:
            notes.append(f"fp8 kernels add in the order {to_order(self._order)}")
        if recipe.data.set == "text":
            notes.append(f"the text is that of Python {platform.python_version()}; other versions have another")
        return tuple(notes)


_SCORES = ("fp32", "emulated", "simulated", "expanded")


def _has(arch: Arch, dtype: str) -> bool:
    try:
        arch.require(dtype, False)
    except UnsupportedError:
        return False
    return True


def _is_24(mask: torch.Tensor) -> bool:
    """Whether at most two weights of each group of four stay."""
    groups = mask.movedim(1, -1).reshape(-1, 4)
    return bool((groups.sum(1) <= 2).all())
