"""What the plan chooses for items, and what is refused because it makes no sense together."""

import dataclasses
from typing import Any, final

import pytest
import torch
from models import spec_of
from torch import nn

from vae_cli.data.columns import Column
from vae_cli.data.split import InMemory
from vae_cli.errors import UsageError
from vae_cli.model import LatentModel, NegativeELBO
from vae_cli.settings import Plan, choose, merge
from vae_cli.settings.objectives import Objective
from vae_cli.settings.variant import variant

IMAGE, ROW = (1, 28, 28), (13,)
Tables = dict[str, dict[str, Any]]


def checked(tables: Tables, shape: tuple[int, ...]) -> Plan:
    plan = choose(merge(("file", tables)), spec_of(shape))
    plan.check(spec_of(shape))
    return plan


def test_auto_chooses_the_network_and_the_likelihood_that_suit_the_items() -> None:
    for shape, network in {
        (1, 28, 28): "mlp",
        (13,): "mlp",
        (5,): "mlp",
        (3, 28, 28): "conv",
        (1, 64, 64): "conv",
        (1, 8, 8): "mlp",
        (1, 9, 300): "mlp",
        (3, 1000, 15): "mlp",
    }.items():
        plan = checked({}, shape)
        assert plan.model.network == network
        assert plan.likelihood.name == ("columns" if len(shape) == 1 else "mse")


def test_a_conv_is_refused_for_items_that_it_cannot_take() -> None:
    for shape in [(13,), (1, 8, 8), (1, 300, 300)]:
        with pytest.raises(UsageError, match="conv takes images from 16x16 to 256x256, not"):
            checked({"model": {"network": "conv"}}, shape)


def test_an_mlp_is_neither_chosen_nor_advised_for_large_images() -> None:
    for shape in [(3, 257, 257), (1, 300, 300), (1, 16, 1000)]:
        for tables in ({}, {"model": {"network": "conv"}}):
            with pytest.raises(UsageError) as error:
                checked(tables, shape)
            start = (
                f"model.network=conv takes images from 16x16 to 256x256, not images of {shape[1]}x"
            )
            assert str(error.value).startswith(start)
            assert str(error.value).endswith(
                ": data.image_size=256 resizes the pictures of a folder"
            )
        assert checked({"model": {"network": "mlp"}}, shape).model.network == "mlp"


LADDER: Tables = {"model": {"network": "hierarchical"}}
REFUSED: list[tuple[Tables, tuple[int, ...], str]] = [
    (
        {"model": {"preset": "large"}},
        IMAGE,
        "model.preset is for model.network conv or hierarchical, not mlp",
    ),
    (
        {"model": {"preset": "large"}},
        ROW,
        "model.preset is for model.network conv or hierarchical, not mlp",
    ),
    (
        {"model": {"hidden": [9]}},
        (3, 64, 64),
        "model.hidden is for model.network mlp or two-level, not conv",
    ),
    (
        {"model": {"gated": True}},
        (3, 64, 64),
        "model.gated is for model.network mlp or two-level, not conv",
    ),
    (
        {"objective": {"samples": 9}},
        IMAGE,
        "objective.samples is for objective.name iwae, dreg, miwae, ciwae or",
    ),
    (
        {"objective": {"name": "iwae", "beta": 2.0}},
        IMAGE,
        "objective.beta is for objective.name elbo or tc",
    ),
    (
        {"objective": {"critic_hidden": [9]}},
        IMAGE,
        "objective.critic_hidden is for objective.name factor or adversarial, not elbo: leave it",
    ),
    (
        {"objective": {"name": "adversarial"}, "prior": {"name": "mog"}},
        IMAGE,
        "prior.name=mog is learned by the KL, which has no weight here: set objective.kl_weight",
    ),
    (
        LADDER | {"objective": {"name": "adversarial"}},
        IMAGE,
        "objective.name=adversarial is for one level",
    ),
    ({"objective": {"warmup_cycles": 4}}, IMAGE, "needs objective.warmup_epochs"),
    ({"likelihood": {"scale": "optimal"}}, IMAGE, "is for likelihood.name gaussian, not auto"),
    (
        {"likelihood": {"name": "gaussian", "sigma": 0.5}},
        IMAGE,
        "likelihood.sigma is for likelihood.scale=fixed, not learned",
    ),
    ({"likelihood": {"name": "bernoulli"}}, ROW, "likelihood.name=bernoulli is for images"),
    ({"likelihood": {"name": "columns"}}, IMAGE, "likelihood.name=columns is for tables"),
    ({"prior": {"components": 9}}, IMAGE, "is for prior.name vamp or mog, not auto"),
    (
        {"prior": {"name": "mog"}, "objective": {"free_bits": 0.5}},
        IMAGE,
        "free bits need objective.free_bits_by=level",
    ),
    ({"prior": {"name": "realnvp"}, "model": {"latent_dim": 1}}, IMAGE, "must be 2 or more"),
    ({"optimizer": {"name": "normgrad", "clip_norm": 1.0}}, IMAGE, "is for optimizer.name adam,"),
    ({"model": {"levels": 2}}, IMAGE, "model.levels is for model.network hierarchical, not auto"),
    (
        {"model": {"network": "conv", "levels": 2}},
        IMAGE,
        "is for model.network hierarchical, not conv",
    ),
    (LADDER | {"objective": {"name": "dreg"}}, IMAGE, "objective.name=dreg is for one level"),
    (
        LADDER | {"objective": {"name": "tc"}},
        IMAGE,
        "for one level of latents: model.network=hierarchical takes elbo, capacity, iwae, miwae or",
    ),
    (LADDER | {"objective": {"name": "mmd"}}, IMAGE, "objective.name=mmd is for one level"),
    (LADDER | {"prior": {"name": "vamp"}}, IMAGE, "prior.name=vamp is for one level of latents"),
    (
        LADDER,
        ROW,
        "model.network=hierarchical takes images from 16x16 to 64x64, not vectors: try mlp",
    ),
    (LADDER, (1, 8, 8), "16x16 to 64x64, not images of 8x8: try mlp"),
    (LADDER, (1, 65, 64), "not images of 65x64: try conv, or data.image_size=64 for a folder"),
    ({"optimizer": {"weight_decay": 0.1}}, IMAGE, "is for optimizer.name adamw, not adam"),
    *(
        (
            {**tables, "training": {"accumulate": 8}},
            IMAGE,
            f"training.accumulate=8 computes a batch in parts, but {found} compares its items",
        )
        for found, tables in (
            ("objective.name=tc", {"objective": {"name": "tc"}}),
            ("objective.name=mmd", {"objective": {"name": "mmd"}}),
            ("objective.name=dip", {"objective": {"name": "dip"}}),
            ("objective.name=factor", {"objective": {"name": "factor"}}),
            ("objective.name=capacity", {"objective": {"name": "capacity"}}),
            ("objective.free_bits=0.5", {"objective": {"free_bits": 0.5}}),
            ("likelihood.scale=optimal", {"likelihood": {"name": "gaussian", "scale": "optimal"}}),
        )
    ),
]


