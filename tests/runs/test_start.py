"""Which settings change what the same weights compute: each of them is refused for a start."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from models import spec_of
from torch import Generator, Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.columns import Column
from vae_cli.data.dataset import Spec, TableRules
from vae_cli.errors import UsageError, without_marks
from vae_cli.noise import Noise
from vae_cli.runs.start import MEANINGS, other_meaning
from vae_cli.settings import Plan, choose, entries, merge, to_dict
from vae_cli.settings.entries import Entry

Tables = dict[str, dict[str, Any]]
BASES: dict[str, tuple[Tables, tuple[int, ...]]] = {
    "mlp": ({"model": {"network": "mlp"}}, (1, 16, 16)),
    "conv": ({"model": {"network": "conv"}}, (1, 16, 16)),
    "two-level": ({"model": {"network": "two-level"}}, (1, 16, 16)),
    "hierarchical": ({"model": {"network": "hierarchical"}}, (1, 16, 16)),
    "table": ({"model": {"network": "mlp"}}, (5,)),
    "logistic": ({"model": {"network": "mlp"}, "likelihood": {"name": "logistic"}}, (1, 4, 4)),
    "fixed": ({"likelihood": {"name": "gaussian", "scale": "fixed"}}, (1, 4, 4)),
    "vamp": ({"prior": {"name": "vamp", "components": 4}}, (1, 4, 4)),
    "mog": ({"prior": {"name": "mog", "components": 4}}, (1, 4, 4)),
    "realnvp": ({"prior": {"name": "realnvp", "hidden": 4}}, (1, 4, 4)),
}


def others(entry: Entry, value: Any) -> Iterator[Any]:
    """Other values of a setting."""
    if entry.type is bool:
        yield not value
    elif entry.type is int:
        yield value + 1
    elif entry.type is float:
        yield value / 2
    elif isinstance(value, tuple):
        yield tuple(2 * one for one in value)
    else:
        yield from (one for one in get_args(entry.type) if one != value)


def variants(tables: Tables, shape: tuple[int, ...]) -> Iterator[tuple[str, Plan]]:
    """The settings with one of the model's changed, where that is possible and has an effect."""
    config = to_dict(merge(("", tables)))
    for entry in entries():
        if entry.section not in {"model", "likelihood", "prior"}:
            continue
        for other in others(entry, config[entry.section].get(entry.name, entry.default)):
            layer = {entry.section: {entry.name: other}}
            try:
                plan = choose(merge(("", tables), ("", layer)), spec_of(shape))
                plan.check(spec_of(shape))
                yield entry.key, plan
            except UsageError:
                continue


def computed(config: Plan, shape: tuple[int, ...], weights: dict[str, Tensor]) -> Tensor | None:
    """What a model makes of fixed items with some weights; None if they do not fit into it."""
    model = config.build_model(spec_of(shape)).eval()
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        return None
    generator = Generator().manual_seed(0)
    x = torch.rand(3, *shape, generator=generator)
    posterior = model.posterior(Batch(x)).features()
    latents = 5 * torch.randn(3, model.latent_dim, generator=generator)
    made = (*posterior.values(), model.decode(latents).mean, model.prior().sample(3, Noise(0)))
    return torch.cat([one.flatten() for one in made])


@pytest.mark.parametrize("base", BASES)
@torch.no_grad()
def test_a_setting_that_changes_what_the_same_weights_compute_is_refused_for_a_start(
    base: str,
) -> None:
    tables, shape = BASES[base]
    hidden = {} if base in {"conv", "hierarchical"} else {"hidden": [4]}
    tables = {**tables, "model": {**tables.get("model", {}), **hidden, "latent_dim": 3}}
    own = choose(merge(("", tables)), spec_of(shape))
    generator = Generator().manual_seed(1)
    weights = {
        name: 3 * torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
        for name, tensor in own.build_model(spec_of(shape)).state_dict().items()
    }
    expected, keys = computed(own, shape, weights), set()
    assert expected is not None
    for key, config in variants(tables, shape):
        found = computed(config, shape, weights)
        if found is not None and not found.equal(expected):
            keys.add(key)
    assert keys <= MEANINGS
    assert "model.activation" in keys


def test_columns_that_mean_something_else_are_named() -> None:
    cut = Column(name="cut", kind="category", categories=("Fair", "Good"))
    known = Spec("t", (1,), columns=(cut,), table=TableRules(missing="model"))
    for other, reason in (
        (replace(cut, categories=("Fair", "Best")), "categories of column cut .* it has Best$"),
        (replace(cut, categories=("Good", "Fair")), "in another place$"),
        (Column(name="cut"), "the kind of column cut is number, and was category"),
    ):
        assert re.search(reason, other_meaning(known, replace(known, columns=(other,))))
    strict = replace(known, table=TableRules(missing="error"))
    assert other_meaning(known, strict) == "data.missing is model, not error"
    assert other_meaning(known, known) == other_meaning(strict, strict) == ""


def test_a_condition_means_the_same_in_both_runs() -> None:
    label = Column(name="label", kind="category", categories=("bag", "coat"))
    known = Spec("t", (1, 8, 8), classes=label.categories, condition=(label,))
    added = replace(label, categories=("bag", "coat", "hat"))
    for other, reason in {
        (): r"data.condition is label, not none",
        (replace(label, name="kind"),): r"data.condition is label, not kind",
        (added,): r"the categories of column label are not the same: it has hat",
        (label,): r"^$",
    }.items():
        found = without_marks(other_meaning(known, replace(known, condition=other)))
        assert re.search(reason, found)
