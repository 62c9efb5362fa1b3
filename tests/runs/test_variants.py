"""Every variant goes through training, resuming, and everything that can be done with a model."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from covers import cover
from models import label_rows, labelled_spec_of, leave_untraced, spec_of
from torch import Generator

from vae_cli.api.model import TrainedModel, load_trained
from vae_cli.data.dataset import Spec
from vae_cli.data.split import InMemory
from vae_cli.errors import InterruptedRunError, UsageError
from vae_cli.explore.export import export_page
from vae_cli.explore.scene import build_scene
from vae_cli.model import UniformOnSphere
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.directory import Run
from vae_cli.runs.recorder import Row
from vae_cli.runs.resolve import Resolved, resolve
from vae_cli.settings import Plan, choose, merge
from vae_cli.training import TracedEpoch, epochs

CPU = torch.device("cpu")
Tables = dict[str, dict[str, Any]]

OBJECTIVES: dict[str, Tables] = {
    "elbo": {"objective": {"warmup_epochs": 1, "warmup_cycles": 2}},
    "free-bits": {"objective": {"free_bits": 0.001}},
    "free-bits-by-level": {"objective": {"free_bits": 0.001, "free_bits_by": "level"}},
    "capacity": {"objective": {"name": "capacity", "warmup_epochs": 2}},
    "iwae": {"objective": {"name": "iwae", "samples": 3}},
    "dreg": {"objective": {"name": "dreg", "samples": 3}},
    "miwae": {"objective": {"name": "miwae", "samples": 2, "groups": 2}},
    "ciwae": {"objective": {"name": "ciwae", "samples": 3, "elbo_share": 0.2}},
    "piwae": {"objective": {"name": "piwae", "samples": 2, "groups": 2}},
    "tc": {"objective": {"name": "tc", "beta": 4.0}},
    "mmd": {"objective": {"name": "mmd", "alpha": 0.5, "mmd_weight": 10.0}},
    "dip": {"objective": {"name": "dip", "covariance": "means"}},
    "factor": {"objective": {"name": "factor", "critic_hidden": [8, 8]}},
    "adversarial": {"objective": {"name": "adversarial", "critic_hidden": [8], "kl_weight": 0.5}},
    "m2": {"objective": {"name": "m2"}, "data": {"condition": ["label"], "labelled": 30}},
    "m2-column": {"objective": {"name": "m2"}, "data": {"condition": ["kind"], "labelled": 0.3}},
}
LIKELIHOODS: dict[str, Tables] = {
    "mse": {},
    "gaussian": {"likelihood": {"name": "gaussian"}},
    "gaussian-optimal": {"likelihood": {"name": "gaussian", "scale": "optimal"}},
    "bernoulli": {"likelihood": {"name": "bernoulli"}},
    "binarized": {"likelihood": {"name": "binarized"}},
    "gaussian-fixed": {"likelihood": {"name": "gaussian", "scale": "fixed", "sigma": 0.5}},
    "laplace": {"likelihood": {"name": "laplace"}},
    "logistic": {"likelihood": {"name": "logistic", "components": 2}},
}
PRIORS: dict[str, Tables] = {
    "normal": {},
    "vamp": {"prior": {"name": "vamp", "components": 4}},
    "mog": {"prior": {"name": "mog", "components": 4}},
    "realnvp": {"prior": {"name": "realnvp", "layers": 2, "hidden": 8}},
    "full": {"posterior": {"name": "full"}},
    "full-mog": {"posterior": {"name": "full"}, "prior": {"name": "mog", "components": 4}},
    "iaf": {"posterior": {"name": "iaf", "steps": 2, "hidden": 8}},
    "iaf-realnvp": {
        "posterior": {"name": "iaf", "steps": 1, "hidden": 8},
        "prior": {"name": "realnvp", "layers": 2, "hidden": 8},
    },
    "vmf": {"posterior": {"name": "vmf"}},
}
AROUND: dict[str, Tables] = {
    "adamw": {"optimizer": {"name": "adamw", "clip_norm": 1.0}},
    "adamax": {"optimizer": {"name": "adamax", "clip_norm": 1.0}},
    "normgrad": {"optimizer": {"name": "normgrad"}},
    "ema": {"optimizer": {"ema": 0.9}},
    "tanh": {"model": {"activation": "tanh"}},
    "gated": {"model": {"gated": True}},
    "output-bias": {"model": {"output_bias": "data"}},
    "validation": {"data": {"validation": 0.2}, "training": {"patience": 1}},
    "static": {"likelihood": {"name": "binarized", "binarization": "static"}},
    "best-elbo": {"training": {"best": "elbo"}, "objective": {"beta": 4.0}},
    "two-levels": {"model": {"levels": 2}},
}
CONV: Tables = {"model": {"network": "conv", "latent_dim": 3}}
MLP: Tables = {"model": {"network": "mlp", "latent_dim": 3, "hidden": [16]}}
LADDER: Tables = {"model": {"network": "hierarchical", "latent_dim": 3, "level_channels": 2}}
TWO_LEVEL: Tables = {"model": {"network": "two-level", "latent_dim": 3, "hidden": [16, 8]}}
# Each row is one training: an objective, a likelihood, a prior, and what is around them. Together
# they have every value of every column, with every network that treats it in a way of its own.
COVER: dict[str, tuple[Tables, list[tuple[str, ...]]]] = {
    "mlp": (
        MLP,
        [
            ("elbo", "mse", "normal", "best-elbo"),
            ("elbo", "gaussian", "mog", "validation"),
            ("free-bits", "gaussian", "normal", "adamw"),
            ("free-bits-by-level", "gaussian-optimal", "vamp", "adamax"),
            ("capacity", "bernoulli", "mog", "normgrad"),
            ("iwae", "binarized", "realnvp", "ema"),
            ("dreg", "gaussian-fixed", "vamp", "tanh"),
            ("miwae", "laplace", "mog", "gated"),
            ("tc", "logistic", "realnvp", "output-bias"),
            ("mmd", "mse", "normal", "static"),
            ("ciwae", "bernoulli", "iaf", "tanh"),
            ("piwae", "binarized", "full-mog", "ema"),
            ("elbo", "laplace", "full", "adamw"),
            ("capacity", "mse", "vmf", "validation"),
            ("piwae", "gaussian", "iaf-realnvp", "gated"),
            ("dip", "laplace", "realnvp", "adamax"),
            ("factor", "gaussian", "mog", "adamw"),
            ("adversarial", "bernoulli", "vamp", "ema"),
            ("m2", "binarized", "mog", "ema"),
        ],
    ),
    "table": (
        MLP,
        [
            ("iwae", "normal"),
            ("tc", "mog"),
            ("mmd", "vamp"),
            ("elbo", "realnvp", "adamw"),
            ("m2-column", "realnvp"),
            ("iwae", "iaf"),
            ("elbo", "vmf"),
        ],
    ),
    "table-two-level": (TWO_LEVEL, [("elbo", "normal")]),
    "two-level": (
        TWO_LEVEL,
        [
            ("free-bits", "binarized", "normal", "gated"),
            ("miwae", "mse", "realnvp", "output-bias"),
            ("iwae", "mse", "vamp", "ema"),
        ],
    ),
    "conv": (
        CONV,
        [
            ("tc", "mse", "realnvp"),
            ("dreg", "logistic", "vamp", "ema"),
            ("elbo", "binarized", "normal", "output-bias"),
            ("factor", "mse", "normal"),
            ("m2", "mse", "normal"),
            ("miwae", "mse", "vmf"),
        ],
    ),
    "ladder": (
        LADDER,
        [
            ("elbo", "mse", "realnvp"),
            ("free-bits", "binarized", "normal", "two-levels"),
            ("miwae", "logistic", "mog", "ema"),
            ("capacity", "mse", "normal", "output-bias"),
        ],
    ),
}
VALUES = OBJECTIVES | LIKELIHOODS | PRIORS | AROUND
CASES = {
    f"{network}-{'-'.join(row)}": (tables, [VALUES[value] for value in row])
    for network, (tables, rows) in COVER.items()
    for row in rows
}


def test_every_variant_has_a_case() -> None:
    covered = {value for _, rows in COVER.values() for row in rows for value in row}
    assert covered == VALUES.keys()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Images of 16x16 for both networks, and rows of a table; both also with two classes."""
    folder, random = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    images = random.integers(0, 256, (120, 16, 16), np.uint8)
    rows = random.normal(size=(120, 5)).astype(np.float32)
    np.save(folder / "images.npy", images)
    np.save(folder / "rows.npy", rows)
    np.savez(folder / "m2-images.npz", images=images, labels=np.arange(120) % 2)
    lines = [",".join([*map(str, row), "xy"[n % 2]]) for n, row in enumerate(rows)]
    (folder / "m2-rows.csv").write_text("\n".join(["a,b,c,d,e,kind", *lines]))
    return {path.stem: path for path in folder.iterdir()}


