"""Files of a run that are not files."""

import os
from pathlib import Path

from support import Refused


def test_a_checkpoint_that_is_a_pipe_is_not_read(here: Path, refused: Refused) -> None:
    run = here / "runs" / "pipe"
    run.mkdir()
    (run / "config.toml").touch()
    for name in ("best", "last"):
        os.mkfifo(run / f"{name}.safetensors")
    assert "best.safetensors is a pipe" in refused("sample", "--run", "pipe")
    assert "last.safetensors is a pipe" in refused("train", "--resume", "pipe")
