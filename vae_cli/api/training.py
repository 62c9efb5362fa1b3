"""Trainings from Python, also of parts that the program brings itself.

A part is a class or a module with a contract of `vae_cli.model`. What a run keeps of it is a name,
settings and weights, and never code.
"""

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

from torch import nn

from vae_cli.api.model import TrainedModel, load_trained
from vae_cli.device import resolve_device
from vae_cli.errors import UsageError, VAEWarning, mark
from vae_cli.model import LatentModel, Likelihood, Objective, Prior
from vae_cli.runs.begin import Wanted, begin
from vae_cli.runs.directory import Run, create_run, require_free_name
from vae_cli.runs.facts import Facts
from vae_cli.runs.loading import kinds_of
from vae_cli.runs.resolve import Resolved, resolve
from vae_cli.runs.start import start_layers
from vae_cli.runs.train import train_run
from vae_cli.settings import Config, Layer, merge, read_plan, to_dict
from vae_cli.settings.given import give, with_instance
from vae_cli.settings.outside import (
    EVERY_NAME,
    allowing,
    can_be_imported,
    names_of,
    paths_in,
)
from vae_cli.training import ALONE

Network = nn.Module | tuple[nn.Module, nn.Module] | type[nn.Module]
Settings = Mapping[str, Any]


@final
class EncoderAndDecoder(nn.Module):
    """A network of two modules: items to a `Posterior`, and latents to raw outputs."""

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder


@final
class Own(NamedTuple):
    """The parts that a program brings.

    Attributes:
        tables: of settings, which name them.
        modules: by section, those that are modules and not classes.
        given: their sections, without those of the parts of a whole model.
    """

    tables: dict[str, dict[str, Any]]
    modules: dict[str, nn.Module]
    given: tuple[str, ...]

    @property
    def names(self) -> dict[str, str]:
        """The names of the parts, by section."""
        return dict(names_of(self.tables))

    def put_into(self, config: Config) -> Config:
        """The settings with the modules, of which a training begins with copies."""
        made = {part: with_instance(getattr(config, part), m) for part, m in self.modules.items()}
        return dataclasses.replace(config, **made)


NOTHING = Own({}, {}, ())


def take_parts(
    model: Network | None,
    objective: Objective | type[Objective] | None,
    prior: Prior | type[Prior] | None,
    likelihood: Likelihood | type[Likelihood] | None,
) -> Own:
    """Let this process know the parts that a program brings.

    Raises:
        UsageError: a whole model is given a prior or a likelihood, which it has.
        OutsideCodeError: one of them has not the contract of its kind.
    """
    given: dict[str, Any] = {"model": model, "objective": objective}
    given |= {"prior": prior, "likelihood": likelihood}
    names = tuple(part for part, one in given.items() if one is not None)
    if isinstance(model, tuple):
        given["model"] = EncoderAndDecoder(*model)
    if isinstance(model, LatentModel):
        if prior is not None or likelihood is not None:
            raise UsageError("a whole model has a prior and a likelihood: give it without others")
        given |= {"prior": model.prior, "likelihood": model.likelihood}
    brought = {part: one for part, one in given.items() if one is not None}
    called = {"model": describe(model)}
    tables = {part: give(part, one, called.get(part, "")) for part, one in brought.items()}
    if isinstance(model, LatentModel):
        tables["model"]["latent_dim"] = model.latent_dim
    modules = {part: one for part, one in brought.items() if isinstance(one, nn.Module)}
    return Own(tables, modules, names)


def describe(model: object) -> str:
    """The classes of an encoder and a decoder; empty for anything else."""
    return ", ".join(type(one).__name__ for one in model) if isinstance(model, tuple) else ""


