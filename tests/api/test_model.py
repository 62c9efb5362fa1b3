"""The trained model as a program uses it: arrays in, arrays out."""

import numpy as np
import pytest

from vae_cli.api import model as module
from vae_cli.api.model import TrainedModel
from vae_cli.errors import UsageError

CLOSE = {"rtol": 1e-4, "atol": 1e-5}  # the order of float32 sums may change this much


@pytest.fixture(scope="module")
def x(model: TrainedModel) -> np.ndarray:
    """The first five test images, uint8 `(5, 1, 28, 28)`."""
    test = model.held_out()
    return test.items[test.rows[:5]].numpy()


def test_images_are_accepted_in_every_form_with_the_same_result(
    model: TrainedModel, x: np.ndarray
) -> None:
    mean, log_variance = model.encode(x)
    assert mean.shape == log_variance.shape == (5, 20)
    assert mean.dtype == log_variance.dtype == np.float32
    assert mean.std() > 0.1
    for same in (x / 255, (x / 255).astype(np.float32), x[:, 0], x[:, 0, :, :, None]):
        np.testing.assert_allclose(model.encode(same).mean, mean, **CLOSE)
        np.testing.assert_allclose(model.encode(same).log_variance, log_variance, **CLOSE)


def test_a_single_image_is_a_batch_of_one(model: TrainedModel, x: np.ndarray) -> None:
    mean = model.encode(x).mean[2:3]
    for one in (x[2], x[2, 0], x[2:3], x[2].transpose(1, 2, 0)):
        np.testing.assert_allclose(model.encode(one).mean, mean, **CLOSE)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((27, 28)),
        np.zeros((2, 3, 28, 28)),
        np.zeros((2, 28, 28, 3)),
        np.zeros(784),
        np.zeros((0, 1, 28, 28)),
        np.full((28, 28), 1.5),
        np.full((28, 28), np.nan),
    ],
)
def test_images_of_another_shape_or_range_are_refused(
    model: TrainedModel, wrong: np.ndarray
) -> None:
    for use in (model.encode, model.reconstruct):
        with pytest.raises(UsageError):
            use(wrong)


@pytest.mark.parametrize("wrong", [np.zeros(19), np.zeros((2, 21)), np.zeros((2, 1, 20)), 0.0])
def test_latents_of_another_shape_are_refused(model: TrainedModel, wrong: np.ndarray) -> None:
    with pytest.raises(UsageError):
        model.decode(wrong)


def test_decoding_the_means_is_the_reconstruction(model: TrainedModel, x: np.ndarray) -> None:
    made = model.reconstruct(x)
    np.testing.assert_allclose(model.decode(model.encode(x).mean), made.items, **CLOSE)
    assert made.items.shape == x.shape
    assert made.items.min() >= 0
    assert made.items.max() <= 1
    errors = ((made.items - x / 255) ** 2).sum((1, 2, 3))
    np.testing.assert_allclose(made.distortion, errors, rtol=1e-4)


def test_the_kl_is_computed_from_the_posterior(model: TrainedModel, x: np.ndarray) -> None:
    mean, log_variance = model.encode(x)
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(1)
    np.testing.assert_allclose(model.reconstruct(x).kl, kl, rtol=1e-3)


def test_the_same_seed_gives_the_same_samples_and_another_seed_gives_others(
    model: TrainedModel, x: np.ndarray
) -> None:
    first, again, other = (model.sample(4, seed=seed) for seed in (7, 7, 8))
    assert (first == again).all()
    assert not (first == other).all()
    assert not (model.sample(4) == model.sample(4)).all()
    drawn = [model.reconstruct(x, seed=seed).items for seed in (1, 1, 2)]
    assert (drawn[0] == drawn[1]).all()
    assert not (drawn[0] == drawn[2]).all()
    assert not (drawn[0] == model.reconstruct(x).items).all()


def test_a_sample_is_the_decoded_latent_of_the_same_seed(model: TrainedModel) -> None:
    z = model.sample_latents(6, seed=3)
    assert z.shape == (6, 20)
    np.testing.assert_allclose(model.decode(z), model.sample(6, seed=3), **CLOSE)
    np.testing.assert_allclose(model.sample_latents(6, temperature=0.5, seed=3), 0.5 * z, rtol=1e-6)


