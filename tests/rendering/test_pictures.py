"""Images: how they are read, written, described and summarized."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vae_cli.data.dataset import Spec
from vae_cli.data.split import InMemory
from vae_cli.errors import UsageError, mark
from vae_cli.rendering import kind_of, pictures
from vae_cli.rendering.animation import FRAME_MILLISECONDS
from vae_cli.rendering.arrangements import Grid, Interpolation, Reconstructions, Traversal
from vae_cli.rendering.grid import GAP_GREY, Layout
from vae_cli.rendering.kind import Adjustment
from vae_cli.rendering.pictures import Pictures, take_examples

SPEC = Spec("pets", (1, 4, 4), classes=("cat", "dog"))
CROPPED = Spec("photos", (3, 4, 4), background=255, cropped=True)
PICTURES = Pictures(SPEC)
GAP = GAP_GREY
SMALL = Layout(columns=1, scale=1)


def saved(path: Path, grey: int = 0, size: tuple[int, int] = (4, 4)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, grey).save(path)
    return path


def flat(*values: float) -> np.ndarray:
    """One image per value, `(N, 1, 4, 4)`, with this grey value from 0 to 255 everywhere."""
    return np.array(values, np.float32).reshape(-1, 1, 1, 1).repeat(4, 2).repeat(4, 3) / 255


def tiles(path: Path, frame: int = 0) -> list[list[int]]:
    """The grey value in the middle of each tile of a grid at scale 1."""
    with Image.open(path) as picture:
        picture.seek(frame)
        pixels = np.array(picture.convert("L"))
    return pixels[3::5, 3::5].tolist()


# ---------------------------------------------------------------------- reading


def test_a_spec_of_images_makes_pictures() -> None:
    kind = kind_of(SPEC)
    assert type(kind) is Pictures
    assert kind.spec is SPEC


def test_a_picture_is_read_with_its_name_in_the_unit_interval(tmp_path: Path) -> None:
    names, items, hints, _ = PICTURES.read(saved(tmp_path / "a.png", 51))
    assert names == ["a.png"]
    assert items.dtype == torch.float32
    torch.testing.assert_close(items, torch.full((1, 1, 4, 4), 0.2))
    assert hints == []


def test_all_pictures_of_a_folder_are_read_in_the_order_of_their_paths(tmp_path: Path) -> None:
    for path, grey in (("b.png", 0), ("a.png", 255), ("sub/c.png", 102), (".hidden.png", 9)):
        saved(tmp_path / path, grey)
    names, items, *_ = PICTURES.read(tmp_path)
    assert names == ["a.png", "b.png", "sub/c.png"]
    torch.testing.assert_close(items[:, 0, 0, 0], torch.tensor([1, 0, 0.4]))


def test_several_files_are_read_in_the_order_in_which_they_are_given(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", (flat(102, 204)[:, 0] * 255).round().astype(np.uint8))
    paths = [saved(tmp_path / "c.png", 255), tmp_path / "b.npy", saved(tmp_path / "a.png", 0)]
    names, items, *_ = PICTURES.read_files(paths)
    assert names == ["c.png", "b.npy 0", "b.npy 1", "a.png"]
    torch.testing.assert_close(items[:, 0, 0, 0], torch.tensor([1, 0.4, 0.8, 0]))


def test_pictures_are_cropped_or_fitted_as_the_spec_says(tmp_path: Path) -> None:
    path = saved(tmp_path / "wide.png", 255, (8, 4))
    fitted = PICTURES.read(path).items[0, 0]
    assert fitted[:, 0].tolist() == [0, 1, 1, 0]
    assert Pictures(CROPPED).read(path).items.eq(1).all()


@pytest.mark.parametrize(
    ("background", "grey", "invert", "hint"),
    [
        (
            0,
            255,
            False,
            f"a.png: the background is light, but that of pets is dark: try {mark('invert')}",
        ),
        (
            255,
            0,
            False,
            f"a.png: the background is dark, but that of pets is light: try {mark('invert')}",
        ),
        (
            0,
            0,
            True,
            "a.png: once inverted, the background is light, but that of pets is dark: "
            f"leave out {mark('invert')}",
        ),
        (0, 0, False, None),
        (0, 255, True, None),
        (255, 255, False, None),
    ],
)
def test_a_hint_says_when_to_invert_a_picture(
    tmp_path: Path, background: int, grey: int, invert: bool, hint: str | None
) -> None:
    kind = Pictures(Spec("pets", (1, 4, 4), background=background))
    hints = kind.read(saved(tmp_path / "a.png", grey), Adjustment(invert=invert)).hints
    assert hints == ([f"{hint}, or try {mark('fit=object')}"] if hint else [])


def test_a_hint_says_that_the_paper_is_unlike_the_training_set(tmp_path: Path) -> None:
    photo, dark = saved(tmp_path / "a.png", 100), saved(tmp_path / "b.png", 60)
    for cropped, usual in ((True, 0), (False, 0), (False, None)):
        kind = Pictures(Spec("digits", (1, 4, 4), cropped=cropped, usual_border=usual))
        hint = (
            f"a.png: the background is grey, but that of digits is dark: try {mark('fit=object')}"
        )
        assert kind.read(photo).hints == [hint]
        assert kind.read(dark).hints == []


def test_there_is_no_such_hint_for_photos(tmp_path: Path) -> None:
    assert Pictures(CROPPED).read(saved(tmp_path / "a.png", 0)).hints == []


def test_a_table_and_an_empty_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"t\.csv: pets is of images; give pictures"):
        PICTURES.read(tmp_path / "t.csv")
    with pytest.raises(UsageError, match="no pictures in "):
        PICTURES.read(tmp_path)


def test_more_pictures_than_a_grid_takes_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1001, 4, 4), np.uint8))
    with pytest.raises(UsageError, match=r"x\.npy has 1,001 pictures: a grid takes up to 1,000"):
        PICTURES.read_files([tmp_path / "x.npy"])
    monkeypatch.setattr(pictures, "MAX_PICTURES", 2)
    for number in range(3):
        (tmp_path / f"{number}.png").touch()  # a file that cannot be read
    with pytest.raises(UsageError, match=r"has 3 pictures: a grid takes up to 2"):
        PICTURES.read(tmp_path)


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 5, 4), np.uint8), r"x\.npy holds items of 1x5x4, but pets is of 1x4x4"),
        (np.zeros((2, 16)), r"x\.npy holds items of 16, but pets is of 1x4x4"),
        (np.full((2, 4, 4), 1.5), r"x\.npy: 1\.5 at row 0"),
    ],
)
def test_an_array_that_does_not_fit_is_refused(
    tmp_path: Path, array: np.ndarray, reason: str
) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(UsageError, match=reason):
        PICTURES.read_files([tmp_path / "x.npy"])


# ---------------------------------------------------------------------- writing


def test_the_output_file_has_the_name_of_the_command_unless_it_is_given() -> None:
    assert PICTURES.output_path(None, "sample") == Path("sample.png")
    for name in ("a.png", "A.PNG", "a.gif", "a.webp"):
        assert PICTURES.output_path(Path(name), "sample") == Path(name)
    with pytest.raises(UsageError, match=r"output a\.csv: this model makes pictures; .* \.png"):
        PICTURES.output_path(Path("a.csv"), "sample")


def test_a_grid_has_the_items_row_by_row(tmp_path: Path) -> None:
    PICTURES.writer(Layout(columns=2, scale=1)).write(flat(10, 20, 30), tmp_path / "a.png")
    assert tiles(tmp_path / "a.png") == [[10, 20], [30, GAP]]


def test_each_original_is_followed_by_its_reconstruction(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    pairs = Reconstructions(originals=flat(10, 20), decoded=flat(11, 21))
    PICTURES.writer(Layout(columns=4, scale=1)).write_reconstructions(pairs, path)
    assert tiles(path) == [[10, 11, 20, 21]]


def test_a_traversal_has_a_row_for_each_dimension_and_a_column_for_each_offset(
    tmp_path: Path,
) -> None:
    items = flat(10, 20, 30, 40, 50, 60).reshape(2, 3, 1, 4, 4)
    path = tmp_path / "a.png"
    traversal = Traversal(items=items, dims=[3, 7], offsets=[-1, 0, 1])
    PICTURES.writer(SMALL).write_arrangement(traversal, path)
    assert tiles(path) == [[10, 20, 30], [40, 50, 60]]


def frames(path: Path) -> list[list[list[int]]]:
    """The tiles of each frame; Pillow stores equal frames once, with a longer duration."""
    found = []
    with Image.open(path) as picture:
        for frame in range(picture.n_frames):  # type: ignore[attr-defined]
            picture.seek(frame)
            found += [tiles(path, frame)] * (picture.info["duration"] // FRAME_MILLISECONDS)
    return found


def test_an_animated_traversal_shows_one_offset_per_frame_and_goes_back(tmp_path: Path) -> None:
    items = flat(10, 20, 30, 40, 50, 60).reshape(2, 3, 1, 4, 4)
    path = tmp_path / "a.gif"
    traversal = Traversal(items=items, dims=[3, 7], offsets=[-1, 0, 1])
    PICTURES.writer(SMALL).write_arrangement(traversal, path)
    assert frames(path) == [[[10, 40]], [[20, 50]], [[30, 60]], [[20, 50]]]


def test_an_interpolation_has_a_row_for_each_path(tmp_path: Path) -> None:
    items = flat(10, 20, 30, 30, 40, 50).reshape(2, 3, 1, 4, 4)
    PICTURES.writer(SMALL).write_arrangement(Interpolation(items=items), tmp_path / "a.png")
    assert tiles(tmp_path / "a.png") == [[10, 20, 30], [30, 40, 50]]


def test_an_animated_interpolation_shows_the_shared_end_of_two_paths_once(tmp_path: Path) -> None:
    items = flat(10, 20, 30, 30, 40, 50).reshape(2, 3, 1, 4, 4)
    PICTURES.writer(SMALL).write_arrangement(Interpolation(items=items), tmp_path / "a.gif")
    assert [frame[0][0] for frame in frames(tmp_path / "a.gif")] == [
        *(10, 20, 30, 40, 50),
        *(40, 30, 20),
    ]


def test_a_grid_is_not_animated(tmp_path: Path) -> None:
    grid = Grid(items=flat(10, 20).reshape(1, 2, 1, 4, 4), places={"z0": [[0, 1]]})
    PICTURES.writer(SMALL).write_arrangement(grid, tmp_path / "a.png")
    assert tiles(tmp_path / "a.png") == [[10, 20]]
    with pytest.raises(UsageError, match=r"output.*a\.gif: end the name with \.png"):
        PICTURES.writer(SMALL).write_arrangement(grid, tmp_path / "a.gif")


# ---------------------------------------------------------------------- describing


@pytest.mark.parametrize(
    ("channels", "expected"), [(1, "4x6 grey"), (3, "4x6 RGB"), (4, "4x6"), (2, "4x6")]
)
def test_the_description_has_size_and_colour(channels: int, expected: str) -> None:
    assert Pictures(Spec("x", (channels, 4, 6))).describe() == f"images of {expected}"


def split(*labels: int) -> InMemory:
    """An item for each label; its grey value is 100 times the label plus its number."""
    values = [100 * label + number for number, label in enumerate(labels)]
    return InMemory.whole(torch.from_numpy(flat(*values)), torch.tensor(labels, dtype=torch.int64))


def test_examples_have_a_row_for_each_class_and_empty_places_if_it_has_few(tmp_path: Path) -> None:
    spec = Spec("pets", (1, 4, 4), classes=("cat", "dog", "owl"))
    train, path = split(0, 2, 0, 1, 0, 2, 0, 2, 2), tmp_path / "a.png"
    kind = Pictures(spec)
    writer = kind.writer(Layout(columns=3, scale=1))
    assert writer.write_examples({"train": train, "test": split()}, path) == str(path)
    with Image.open(path) as picture:
        labels = picture.width - 3 * 5 - 1
        pixels = np.array(picture)[:, labels:]
    assert labels > 10, "the names of the classes are on the left"
    assert pixels[3::5, 3::5].tolist() == [[0, 2, 4], [103, GAP, GAP], [201, 205, 207]]


def test_without_classes_the_examples_are_the_first_items() -> None:
    data = split(*[0] * 40)
    assert take_examples(data, 0, 4).equal(data.items[:24])
    shuffled = InMemory(data.items, torch.tensor([5, 3]), torch.empty(0))
    assert take_examples(shuffled, 0, 4).equal(data.items[[5, 3]])


def test_an_animation_of_examples_is_refused() -> None:
    with pytest.raises(UsageError, match=r"output a\.gif: end the name with \.png"):
        PICTURES.writer(SMALL).write_examples({"train": split(0), "test": split(0)}, Path("a.gif"))


def test_the_summary_counts_the_images_of_each_class() -> None:
    header, rows, key, records = PICTURES.summarize({"train": split(0, 0, 0), "test": split(1)})
    assert header == ("class", "train", "test")
    assert rows == [("cat", 3, 0), ("dog", 0, 1), ("all", 3, 1)]
    assert key == "classes"
    assert records == [
        {"name": "cat", "train": 3, "test": 0},
        {"name": "dog", "train": 0, "test": 1},
    ]


def test_the_summary_of_images_without_classes_has_one_row() -> None:
    items = torch.from_numpy(flat(1, 2, 3))
    _, rows, _, records = Pictures(Spec("x", (1, 4, 4))).summarize(
        {"train": InMemory.whole(items), "test": InMemory.whole(items[:1])}
    )
    assert rows == [("all", 3, 1)]
    assert records == []


def test_the_pages_of_a_picture_are_read_as_in_the_training(tmp_path: Path) -> None:
    pages = [Image.new("L", (4, 4), 10 * number) for number in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    spec = Spec("x", (1, 4, 4))
    first = Pictures(spec).read(tmp_path / "a.tif")
    assert (first.names, len(first.items)) == (["a.tif"], 1)
    reason = "a.tif: 1 picture has several pages or frames, and 2 of them are left out"
    assert first.hints == [reason]
    every = Pictures(replace(spec, frames="all")).read(tmp_path / "a.tif")
    assert (every.names, every.hints) == ([f"a.tif[{page}]" for page in range(3)], [])
    assert (every.items * 255).mean((1, 2, 3)).round().tolist() == [0, 10, 20]
