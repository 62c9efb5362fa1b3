"""Plots look the same, and are drawn at all, whatever the user has set for matplotlib."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
from vae_cli.rendering.plots import encode_plot, new_plot
with new_plot(1, 1) as plot:
    plot.add_subplot()
    open("plot.png", "wb").write(encode_plot(plot))
"""


def draw(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_settings_of_the_user_for_matplotlib_change_nothing(tmp_path: Path) -> None:
    pictures = []
    for name, backend, settings in (
        ("plain", "", None),
        ("backend", "nonsense", None),
        ("file", "tkagg", "figure.dpi: 7\nbackend: nonsense\n: :\naxes.facecolor: red\n"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        if settings:
            (folder / "matplotlibrc").write_text(settings)
        done = draw(folder, MPLBACKEND=backend)
        assert (done.returncode, done.stderr) == (0, "")
        pictures.append((folder / "plot.png").read_bytes())
    assert pictures == pictures[:1] * 3


def test_settings_of_matplotlib_that_are_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe")
    done = draw(tmp_path)
    assert "mend or remove the file matplotlibrc" in done.stderr.splitlines()[-1]
