"""All combinations of the values of some settings."""

import re
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from setting_values import allowed, as_toml

from vae_cli.errors import UsageError
from vae_cli.settings import entries, expand_sweep, find_setting, parse_axis, parse_seeds


@pytest.mark.parametrize(
    ("text", "key", "values"),
    [
        ("beta=0.5,1,4", "objective.beta", [0.5, 1, 4]),
        ("latent-dim=2", "model.latent_dim", [2]),
        ("optimizer.lr = 1e-3, 3e-4", "optimizer.learning_rate", [1e-3, 3e-4]),
        ("hidden=[400],[400,200]", "model.hidden", [[400], [400, 200]]),
        ("model=mlp,conv", "model.network", ["mlp", "conv"]),
        ("data=a.npy, shapes", "data.name", ["a.npy", "shapes"]),
        ("save-every=30s,5", "training.save_every", ["30s", 5]),
    ],
)
def test_values_are_toml_or_texts(text: str, key: str, values: list[object]) -> None:
    axis = parse_axis(text)
    assert (axis.entry.key, list(axis.values)) == (key, values)


@pytest.mark.parametrize(
    ("text", "seeds"), [("0:3", [0, 1, 2]), ("5:6", [5]), ("7", [7]), ("0,4,7", [0, 4, 7])]
)
def test_seeds_are_a_range_without_its_end_or_a_list(text: str, seeds: list[int]) -> None:
    assert list(parse_seeds(text).values) == seeds


@pytest.mark.parametrize("text", ["3:3", "3:1", "0:1001", "0-3", "0:3:1", "-1:2", "a", "", "1,1"])
def test_other_seeds_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"^seeds "):
        parse_seeds(text)


@pytest.mark.parametrize("text", ["beta", "beta=", "=1", " = ", "beta=1,1", "betta=1"])
def test_what_is_not_a_setting_with_values_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"^{text}: "):
        parse_axis(text)


def test_every_combination_is_one_run_and_the_last_setting_changes_fastest() -> None:
    axes = [parse_axis("beta=0.5,1"), parse_axis("latent-dim=2,10"), parse_seeds("0:2")]
    variants = expand_sweep("s", [("", {"training": {"epochs": 3}})], axes)
    assert [variant.name for variant in variants] == [
        f"s-beta-{b}-latent-dim-{d}-seed-{s}" for b in ("0.5", "1") for d in (2, 10) for s in (0, 1)
    ]
    chosen = {
        (v.config.objective.beta, v.config.model.latent_dim, v.config.training.seed)
        for v in variants
    }
    assert len(chosen) == len(variants) == 8
    assert {variant.config.training.epochs for variant in variants} == {3}


AXES = {e.key: e for e in entries() if e.type in {int, float} and not e.variants and e.short}


@given(st.data())
def test_any_axes_give_their_product_in_order_and_names_of_their_own(data: st.DataObject) -> None:
    keys = data.draw(st.lists(st.sampled_from(list(AXES)), min_size=1, max_size=3, unique=True))
    some = [AXES[key] for key in keys]
    lists = [data.draw(st.lists(allowed(e), min_size=1, max_size=3, unique=True)) for e in some]
    axes = [
        parse_axis(f"{entry.key}={','.join(map(as_toml, values))}")
        for entry, values in zip(some, lists, strict=True)
    ]
    assert [axis.values for axis in axes] == lists
    variants = expand_sweep("s", [], axes)
    slowest = sorted(zip(some, lists, strict=True), key=lambda axis: axis[0].section != "data")
    found = [
        tuple(getattr(getattr(one.config, entry.section), entry.name) for entry, _ in slowest)
        for one in variants
    ]
    assert found == list(product(*(values for _, values in slowest)))
    names = {one.name for one in variants}
    assert len(names) == len(variants)
    assert all(re.fullmatch(r"s-[\w.-]+", name) for name in names)


def test_each_data_set_is_trained_on_in_one_piece() -> None:
    variants = expand_sweep("s", [], [parse_axis("beta=1,2"), parse_axis("data=a.npy,shapes")])
    assert [variant.config.data.name for variant in variants] == [
        "a.npy",
        "a.npy",
        "shapes",
        "shapes",
    ]


def test_names_have_the_digits_that_tell_the_values_apart() -> None:
    variants = expand_sweep("s", [], [parse_axis("beta=0.1234567,0.1234568,1e-7")])
    assert [v.name for v in variants] == ["s-beta-0.1234567", "s-beta-0.1234568", "s-beta-1e-07"]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["beta=0.5,-1"], "beta=0.5,-1: objective.beta = -1: must be auto, or 0 ≤ x"),
        (["beta=1,x"], 'beta=1,x: objective.beta = "x": must be auto, or 0 ≤ x'),
        (["latent-dim=1.5"], "latent-dim=1.5: model.latent_dim = 1.5: must be a valid integer"),
        (["lr=0.1", "learning-rate=0.2"], "lr=0.1 and learning-rate=0.2: give only one of them"),
        (["beta=1", "seed=0,1", "epochs=" + ",".join(map(str, range(1, 502)))], "these are 1,002"),
        (["data=a/x.npy,b/x.npy"], "two of these runs would have the same name"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_first_run(
    texts: list[str], message: str
) -> None:
    with pytest.raises(UsageError) as error:
        expand_sweep("s", [], [parse_axis(text) for text in texts])
    assert str(error.value).startswith(message)


def test_the_key_of_the_seed_is_the_one_that_groups_leave_out() -> None:
    assert parse_seeds("0:2").entry == find_setting("seed", "")


def test_a_setting_of_a_variant_is_varied_with_the_variants_that_have_it() -> None:
    axes = [parse_axis("prior=vamp,mog"), parse_axis("prior.components=10,20")]
    variants = expand_sweep("s", [], axes)
    found = [(one.config.prior.name, one.config.prior.components) for one in variants]
    assert found == [("vamp", 10), ("vamp", 20), ("mog", 10), ("mog", 20)]
    axes[0] = parse_axis("prior=vamp,normal")
    with pytest.raises(UsageError) as error:
        expand_sweep("s", [], axes)
    assert str(error.value) == (
        "prior.components=10,20: prior.components is for prior.name vamp or mog, not normal: "
        "leave it out"
    )