def test_a_loop_passes_through_the_samples_of_the_same_seed(model: TrainedModel) -> None:
    loop = model.sample_loop(3, 4, seed=3)
    assert loop.shape == (12, 1, 28, 28)
    np.testing.assert_allclose(loop[::4], model.sample(3, seed=3), **CLOSE)


def test_a_traversal_decodes_the_shifted_mean(model: TrainedModel, x: np.ndarray) -> None:
    mean = model.encode(x[0]).mean[0]
    offsets = [-2.0, 0.0, 1.5]
    (row,) = model.traverse(x[0], offsets)
    whole = [model.decode(mean + offset)[0] for offset in offsets]
    np.testing.assert_allclose(row, whole, **CLOSE)
    rows = model.traverse(x[0], offsets, [4, 0])
    assert rows.shape == (2, 3, 1, 28, 28)
    for tiles, dim in zip(rows, (4, 0), strict=True):
        alone = [model.decode(mean + offset * np.eye(20)[dim])[0] for offset in offsets]
        np.testing.assert_allclose(tiles, alone, **CLOSE)


@pytest.mark.parametrize("spherical", [False, True])
def test_every_path_begins_and_ends_with_a_reconstruction(
    model: TrainedModel, x: np.ndarray, *, spherical: bool
) -> None:
    paths = model.interpolate(x, 6, spherical=spherical)
    assert paths.shape == (4, 6, 1, 28, 28)
    made = model.reconstruct(x).items
    np.testing.assert_allclose(paths[:, 0], made[:-1], **CLOSE)
    np.testing.assert_allclose(paths[:, -1], made[1:], **CLOSE)


def test_the_middle_of_a_straight_path_is_the_mean_of_two_latents(
    model: TrainedModel, x: np.ndarray
) -> None:
    middle = model.interpolate(x[:2], 3)[0, 1]
    np.testing.assert_allclose(middle, model.decode(model.encode(x[:2]).mean.mean(0))[0], **CLOSE)


def test_a_request_that_the_model_cannot_satisfy_is_refused(
    model: TrainedModel, x: np.ndarray
) -> None:
    for request, message in (
        (lambda: model.traverse(x[0], [0], dims=[3, 20]), "dimensions 0 to 19"),
        (lambda: model.traverse(x[0], [0], dims="all"), "dimensions 0 to 19"),  # type: ignore[arg-type]
        (lambda: model.interpolate(x[:1]), "at least two"),
        (lambda: model.encode("a.png"), "arrays of numbers, not str"),  # type: ignore[arg-type]
    ):
        with pytest.raises(UsageError, match=message):
            request()


def test_the_representation_is_one_line(model: TrainedModel) -> None:
    assert repr(model) == "<TrainedModel small: fashion-mnist, 20 latent dimensions>"


def test_results_do_not_depend_on_the_length_of_chunks(
    model: TrainedModel, x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = (*model.encode(x), *model.reconstruct(x), model.decode(model.encode(x).mean))
    monkeypatch.setattr(module, "chunk_length", lambda shape: 2)
    parts = (*model.encode(x), *model.reconstruct(x), model.decode(model.encode(x).mean))
    for one, other in zip(whole, parts, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, **CLOSE)


def test_rows_of_a_table_are_in_the_units_of_the_data(wine: TrainedModel) -> None:
    test = wine.held_out()
    rows = test.items_at(slice(None)).numpy()
    mean, _ = wine.encode(rows)
    assert mean.shape == (len(rows), 3)
    made = wine.reconstruct(rows)
    np.testing.assert_allclose(wine.decode(mean), made.items, rtol=1e-4)
    np.testing.assert_allclose(made.items.mean(0), rows.mean(0), rtol=0.5)
    np.testing.assert_allclose(wine.encode(rows[0]).mean, mean[:1], **CLOSE)
    paths = wine.interpolate(rows[:3], 4)
    assert paths.shape == (2, 4, rows.shape[1])
    np.testing.assert_allclose(paths[:, -1], made.items[1:3], rtol=1e-4)
    assert wine.sample(9, seed=1).shape == (9, rows.shape[1])
    assert not np.allclose(wine.sample(9, seed=1), wine.decode(wine.sample_latents(9, seed=1)))
    for wrong in (rows[:, :5], np.full_like(rows, np.inf)):
        with pytest.raises(UsageError):
            wine.encode(wrong)
