"""The facts about a model that the page shows."""

import base64
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from explore.browser import Array

from vae_cli import train
from vae_cli.api.model import TrainedModel
from vae_cli.data.split import InMemory
from vae_cli.explore.scene import MAX_ITEMS, PRIOR_SAMPLES, Scene, build_scene, evenly_spaced
from vae_cli.latent.projections import pca
from vae_cli.rendering.plots import class_colours
from vae_cli.training import ACTIVE_THRESHOLD


def floats(text: str) -> Array:
    """Numbers as the page reads them."""
    return np.frombuffer(base64.b64decode(text), "<f4")


@pytest.fixture(scope="module")
def scene(model: TrainedModel) -> Scene:
    return build_scene(model, model.test_set())


def test_the_test_items_of_the_run_are_on_the_map(
    model: TrainedModel, scene: Scene, means: Array
) -> None:
    assert scene.items.tolist() == list(range(2048))
    np.testing.assert_allclose(scene.latents, means, rtol=1e-4, atol=1e-5)
    assert scene.labels.tolist() == model.held_out().labels.tolist()


def test_half_of_ten_thousand_items_are_on_the_map(model: TrainedModel) -> None:
    test = model.test_set()
    found = build_scene(model, dataclasses.replace(test, split=InMemory.whole(test.split.items)))
    assert found.items.tolist() == list(range(0, 10_000, 2))
    assert len(found.items) == MAX_ITEMS


def test_the_map_shows_the_plane_of_the_principal_components(scene: Scene) -> None:
    plane = pca(torch.from_numpy(scene.latents))
    assert (scene.axes == plane.axes.numpy()).all()
    assert (scene.center == plane.mean.numpy()).all()
    assert (scene.explained_variance_ratio == plane.explained_variance_ratio.numpy()).all()


def test_the_page_starts_at_the_first_test_item(scene: Scene) -> None:
    assert (scene.item, scene.upload) == (0, b"")
    assert (scene.start == scene.latents[0]).all()


def test_the_page_starts_at_the_picture_that_is_given(model: TrainedModel) -> None:
    picture = model.held_out().items[8:9]
    scene = build_scene(model, model.test_set(), picture / 255)
    assert scene.item == -1
    assert scene.upload == picture.numpy().tobytes()
    np.testing.assert_allclose(scene.start, model.encode(picture).mean[0], rtol=1e-4, atol=1e-5)


def test_without_a_test_set_there_is_no_map_and_the_page_starts_at_the_origin(
    model: TrainedModel,
) -> None:
    scene = build_scene(model, None)
    assert len(scene.items) == len(scene.latents) == len(scene.labels) == 0
    assert scene.explained_variance_ratio.tolist() == [0, 0]
    assert (scene.item, scene.start.tolist()) == (-1, [0] * 20)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_test_items_have_no_map(model: TrainedModel, count: int) -> None:
    test = model.test_set()
    scene = build_scene(model, dataclasses.replace(test, split=test.split.head(count)))
    assert scene.explained_variance_ratio.tolist() == [0, 0]
    assert len(scene.items) == count


def test_a_model_with_one_latent_dimension_has_no_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(size=(60, 3))
    np.save("rows.npy", rows)
    model = train(
        {
            "data": {"name": "rows.npy"},
            "model": {"latent_dim": 1, "hidden": [8]},
            "training": {"epochs": 1, "device": "cpu"},
        }
    )
    scene = build_scene(model, model.test_set())
    assert scene.explained_variance_ratio.tolist() == [0, 0]
    assert scene.axes.shape == (2, 1)
    assert len(scene.labels) == 0
    facts = scene.facts()
    assert [column["name"] for column in facts["columns"]] == list(model.spec.column_names)
    assert len(facts["colours"]) == 1, "all items have the first colour"


def test_only_a_learned_prior_is_sampled_for_the_page(scene: Scene, here: Path) -> None:
    assert scene.samples.shape == (0, 20)
    settings = {
        "data": {"name": "shapes-32", "limit": 100},
        "model": {"network": "mlp", "latent_dim": 3, "hidden": [8]},
        "prior": {"name": "mog", "components": 5},
        "training": {"epochs": 1, "device": "cpu"},
    }
    model = train(settings)
    samples = build_scene(model, None).samples
    np.testing.assert_array_equal(samples, model.sample_latents(PRIOR_SAMPLES, seed=0))
    assert here


def test_the_facts_are_json_with_little_endian_numbers(model: TrainedModel, scene: Scene) -> None:
    facts = json.loads(json.dumps(scene.facts(), allow_nan=False))
    assert facts["title"] == "small"
    assert facts["data"] == "fashion-mnist"
    assert facts["shape"] == [1, 28, 28]
    assert facts["dims"] == [f"z{number}" for number in range(20)]
    assert facts["unit"] == "nats"
    assert facts["active_threshold"] == ACTIVE_THRESHOLD
    assert facts["classes"] == list(model.spec.classes)
    assert facts["colours"] == class_colours(10)
    assert floats(facts["kl"]).tolist() == model.kl_by_dim.tolist()
    assert (floats(facts["latents"]).reshape(-1, 20) == scene.latents).all()
    assert (floats(facts["axes"]).reshape(2, 20) == scene.axes).all()
    for name in ("items", "labels", "center", "explained_variance_ratio", "start"):
        assert (floats(facts[name]) == getattr(scene, name)).all(), name


def test_fewer_items_are_evenly_spaced_and_keep_their_labels(
    model: TrainedModel, scene: Scene
) -> None:
    few = scene.with_fewer_items(500)
    rows = few.items.astype(int)
    assert len(rows) == 500
    assert set(np.diff(rows)) == {4, 5}, "they are evenly spaced"
    assert (few.latents == scene.latents[rows]).all()
    assert (few.labels == scene.labels[rows]).all()
    assert (few.axes == scene.axes).all()
    assert len(build_scene(model, None).with_fewer_items(500).items) == 0


@pytest.mark.parametrize(("count", "limit"), [(0, 5), (3, 5), (5, 5), (6, 5), (10_000, 5000)])
def test_indices_are_different_evenly_spaced_and_at_most_the_limit(count: int, limit: int) -> None:
    found = evenly_spaced(count, limit)
    assert len(found) == min(count, limit)
    assert all(0 <= index < count for index in found)
    steps = np.diff(found)
    assert len(steps) == 0 or 1 <= steps.min() <= steps.max() <= steps.min() + 1
