"""Runs the stages of a recipe, each from what the one before it left; what is stored is not run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from stcsim.workflow import modelopt
from stcsim.workflow.datasets import DataSet, Part
from stcsim.workflow.models import build, products
from stcsim.workflow.pruning import masks_of, permute
from stcsim.workflow.recipe import Calibrate, Prune, Recipe, Stage, Train
from stcsim.workflow.state import Amax, Folder, State, key_of, source_sha256
from stcsim.workflow.training import Advance, Distillation, Loss, Session, answers, on_data, train

_CALIBRATION = 512
"""Samples that scales are found on: the first ones that were trained on."""
_LIBRARIES = ("torch", "nvidia-modelopt", "numpy")
"""Those that decide what stages leave."""
_DECIDES = ("seed", "batch", "weight_decay", "augment")
"""Fields of a recipe that decide what its stages leave, beside data and network."""


class Stages:
    """The states of a recipe by the names of its stages.

    Args:
        recipe: what is run.
        data: what it learns.
        folder: where states are kept.
        advance: called with steps done.
    """

    def __init__(self, recipe: Recipe, data: DataSet, folder: Folder, advance: Advance) -> None:
        self._recipe, self._data, self._folder, self._advance = recipe, data, folder, advance
        self._states: dict[str, State] = {}
        self.calibration = Part(data.train.x[:_CALIBRATION], data.train.y[:_CALIBRATION])

    def key(self, name: str) -> str:
        """Return a hash of all that decides what a stage leaves: itself, those before it, data, source, libraries."""
        stage = self._recipe.stages[name]
        plain = stage.model_dump(mode="json", exclude={"shown"})
        before = [self.key(each) for each in _needs(stage)]
        shared = {each: getattr(self._recipe, each) for each in _DECIDES}
        model = self._recipe.model.model_dump(mode="json")
        libraries = [version(each) for each in _LIBRARIES]
        return key_of(plain, before, shared, model, self._data.digest, source_sha256(), libraries)

    def is_done(self, name: str) -> bool:
        """Whether a stage need not run again."""
        return name in self._states or self._folder.state(name, self.key(name)) is not None

    def state(self, name: str) -> State:
        """Return what a stage leaves; it is run if that is not stored."""
        stage = self._recipe.stages[name]
        if isinstance(stage, Calibrate) and stage.after:
            return self.state(stage.after)  # nothing is trained
        if name not in self._states:
            key = self.key(name)
            state = self._folder.state(name, key)
            if state is None:
                state = self._run(stage)
                self._folder.keep_state(name, key, state)
            self._states[name] = state
        return self._states[name]

    def network(self, state: State) -> nn.Module:
        """Return the network of a state, with its zeros."""
        network = self._new()
        network.load_state_dict(dict(state.weights))
        return network.eval()

    def _new(self) -> nn.Module:
        return build(self._recipe.model.kind, self._data.classes, self._recipe.model.sizes, self._recipe.seed)

    def scales(self, network: nn.Module, dtype: str, method: str) -> tuple[Mapping[str, Amax], nn.Module]:
        """Return the scales that a calibration finds, and the network with ModelOpt's quantisers."""
        quantised = modelopt.quantised(network, dtype, self._calibrate, method)
        return modelopt.amax_of(quantised), quantised

    def _calibrate(self, network: nn.Module) -> None:
        answers(network, self.calibration)

    def _run(self, stage: Stage) -> State:
        before = self.state(stage.after) if stage.after else None
        if isinstance(stage, Train):
            return self._trained(stage, before)
        assert isinstance(stage, Prune) and before is not None, "a recipe whose pruning follows nothing is refused"
        return self._pruned(stage, before)

    def _pruned(self, stage: Prune, before: State) -> State:
        network = self.network(before)
        if stage.permute:
            permute(network, self._recipe.seed)
        masks = masks_of(network, stage, self._calibrate)
        with torch.no_grad():
            for name, mask in masks.items():
                products(network)[name].weight.mul_(mask)  # type: ignore[operator, union-attr, unused-ignore]
        return State(network.state_dict(), masks)

    def _trained(self, stage: Train, before: State | None) -> State:
        network = self.network(before) if before else self._new()
        names, masks = network.state_dict(), before.masks if before else {}
        learner = self.scales(network, stage.quantise, "max")[1] if stage.quantise else network
        loss = train(learner, self._data.train, self._session(stage), masks, self._loss(stage), self._advance)
        left = State({name: tensor.detach() for name, tensor in learner.state_dict().items() if name in names}, masks, loss=loss)
        return replace(left, scales=modelopt.amax_of(learner), dtype=stage.quantise) if stage.quantise else left

    def _session(self, stage: Train) -> Session:
        """Return how a stage trains; the second session of every branch sees samples in the same order, and so on."""
        recipe, depth, before = self._recipe, 0, stage.after
        while before:
            depth += isinstance(recipe.stages[before], Train)
            before = recipe.stages[before].after
        settings: dict[str, Any] = {"batch": recipe.batch, "weight_decay": recipe.weight_decay, "augment": recipe.augment}
        return Session(stage.steps, stage.learning_rate, seed=recipe.seed + depth, **settings)

    def _loss(self, stage: Train) -> Loss:
        if stage.distil is None:
            return on_data
        teacher = self.network(self.state(stage.distil.teacher))
        return Distillation(teacher, stage.distil.answers, stage.distil.relations, stage.distil.temperature)


def _needs(stage: Stage) -> list[str]:
    """Return the stages whose results a stage begins with."""
    teacher = [stage.distil.teacher] if isinstance(stage, Train) and stage.distil else []
    return [*([stage.after] if stage.after else []), *teacher]


def steps_of(recipe: Recipe, is_done: Callable[[str], bool]) -> int:
    """Return how many steps of training are left."""
    return sum(stage.steps for name, stage in recipe.stages.items() if isinstance(stage, Train) and not is_done(name))
