"""Animations: GIF and WebP files that repeat without end."""

from pathlib import Path

import numpy as np
import pytest
from pictures import patches
from PIL import Image, ImageSequence

from vae_cli.errors import UsageError
from vae_cli.rendering.animation import (
    FRAME_MILLISECONDS,
    MAX_EDGE,
    require_size,
    write_animation,
)
from vae_cli.rendering.arrangements import append_reverse
from vae_cli.rendering.grid import Layout
from vae_cli.rendering.suffixes import ANIMATION_SUFFIXES


def read_frames(path: Path, mode: str) -> np.ndarray:
    """The frames without the gaps around them."""
    with Image.open(path) as picture:
        assert picture.info["loop"] == 0, "it repeats without end"
        assert not {"comment", "exif", "icc_profile", "xmp"} & set(picture.info), "no metadata"
        frames = []
        for frame in ImageSequence.Iterator(picture):
            frames.append(np.array(frame.convert(mode)).astype(int))
            assert frame.info["duration"] == FRAME_MILLISECONDS
    return np.array(frames)[:, 1:-1, 1:-1]


@pytest.mark.parametrize("suffix", ANIMATION_SUFFIXES)
def test_every_grey_is_exact(tmp_path: Path, suffix: str) -> None:
    greys = np.arange(256).reshape(1, 1, 1, 16, 16) / 255
    moving = np.concatenate([greys, greys[..., ::-1]])
    write_animation(moving, tmp_path / f"a{suffix}", Layout(columns=1, scale=1))
    shown = read_frames(tmp_path / f"a{suffix}", "L")
    assert (shown == (moving[:, 0, 0] * 255).round()).all()


@pytest.mark.parametrize(("suffix", "error"), [(".webp", 0), (".gif", 4)])
def test_colours_are_exact_in_webp_and_close_in_gif(
    tmp_path: Path, suffix: str, error: float
) -> None:
    for path in sorted(patches(tmp_path / "p", stride=150).rglob("*.jpg"))[:6]:
        with Image.open(path) as picture:
            colours = np.array(picture).transpose(2, 0, 1)[None, None] / 255
        moving = np.concatenate([colours, colours[..., ::-1]])
        expected = (moving[:, 0] * 255).round().transpose(0, 2, 3, 1)
        write_animation(moving, tmp_path / f"a{suffix}", Layout(columns=1, scale=1))
        shown = read_frames(tmp_path / f"a{suffix}", "RGB")
        assert np.sqrt(((shown - expected) ** 2).mean()) <= error


def test_reversed_frames_repeat_neither_end() -> None:
    assert append_reverse(np.arange(4)).tolist() == [0, 1, 2, 3, 2, 1]
    assert append_reverse(np.arange(2)).tolist() == [0, 1]
    assert append_reverse(np.arange(1)).tolist() == [0]


def test_the_size_is_checked_before_the_frames_are_made(tmp_path: Path) -> None:
    require_size(2000, (1, 1, 100, 100), Layout(columns=1, scale=3))
    with pytest.raises(UsageError, match=r"an animation of 2,200 frames of \d+x\d+ pixels is too"):
        require_size(2200, (1, 1, 100, 100), Layout(columns=1, scale=3))
    with pytest.raises(UsageError, match="too large"):
        require_size(1, (60, 1, 4, 100), Layout(columns=60, scale=3))  # wider than WebP allows
    path = tmp_path / "a.gif"
    with pytest.raises(UsageError, match="too large"):
        write_animation(np.zeros((1, 1, 1, 1, MAX_EDGE)), path, Layout(columns=1, scale=1))
    assert not path.exists()