def train(settings: Settings, *, name: str | None = None, own: Own = NOTHING) -> TrainedModel:
    """Train a new run; `vae_cli.train` and `vae_cli.fit` say what it does.

    Raises:
        UsageError: a setting is not allowed, or the data cannot be used.
        OutsideCodeError: a part cannot be used.
        VAEError: the training failed.
    """
    if name is not None:
        require_free_name(name)
    layers: Sequence[Layer] = [("settings", settings), ("parts", own.tables)]
    with allowing(*paths_in(settings)):
        config = merge(*layers)
        if config.training.start:
            config = merge(*start_layers(config.training.start, layers))
    require_one_process(config)
    resolved = resolve(own.put_into(config), resolve_device(config.training.device))
    require_same_again(resolved, own)
    finished = train_run(create_run(resolved.config, name), resolved)
    warn_of_lost_code(finished.run, own)
    return load_trained(finished.run, resolved.device)


def with_data(settings: Settings, data: str) -> Settings:
    """The settings with the name of the data.

    Raises:
        UsageError: they name some already.
    """
    table = settings.get("data", {})
    if not isinstance(table, Mapping) or "name" in table:
        raise UsageError("data: give them once, and not in the settings too")
    return {**settings, "data": {**table, "name": data}}


def resume(name: str | None, settings: Settings, own: Own, *, allow_code: bool) -> TrainedModel:
    """Go on with a run; `vae_cli.resume` says what it does.

    Raises:
        UsageError: there is no such run, or a setting that may not change is given.
        OutsideCodeError: a part of the run is not known.
        VAEError: a checkpoint is missing or damaged, or the training failed.
    """
    alone = {"training": {"processes": 1}}
    layers = [("settings", alone), ("settings", settings), ("parts", own.tables)]
    with allowing(*paths_in(settings), *[EVERY_NAME][:allow_code]):
        begun = begin(Wanted(layers=layers, resume=True, name=name), ALONE)
    require_one_process(begun.config)
    assert begun.run is not None  # the one that goes on
    device = resolve_device(begun.config.training.device)
    if not begun.is_finished:
        resolved = resolve(begun.config, device, like=begun.like)
        train_run(begun.run, resolved, saved=begun.saved)
    return load_trained(begun.run, device)


def require_one_process(config: Config) -> None:
    """Check that one process is asked for.

    Raises:
        UsageError: several are.
    """
    if (count := config.training.processes) > 1:
        raise UsageError(
            f"{mark(f'training.processes={count}')}: Python trains in one process; several are "
            f"started by vae train --processes {count}"
        )


def require_same_again(resolved: Resolved, own: Own) -> None:
    """Check before a training that its parts can be made again from their settings.

    Raises:
        UsageError: they have other tensors then.
    """
    if not own.modules:
        return
    plans = (resolved.config, read_plan(to_dict(resolved.config)))
    now, again = (kinds_of("", plan.build_state_on_meta(resolved.spec).tensors()) for plan in plans)
    different = sorted(n for n in now.keys() | again.keys() if now.get(n) != again.get(n))
    if different:
        part, _, tensor = different[0].partition(".")
        raise UsageError(
            f"{part}: made again from its attributes that are named as the parameters of its "
            f"constructor, it has another {tensor}: keep each parameter as it was given"
        )


def warn_of_lost_code(run: Run, own: Own) -> None:
    """Say which parts must be given again to whoever loads a run, because none can import them."""
    lost = [part for part in own.given if not can_be_imported(own.names[part])]
    if lost:
        again = ", ".join(f"{part}=..." for part in lost)
        text = f"run {run.name} keeps no code of its {' and '.join(lost)}: load it with {again}"
        warnings.warn(VAEWarning(text), stacklevel=3)


def require_parts_of_run(run: Run, facts: Facts, own: Own) -> None:
    """Check that the parts that are given again are those of a run.

    Raises:
        UsageError: the run has another one.
    """
    known = dict(names_of(to_dict(facts.config)))
    for part, name in own.names.items():
        if known[part] != name:
            raise UsageError(f"run {run.name} has the {part} {known[part]}, not {name}")
