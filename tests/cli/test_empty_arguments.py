"""An empty argument, as from an unset variable of the shell, never means the current folder."""

from pathlib import Path

import pytest
from support import Refused

WORDS = [
    ("train", "--data", ""),
    ("train", "--data="),
    ("train", "--name", ""),
    ("train", "--config", ""),
    ("data", ""),
    ("embed", ""),
    ("reconstruct", ""),
    ("reconstruct", "a.png", ""),
    ("traverse", ""),
    ("interpolate", "", ""),
    ("explore", "--image", ""),
    ("explore", "--image="),
    ("sample", "--run", ""),
    ("",),
]


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_an_empty_argument_is_refused_and_the_current_folder_is_not_read(
    tmp_path: Path, refused: Refused, words: tuple[str, ...]
) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    message = refused(*words)
    before = words[-1] or (words[-2:-1] or ("vae",))[0]
    assert before in message
    assert message.endswith('"": this is empty; is a variable of the shell not set?')


def test_an_empty_setting_does_not_name_data(refused: Refused, tmp_path: Path) -> None:
    assert refused("train", "--set", "data.name=").startswith('--data "": name a folder')
    (tmp_path / "x.toml").write_text('[data]\nname = ""\n')
    assert "name a folder" in refused("train", "--config", "x.toml")