def test_settings_that_make_no_sense_together_are_refused_in_one_line() -> None:
    for tables, shape, message in REFUSED:
        with pytest.raises(UsageError) as error:
            checked(tables, shape)
        assert message in str(error.value)
        assert "\n" not in str(error.value)


def test_the_hierarchical_network_takes_the_other_objectives_and_priors() -> None:
    for objective in ("elbo", "capacity", "iwae", "miwae", "ciwae"):
        for prior in ("normal", "mog", "realnvp"):
            tables = LADDER | {"objective": {"name": objective}, "prior": {"name": prior}}
            assert checked(tables, (3, 64, 17)).model.network == "hierarchical"


def test_more_pseudo_inputs_than_training_items_are_refused() -> None:
    plan = checked({"prior": {"name": "vamp", "components": 20}}, IMAGE)
    plan.prior.check_items(20)
    with pytest.raises(UsageError, match=r"there are 19: prior\.components=19 or fewer"):
        plan.prior.check_items(19)


def test_what_is_chosen_keeps_everything_that_was_set() -> None:
    tables: Tables = {
        "model": {"gated": True, "hidden": [300, 300], "activation": "tanh"},
        "objective": {"free_bits": 0.5, "free_bits_by": "level", "warmup_epochs": 9},
        "prior": {"name": "vamp", "components": 20},
        "likelihood": {"name": "binarized"},
        "optimizer": {"name": "adamw", "weight_decay": 0.1, "clip_norm": 5.0, "ema": 0.99},
    }
    named = tables | {"model": {"network": "mlp", **tables["model"]}}
    assert checked(tables, IMAGE) == checked(named, IMAGE)
    for section, table in named.items():
        for name, value in table.items():
            found = getattr(getattr(checked(tables, IMAGE), section), name)
            assert found == (tuple(value) if isinstance(value, list) else value)


@final
@variant("with-critic")
class WithCritic(Objective):
    """An objective whose network takes the latents of the model."""

    def build(self, model: LatentModel) -> NegativeELBO:
        objective = NegativeELBO()
        objective.critic = nn.Linear(model.latent_dim, 1)
        return objective


def test_an_objective_builds_its_network_for_the_latents_from_the_seed() -> None:
    for latent_dim in (2, 7):
        plan = checked({"model": {"latent_dim": latent_dim}}, ROW)
        plan = dataclasses.replace(plan, objective=WithCritic())
        first, again = (plan.build_state(spec_of(ROW), torch.device("cpu")) for _ in range(2))
        weights = first.players["critic"].parameters["weight"]
        assert weights.shape == (1, latent_dim)
        assert weights.equal(again.players["critic"].parameters["weight"])
        assert plan.build_state_on_meta(spec_of(ROW)).players.keys() == {"model", "critic"}


def test_m2_is_refused_without_one_condition_of_classes_and_for_levels_of_latents() -> None:
    kind = Column(name="kind", kind="category", categories=("a", "b"))
    start = "objective.name=m2 needs one condition with categories, such as data.condition=label"
    for condition, network, message in (
        ((), "mlp", start),
        ((Column(name="age"),), "mlp", f"{start}, not age"),
        ((kind, Column(name="age")), "mlp", f"{start}, not kind, age"),
        ((), "two-level", "objective.name=m2 is for one level of latents"),
        ((kind,), "hierarchical", "model.network=hierarchical takes no condition"),
    ):
        spec = dataclasses.replace(spec_of(IMAGE), condition=condition)
        tables = {"objective": {"name": "m2"}, "model": {"network": network}}
        plan = choose(merge(("", tables)), spec)
        with pytest.raises(UsageError) as error:
            plan.check(spec)
        assert message in str(error.value)
        assert "\n" not in str(error.value)
    spec = dataclasses.replace(spec_of(IMAGE), condition=(kind,))
    plan = choose(merge(("", {"objective": {"name": "m2"}})), spec)
    plan.check(spec)
    assert plan.model.condition_dropout == 0  # it sums over the classes instead
    with pytest.raises(UsageError, match=r"no training item has one: data\.condition=kind"):
        plan.build_condition(spec, InMemory.whole(torch.full((5, 1), torch.nan).double()))
    with pytest.raises(UsageError, match=r"data.labelled=0.5 needs data.condition"):
        checked({"data": {"labelled": 0.5}}, IMAGE)