SLOW, QUICK = ("ladder-", "conv-"), {"ladder-elbo-mse-realnvp", "conv-tc-mse-realnvp"}


def marks(case: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow] if case.startswith(SLOW) and case not in QUICK else []


@pytest.mark.parametrize("case", [pytest.param(case, marks=marks(case)) for case in CASES])
def test_every_variant_resumes_bit_for_bit_and_can_be_used(
    case: str,
    data: dict[str, Path],
    new_run: Callable[..., Run],
    train_small: Callable[..., list[Row]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The traced step in one go, and the formulas as they are written, stopped half-way."""
    network, tables = CASES[case]
    name = data[("m2-" * ("m2" in case)) + ("rows" if case.startswith("table") else "images")]
    base: Tables = {
        "data": {"name": str(name)},
        "training": {"epochs": 2, "batch_size": 32, "precision": "float32"},
    }
    layers = [("", one) for one in (base, network, *tables)]
    resolved = resolve(merge(*layers), CPU)
    whole, stopped = new_run("whole", resolved), new_run("stopped", resolved)
    rows = train_small(whole, resolved=resolved)
    monkeypatch.setattr(epochs, "trace", leave_untraced)
    with pytest.raises(InterruptedRunError):
        train_small(stopped, stop_at=2, resolved=resolved)
    train_small(stopped)
    for path in ("best.safetensors", "last.safetensors"):
        expected, found = (load_checkpoint(run.path / path).tensors for run in (whole, stopped))
        assert expected.keys() == found.keys()
        for key, tensor in expected.items():
            assert tensor.equal(found[key]), key
    assert np.isfinite(rows[-1][f"{resolved.held_out_name}_elbo"])
    use_everything(load_trained(whole, CPU))


def use_everything(model: TrainedModel) -> None:
    """Encode, decode, sample, traverse, interpolate, explore, and export."""
    split = model.held_out()
    items = split.items[split.rows[:4]]
    assert model.latents(items).shape == (4, 3)
    assert len(model.features(items)) > 0
    result = model.reconstruct(items)
    assert np.isfinite(result.distortion).all()
    assert np.isfinite(result.kl).all()
    assert np.isfinite(model.sample(5, seed=0)).all()
    assert model.traverse(items[0], [-1, 0, 1], dims=[0, 2]).shape[:2] == (2, 3)
    assert model.interpolate(items[:2], 3).shape[:2] == (1, 3)
    if model.spec.is_image:
        assert 0 <= result.items.min() <= result.items.max() <= 1
    scene = build_scene(model, model.test_set())
    if len(model.model.latent_dims) > 1 and not model.spec.is_image:
        with pytest.raises(UsageError, match="use vae explore without export"):
            export_page(model, scene)
        return
    if isinstance(model.model.prior, UniformOnSphere) and not model.spec.is_image:
        with pytest.raises(UsageError, match="sphere: use vae explore without export"):
            export_page(model, scene)
        return
    page = export_page(model, scene)
    assert page.html.startswith("<!doctype html>") or page.html.startswith("<!DOCTYPE html>")


def pairs() -> Iterator[tuple[str, str, str]]:
    """Every possible pair of an objective, a likelihood and a prior, in few cases of all three."""
    named = [name for name in OBJECTIVES if name != "m2-column"]
    possible = []
    for case in product(named, LIKELIHOODS, PRIORS):
        with suppress(UsageError):
            plan_of(case)
            possible.append(case)
    return cover(possible, lambda case: list(combinations(enumerate(case), 2)))


def spec_for(case: tuple[str, str, str]) -> Spec:
    return (labelled_spec_of if case[0] == "m2" else spec_of)((1, 16, 16))


def plan_of(case: tuple[str, str, str]) -> Plan:
    """The plan of a case.

    Raises:
        UsageError: it makes no sense.
    """
    layers = (MLP, OBJECTIVES[case[0]], LIKELIHOODS[case[1]], PRIORS[case[2]])
    plan = choose(merge(*(("", one) for one in layers)), spec_for(case))
    plan.check(spec_for(case))
    return plan


@pytest.mark.slow
def test_every_pair_trains_a_traced_step_that_reaches_every_parameter(
    subtests: pytest.Subtests,
) -> None:
    for case in pairs():
        with subtests.test("-".join(case)):
            require_all_trained(case)


def require_all_trained(case: tuple[str, str, str]) -> None:
    plan, spec = plan_of(case), spec_for(case)
    split = InMemory.whole(torch.rand(32, 1, 16, 16, generator=Generator().manual_seed(0)))
    condition = plan.build_condition(spec, InMemory.whole(label_rows(32)))
    if condition is not None:
        split = condition.encode_split(replace(split, condition=label_rows(32)))
    state = plan.build_state(spec, CPU, train=split, condition=condition)
    before = {name: tensor.clone() for name, tensor in state.model.named_parameters()}
    epoch = TracedEpoch(state, split, 16)
    metrics = epoch.run(torch.arange(32), torch.full((2,), 1e-2), torch.ones(2))
    assert np.isfinite(metrics.loss)
    for name, parameter in state.model.named_parameters():
        has_no_cost = name.startswith("prior.") and case[0] == "free-bits-by-level"
        assert has_no_cost or not parameter.equal(before[name]), name
        assert parameter.isfinite().all(), name


def test_the_best_weights_are_the_average_if_there_is_one(
    resolve_small: Callable[..., Resolved],
    new_run: Callable[..., Run],
    train_small: Callable[..., list[Row]],
) -> None:
    resolved = resolve_small(optimizer={"ema": 0.9})
    run = new_run("run", resolved)
    train_small(run, resolved=resolved)
    best, last = (load_checkpoint(path).tensors for path in (run.best, run.last))
    for name, tensor in best.items():
        if name.startswith("state.average."):
            weight = name.replace("average", "model")
            assert best[weight].equal(tensor)
            assert not last[weight].equal(last[name]), "the training goes on from its own weights"


def test_a_training_stops_when_patience_is_over_and_stays_stopped(
    resolve_small: Callable[..., Resolved],
    new_run: Callable[..., Run],
    train_small: Callable[..., list[Row]],
) -> None:
    """With so high a rate, random images are soon no better than before."""
    resolved = resolve_small(
        training={"epochs": 60, "patience": 2},
        optimizer={"learning_rate": 0.05},
        data={"validation": 0.3},
    )
    run = new_run("run", resolved)
    rows = train_small(run, resolved=resolved)
    losses = [row["validation_loss"] for row in rows]
    assert len(rows) < 60
    assert min(losses[-2:]) >= min(losses[:-2])
    assert run.finished
    assert len(train_small(run)) == len(rows)
