"""The page in a browser: what a user does on it, and what it shows then."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from explore.browser import Array, Page, grey_levels
from PIL import Image
from support import VAE, Use
from tables import COLUMNS, mixed_rows

from vae_cli import load
from vae_cli.api.model import TrainedModel
from vae_cli.data.spelling import spell
from vae_cli.data.table_writing import write_table
from vae_cli.explore import export
from vae_cli.explore.scene import PRIOR_SAMPLES, evenly_spaced
from vae_cli.latent.interpolation import interpolate
from vae_cli.latent.projections import pca

pytestmark = pytest.mark.slow
MOST_PROBABLE = """
const share = (bar) => Number(bar.style.getPropertyValue("--share"));
const bars = [...document.querySelectorAll(".category")[arguments[0]].querySelectorAll(".bar")];
return bars.sort((a, b) => share(b) - share(a))[0].firstChild.textContent;
"""
TEMPERATURE = "return document.querySelector('label:has(.temperature)').offsetParent"  # if visible


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    """The address of the page of `vae explore`."""
    words = [VAE, "explore", "--no-browser"]
    with subprocess.Popen(words, cwd=home, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)


def traverse(use: Use, *words: object) -> Array:
    """The one tile that `vae traverse` draws."""
    use("traverse", "--scale", 1, "-o", "traverse.png", "--quiet", *words)
    with Image.open("traverse.png") as picture:
        return np.array(picture).astype(int)[1:-1, 1:-1]


# ------------------------------------------------------------ from the server


def test_a_slider_shows_the_same_pictures_as_traverse(
    page: Page, address: str, use: Use, model: TrainedModel, means: Array
) -> None:
    page.open(address)
    page.slide(".index", 14)
    page.wait_for(means[14])
    page.slide(".shift", 1.5)
    page.wait_for(means[14] + np.float32(1.5))
    tile = traverse(use, "--index", 14, "--offset", "1.5:2:1")
    assert page.grey_levels().tolist() == tile.tolist()

    page.click(".reset")
    page.wait_for(means[14])
    dim = int(model.kl_by_dim.argmax())
    page.slide(f"[data-dim='{dim}']", -2.25)
    page.wait_for(means[14] - np.float32(2.25) * np.eye(20, dtype=np.float32)[dim])
    tile = traverse(use, "--index", 14, "--dim", dim, "--offset=-2.25:0:5")
    assert page.grey_levels().tolist() == tile.tolist()
    assert page.grey_levels(".original").tolist() == model.held_out().items[14, 0].tolist()


def test_sliders_are_sorted_by_kl_and_inactive_dimensions_are_folded_away(
    page: Page, address: str, model: TrainedModel
) -> None:
    page.open(address)
    found = page.run(
        "return [...document.querySelectorAll(arguments[0])].map(s => Number(s.dataset.dim))",
        ".informative input, .less input",
    )
    order = model.kl_by_dim.argsort(descending=True, stable=True).tolist()
    active = int((model.kl_by_dim > 0.01).sum())
    assert found == order[:active]
    assert page.text(".inactive summary") == f"{20 - active} inactive dimensions"
    assert page.text(".about") == f"fashion-mnist, 20 dimensions, {active} of them active"
    notes = [f"{model.kl_by_dim[dim]:.2f} nats" for dim in order[:active]]
    assert page.texts(".informative .note, .less .note") == notes
    assert set(page.texts(".inactive .note")) <= {"inactive"}


def test_an_uploaded_picture_is_shown_with_its_reconstruction(
    page: Page, address: str, use: Use, here: Path, model: TrainedModel
) -> None:
    page.open(address)
    picture = here / "upload.png"
    Image.fromarray(model.held_out().items[42, 0].numpy()).save(picture)
    page.upload(picture)
    page.wait_for(model.encode(model.held_out().items[42]).mean[0])
    use("reconstruct", picture, "--scale", 1, "-o", "pair.png")
    with Image.open("pair.png") as grid:
        original, tile = np.split(np.array(grid).astype(int)[1:-1, 1:], 2, axis=1)
    assert page.grey_levels().tolist() == tile[:, :-1].tolist()
    assert page.grey_levels(".original").tolist() == original[:, :-1].tolist()


def test_a_picture_on_the_opposite_background_gets_a_hint_and_can_be_inverted(
    page: Page, address: str, here: Path, model: TrainedModel
) -> None:
    page.open(address)
    pixels = model.held_out().items[42, 0].numpy()
    Image.fromarray(255 - pixels).save(here / "negative.png")
    page.upload(here / "negative.png")
    page.until(lambda: "invert" in page.text(".message"))
    assert page.grey_levels(".original").tolist() == (255 - pixels).tolist()
    page.click(".invert")
    Image.fromarray(255 - pixels).save(here / "again.png")  # the same name is no new choice
    page.upload(here / "again.png")
    page.wait_for(model.encode(pixels).mean[0])
    page.until(lambda: not page.text(".message"))
    assert page.grey_levels(".original").tolist() == pixels.tolist()


def test_the_page_can_start_from_a_picture(
    page: Page, use: Use, here: Path, model: TrainedModel
) -> None:
    picture = model.held_out().items[8, 0].numpy()
    Image.fromarray(picture).save("start.png")
    page.open(export_file(use, here, "--image", "start.png").as_uri())
    page.wait_for(model.encode(picture).mean[0])
    assert page.grey_levels(".original").tolist() == picture.tolist()


def test_a_file_that_is_not_a_picture_gets_a_message_and_changes_nothing(
    page: Page, address: str, here: Path
) -> None:
    page.open(address)
    before = page.pixels()
    (here / "none.png").write_bytes(b"no picture")
    page.upload(here / "none.png")
    page.until(lambda: page.text(".message"))
    message = "The picture is not a picture of a known format (PNG, JPEG, WebP, BMP, "
    assert page.text(".message").startswith(message)
    assert (page.pixels() == before).all()
    (failed,) = page.browser.get_log("browser")  # Chromium logs every answer with 400
    assert "400" in failed["message"]


def test_a_click_on_the_map_goes_to_that_item_or_position(
    page: Page, address: str, model: TrainedModel, means: Array
) -> None:
    page.open(address)
    points, axes, center, _ = (part.numpy() for part in pca(torch.from_numpy(means)))
    low, high = 1.06 * points.min(0), 1.06 * points.max(0)
    size = page.run("return document.querySelector('.plane canvas').clientWidth")
    places = (points - low) / (high - low) * size
    places[:, 1] = size - places[:, 1]
    chosen = int(np.linalg.norm(places - size / 2, axis=1).argmax())  # no other item is near it
    page.click_map(*places[chosen].round().tolist())
    page.wait_for(means[chosen])
    assert (
        grey_levels(model.decode(means[chosen])[0])[..., 0].tolist() == page.grey_levels().tolist()
    )

    page.click_map(1, 1)  # a corner without items: the position itself
    corner = (np.array([1, size - 1]) / size * (high - low) + low).astype(np.float32)
    page.until(lambda: np.abs(page.shown() - (center + corner @ axes)).max() < 1e-3)


def test_a_blend_follows_the_great_circle_and_its_address_shows_it_again(
    page: Page, address: str, means: Array
) -> None:
    page.open(address)
    first = page.shown()
    assert first is not None
    page.click(".set-a")
    page.slide(".index", 10)
    end = means[10]
    page.wait_for(end)
    page.click(".set-b")
    page.slide(".blend-slider", 0.5)
    ends = torch.from_numpy(np.stack([first, end]))
    middle = interpolate(ends, 3, spherical=True)[0, 1].numpy()
    page.until(lambda: np.abs(page.shown() - middle).max() < 1e-5)
    half_way, picture = page.shown(), page.pixels()

    link = page.browser.current_url
    page.slide(".shift", 1)
    page.wait_for(half_way + np.float32(1))
    page.open(link)
    assert page.shown().tolist() == half_way.tolist()
    assert (page.pixels() == picture).all()


def test_undo_goes_back_one_step_at_a_time(page: Page, address: str) -> None:
    page.open(address)
    first = page.shown()
    page.slide(".shift", 1)
    page.slide(".shift", 2)
    page.wait_for(first + np.float32(2))
    page.click(".undo")
    page.wait_for(first + np.float32(1))
    page.click(".undo")
    page.wait_for(first)
    assert page.run("return document.querySelector('.undo').disabled")


def test_reset_sets_all_sliders_to_0(page: Page, address: str) -> None:
    page.open(address)
    first = page.shown()
    page.slide(".shift", 1)
    page.slide("[data-dim='3']", -2)
    page.until(lambda: page.shown()[3] == np.float32(first[3] - 2) + 1)
    page.click(".reset")
    page.wait_for(first)
    assert set(page.texts(".slider output")) == {"0"}


def test_samples_from_the_prior_have_the_temperature_as_standard_deviation(
    page: Page, address: str
) -> None:
    page.open(address)
    assert page.run(TEMPERATURE) is not None
    page.slide(".temperature", 0)
    page.click(".sample")
    page.wait_for(np.zeros(20))
    page.slide(".temperature", 1)
    seen = []
    for _ in range(20):
        before = page.shown().tobytes()
        page.click(".sample")
        page.until(lambda before=before: page.shown().tobytes() != before)
        seen.append(page.shown())
    assert np.std(seen) == pytest.approx(1, abs=0.15)


def test_an_incomplete_address_starts_at_the_first_item(page: Page, address: str) -> None:
    page.open(address)
    first = page.shown()
    for wrong in ("#start=AAAA", "#start=%", f"#{'x' * 999}", "#blend=NaN"):
        page.open(address + wrong)
        assert page.shown().tolist() == first.tolist()


# ------------------------------------------------------------ from an exported file


def export_file(use: Use, here: Path, *words: object) -> Path:
    use("explore", "--export", "page.html", *words)
    return here / "page.html"


def check_exported(page: Page, path: Path, model: TrainedModel) -> None:
    """An exported page must show what the model decodes, within one grey level."""
    page.open(path.as_uri())
    start = page.shown()
    for shift in (0, -1, 2.5):
        page.slide(".shift", shift)
        page.wait_for(start + np.float32(shift))
        wanted = grey_levels(model.decode(start + np.float32(shift))[0])
        assert np.abs(page.pixels() - wanted).max() <= 1
    loaded = page.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in loaded if not name.startswith(("data:", "blob:"))] == []


def test_an_exported_mlp_shows_the_same_pictures(
    page: Page, use: Use, here: Path, model: TrainedModel
) -> None:
    check_exported(page, export_file(use, here), model)


def test_samples_of_a_learned_prior_have_no_temperature(page: Page, use: Use, here: Path) -> None:
    sizes = ("--model", "mlp", "--hidden", 8, "--latent-dim", 3, "--epochs", 1)
    use("train", "--data", "shapes-32", "--limit", 100, *sizes, "--prior", "mog", "--name", "m")
    page.open(export_file(use, here, "--run", "m").as_uri())
    samples = load("m").sample_latents(PRIOR_SAMPLES, seed=0)
    for _ in range(3):
        before = page.shown().tobytes()
        page.click(".sample")
        page.until(lambda before=before: page.shown().tobytes() != before)
        assert (samples == page.shown()).all(1).any()
    assert page.run(TEMPERATURE) is None


def test_an_exported_convolutional_network_shows_the_same_pictures(
    page: Page, use: Use, here: Path
) -> None:
    np.save("x.npy", np.random.default_rng(0).integers(0, 256, (64, 64, 64), np.uint8))
    words = ("--data", "x.npy", "--model", "conv", "--epochs", 1, "--name", "x")
    use("train", *words, "--quiet")
    check_exported(page, export_file(use, here, "--run", "x"), load("x", "cpu"))


def test_pictures_in_colour_that_are_not_square_are_shown(page: Page, use: Use, here: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (64, 17, 30, 3), np.uint8)
    np.save("x.npy", pictures)
    use("train", "--data", "x.npy", "--epochs", 1, "--name", "x", "--quiet")
    check_exported(page, export_file(use, here, "--run", "x"), load("x", "cpu"))


def test_a_model_that_is_too_large_shows_pictures_that_were_decoded_before(
    page: Page,
    use: Use,
    here: Path,
    model: TrainedModel,
    means: Array,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export, "MAX_MULTIPLY_ADDS", 1000)
    page.open(export_file(use, here).as_uri())
    points, axes, center, _ = (part.numpy() for part in pca(torch.from_numpy(means)))
    points = points[evenly_spaced(len(points), 500)]
    for shift in (3, -1.5):
        page.slide(".shift", shift)
        at = points[0] + np.float32(shift)
        page.until(lambda at=at: np.abs(page.shown() - at).max() < 1e-4)
        tile = [
            np.linspace(low, high, 31)[round(30 * np.clip((x - low) / (high - low), 0, 1))]
            for x, low, high in zip(at, points.min(0), points.max(0), strict=True)
        ]
        wanted = grey_levels(model.decode(center + np.float32(tile) @ axes)[0])
        assert np.abs(page.pixels() - wanted).mean() < 3, "WebP is lossy"


def test_a_table_shows_its_columns_as_they_are_written(page: Page, use: Use, here: Path) -> None:
    assert here
    write_table(Path("x.csv"), COLUMNS, mixed_rows(300, holes=0.1))
    use("train", "--data", "x.csv", "--epochs", 2, "--latent-dim", 2, "--name", "x", "--quiet")
    page.open(export_file(use, here, "--run", "x").as_uri())
    model = load("x", "cpu")
    z = page.shown() + np.float32(1)
    page.slide(".shift", 1)
    page.wait_for(z)
    row = dict(zip(model.spec.columns, model.decode(z)[0], strict=True))
    measured = {column: value for column, value in row.items() if column.is_measured}
    texts = page.texts("tr:is(.number, .integer, .date) td:last-child")
    for (column, value), text in zip(measured.items(), texts, strict=True):
        assert text == spell(column, [value], digits=5)[0], column.name
    names = [column.name for column in row if column.kind != "constant"]
    assert page.texts(".values tr:not(.heading) th") == names
    assert page.text(".constants") == "In every row, unit is kg."
    categories = [column for column in row if column.kind == "category"]
    found = [page.run(MOST_PROBABLE, place) for place in range(len(categories))]
    assert found == [column.categories[int(row[column])] for column in categories]
