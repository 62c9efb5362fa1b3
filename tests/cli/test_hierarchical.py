"""Every command on a run with several levels of latents."""

import json
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from support import Refused, Use

from vae_cli import load
from vae_cli.api.model import TrainedModel
from vae_cli.cli._app import main
from vae_cli.latent.decoding import infer_level

Read = Callable[..., np.ndarray]
RUN = ("--run", "ladder")
TRAIN = ("train", "--model", "hierarchical", "--limit", "256", "--latent-dim", "4", "--epochs", "2")
PRECISE = ("--precision", "float32", "--set", "model.level_channels=2", "--likelihood", "bernoulli")


@pytest.fixture(scope="module")
def ladder_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run `runs/ladder`; tests only read from it."""
    folder = tmp_path_factory.mktemp("ladder")
    with chdir(folder):
        assert main([*TRAIN, *PRECISE, "--name", "ladder", "-q"]) == 0
    return folder


@pytest.fixture
def model(ladder_home: Path, here: Path) -> TrainedModel:
    """The model of that run, which is also among the runs of the current folder."""
    (here / "runs" / "ladder").symlink_to(ladder_home / "runs" / "ladder")
    return load(here / "runs" / "ladder", "cpu")


def test_the_levels_are_a_vector_and_two_sizes_of_pictures(model: TrainedModel) -> None:
    assert model.model.latent_dims == (4, 2 * 7 * 7, 2 * 14 * 14)
    assert model.kl_by_dim.shape == (4,)


def test_a_reconstruction_uses_all_levels(model: TrainedModel, use: Use, tiles: Read) -> None:
    found = json.loads(use("reconstruct", *RUN, "-n", 2, "--scale", 1, "--json").out)
    items = model.held_out().items[:2]
    result = model.reconstruct(items)
    assert [row["kl"] for row in found["images"]] == pytest.approx(result.kl.tolist(), rel=1e-4)
    top_only = model.decode(model.encode(items).mean)
    shown = tiles("reconstruct.png")[:, 1] / 255
    assert abs(shown - result.items[:, 0]).max() < 0.01
    assert not np.allclose(result.items, top_only, atol=1e-4)
    use("reconstruct", *RUN, "-n", 2, "--sample", "--seed", 3)


def test_samples_draw_the_lower_levels_too(model: TrainedModel, use: Use) -> None:
    use("sample", *RUN, "-n", 4, "--seed", 1)
    use("sample", *RUN, "-n", 2, "--seed", 1, "-o", "sample.gif")
    assert np.array_equal(model.sample(4, seed=1), model.sample(4, seed=1))
    top = model.sample_latents(4, seed=1)
    assert not np.allclose(model.sample(4, seed=1), model.decode(top), atol=1e-4)
    cold = model.sample(2, temperature=0.0, seed=1)
    np.testing.assert_allclose(cold, model.decode(np.zeros((2, 4))), atol=1e-5)


def test_embed_and_interpolate_use_the_top_level(model: TrainedModel, use: Use) -> None:
    items = model.held_out().items[:2]
    np.save("few.npy", items.repeat(8, 1, 1, 1).numpy())
    use("embed", "few.npy", *RUN, "-o", "z.npz")
    assert np.load("z.npz")["mean"].shape == (16, 4)
    use("interpolate", *RUN, "--steps", 3)
    path = model.interpolate(items, 3)
    np.testing.assert_allclose(path[0, 0], model.decode(model.encode(items).mean)[0], atol=1e-5)


def test_a_traversal_of_the_top_level_takes_the_levels_below_along(
    model: TrainedModel, use: Use, tiles: Read
) -> None:
    use("traverse", *RUN, "--dim", "all", "--offset", "0:2:1", "--scale", 1)
    use(
        "traverse",
        *RUN,
        "--dim",
        "all",
        "--offset",
        "0:2:1",
        "--scale",
        1,
        "--level",
        0,
        "-o",
        "zero.png",
    )
    assert np.array_equal(tiles("traverse.png"), tiles("zero.png"))
    item = model.held_out().items[:1]
    tile = model.traverse(item, [1.0], [2])[0, 0]
    z = model.encode(item).mean + np.eye(4)[[2]]
    np.testing.assert_allclose(tile, model.decode(z)[0], atol=1e-5)


@pytest.mark.parametrize("level", [1, 2])
def test_a_traversal_of_a_lower_level_leaves_the_others(
    model: TrainedModel, use: Use, level: int, tiles: Read
) -> None:
    words = ("traverse", *RUN, "--level", level, "--scale", 1, "--json")
    found = json.loads(use(*words, "--dim", "3,0", "--offset", "0:5:4").out)
    assert [row["dim"] for row in found["rows"]] == [3, 0]
    rows, item = tiles("traverse.png") / 255, model.held_out().items[:1]
    assert abs(rows[:, 0] - model.reconstruct(item).items[0, 0]).max() < 0.01
    x = next(model.converter.encode(item))
    inside = infer_level(model.model, x, level)
    assert inside.kl_by_dim is not None
    assert [row["kl"] for row in found["rows"]] == inside.kl_by_dim[[3, 0]].tolist()
    latents = [*inside.above, inside.posterior.mean, *inside.below]
    latents[level] = latents[level].clone()
    latents[level][0, 3] += 4.0
    expected = model.model.decode_levels(latents).mean[0, 0].detach().numpy()
    assert abs(rows[0, 1] - expected).max() < 0.01
    use("traverse", *RUN, "--level", level, "--offset", "-1:2:1", "--sample", "--seed", 1)


def test_all_dimensions_of_a_lower_level_are_sorted_by_the_kl_of_the_item(
    model: TrainedModel, use: Use
) -> None:
    words = (
        "traverse",
        *RUN,
        "--level",
        1,
        "--dim",
        "all",
        "--silent",
        "--offset",
        "0:2:1",
        "--json",
    )
    rows = json.loads(use(*words, "--scale", 1).out)["rows"]
    assert len(rows) == 98
    assert [row["kl"] for row in rows] == sorted((row["kl"] for row in rows), reverse=True)


def test_a_level_or_dimension_that_is_not_there_is_refused(
    model: TrainedModel, refused: Refused
) -> None:
    assert refused("traverse", "-q", *RUN, "--level", 3) == "--level 3: choose 0 to 2"
    line = refused("traverse", "-q", *RUN, "--level", 1, "--dim", 98)
    assert line == "--dim 98: choose 0 to 97, or all"
    line = refused("traverse", "-q", "--run", "small", "--level", 1)
    assert line == "--level 1: this model has only level 0"


def test_an_exported_page_says_what_it_can_do(model: TrainedModel, use: Use) -> None:
    remarks = use("explore", *RUN, "--export", "page.html").err.split("\n")
    assert "the page moves the top level, and the levels below follow" in " ".join(remarks)
    assert "a page cannot compute a hierarchical decoder: this page has 31x31 pictures" in " ".join(
        remarks
    )
    assert '"tiles"' in Path("page.html").read_text()


def test_what_has_one_level_only_is_refused_before_a_training(refused: Refused) -> None:
    for words in (("--objective", "dreg"), ("--objective", "tc"), ("--prior", "vamp")):
        assert "is for one level of latents" in refused(*TRAIN, *words)
