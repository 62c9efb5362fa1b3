"""Whatever goes wrong, a person reads one line that names it, and finds no half-written file."""

import errno
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import VAE, Vae
from PIL import Image
from safetensors.torch import save_file

from vae_cli import checkpoint, images
from vae_cli.checkpoint import Checkpoint
from vae_cli.cli import main

Capture = pytest.CaptureFixture[str]
Refused = Callable[..., str]

VERBS = ("sample", "reconstruct", "traverse", "interpolate")


def unseen(text: str) -> list[str]:
    """Characters other than line ends that could steer a terminal or hide in a name."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return [char for char in text if unicodedata.category(char) in kinds and char != "\n"]


def traces(folder: Path) -> list[str]:
    """What an output or an interrupted write would have left."""
    return sorted(
        str(path.relative_to(folder))
        for pattern in ("*.tmp", "out.png", "embed.npz", *(f"{verb}.png" for verb in VERBS))
        for path in folder.rglob(pattern)
    )


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> Refused:
    """Run words that must fail with `code`, and return the one line they print."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object, code: int = 2) -> str:
        found = main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert err.startswith("error: "), err
        assert err.count("\n") == 1, err
        assert err.endswith("\n")
        assert unseen(out + err) == []
        assert "Traceback" not in err
        assert "error: unexpected " not in err, err
        assert found == code, err
        assert not out
        assert traces(tmp_path) == []
        return err.removeprefix("error: ").rstrip("\n")

    return run


def png(width: int, height: int) -> bytes:
    """A few bytes that claim to be a large picture."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"0")), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def gif(screen: int, frame: int) -> bytes:
    """The same as GIF, whose frames have sizes of their own."""
    start = b"GIF89a" + struct.pack("<HHBBB", screen, screen, 0, 0, 0)
    return start + b"," + struct.pack("<HHHHB", 0, 0, frame, frame, 0) + b"\x02\x01\x00\x00;"


def half(suffix: str) -> bytes:
    """The first half of a real picture's file."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path = Path(f"whole.{suffix}")
    Image.fromarray(noise).save(path)
    content = path.read_bytes()
    path.unlink()
    return content[: len(content) // 2]


# ------------------------------------------------------------------ pictures

PICTURES: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "empty"),
    "text": (lambda: b"hello\n" * 100, "not a picture"),
    "half_png": (lambda: half("png"), "truncated"),
    "half_jpeg": (lambda: half("jpg"), "truncated"),
    "half_gif": (lambda: half("gif"), "truncated"),
    "half_webp": (lambda: half("webp"), "truncated"),
    "half_tiff": (lambda: half("tif"), "truncated"),
    "half_bmp": (lambda: half("bmp"), "truncated"),
    "start_of_png": (lambda: png(8, 8)[:20], "truncated"),
    "png_without_pixels": (lambda: png(8, 8), "truncated"),
    "png_of_no_size": (lambda: png(0, 0), "not a picture"),
    "huge_png": (lambda: png(60_000, 60_000), "100 million pixels"),
    "png_just_too_large": (lambda: png(10_001, 10_000), "100 million pixels"),
    "long_png": (lambda: png(2**31 - 1, 1), "100 million pixels"),
    "huge_gif": (lambda: gif(60_000, 60_000), "100 million pixels"),
    "gif_with_a_huge_frame": (lambda: gif(10, 60_000), "100 million pixels"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_bad_picture_is_refused_by_name(here: Path, refused: Refused, name: str) -> None:
    content, reason = PICTURES[name]
    (here / "odd.png").write_bytes(content())
    message = refused("reconstruct", "-q", "odd.png", "-o", "out.png")
    assert "odd.png" in message
    assert reason in message


def test_a_bad_picture_among_good_ones_is_the_one_named(here: Path, refused: Refused) -> None:
    Image.new("L", (8, 8)).save("good.png")
    (here / "odd.png").write_bytes(b"")
    message = refused("reconstruct", "-q", "good.png", "odd.png", "good.png", "-o", "out.png")
    assert "odd.png" in message
    assert "good.png" not in message


@pytest.mark.parametrize("command", VERBS[1:])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.png", "does not exist"),
        ("folder.png", "no pictures"),
        ("pipe.png", "not a file"),
        ("x" * 300 + ".png", "too long"),
    ],
)
def test_a_picture_that_is_no_file_is_refused(
    here: Path, refused: Refused, command: str, name: str, reason: str
) -> None:
    (here / "folder.png").mkdir()
    os.mkfifo(here / "pipe.png")
    message = refused(command, "-q", name, "-o", "out.png")
    assert name in message
    assert reason in message


def test_a_picture_that_links_to_itself_is_refused(here: Path, refused: Refused) -> None:
    (here / "loop.png").symlink_to("loop.png")
    assert "loop.png" in refused("reconstruct", "-q", "loop.png", "-o", "out.png")


def test_a_file_over_the_limit_is_refused_unread(here: Path, refused: Refused) -> None:
    with (here / "odd.png").open("wb") as file:
        file.truncate(images.MAX_BYTES + 1)
    message = refused("reconstruct", "-q", "odd.png", "-o", "out.png")
    assert "odd.png is larger than 100 MiB" in message


def test_a_missing_pictures_name_reaches_the_terminal_escaped(here: Path, refused: Refused) -> None:
    message = refused("reconstruct", "-q", "a\x1b[31mb\u202ec\n\x07\x9b.png", "-o", "out.png")
    assert r"a\x1b[31mb\u202ec\n\x07\x9b.png" in message


@pytest.mark.parametrize("json_too", [False, True])
def test_an_existing_pictures_name_reaches_the_terminal_escaped(
    here: Path, capsys: Capture, json_too: bool
) -> None:
    name = "a\x1b[31mb\u202ec.png"
    Image.new("L", (8, 8)).save(name)
    words = ["reconstruct", name, "-o", "z\x1b[2J.png", *(["--json"] if json_too else [])]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert unseen(out + err) == []
    if json_too:
        assert json.loads(out)["images"][0]["image"] == name
    else:
        assert r"a\x1b[31mb\u202ec.png" in out
        assert r"z\x1b[2J.png" in out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("reconstruct", "missing.png"), 2),
        (("traverse", "missing.png"), 2),
        (("traverse", "--index", 10_000), 2),
        (("traverse", "--dim", 20), 2),
        (("reconstruct", "-o", "file/out.png"), 1),
        (("sample", "-n", 10_000, "--scale", 64), 2),
        (("sample", "-n", 10_000, "--scale", 8, "-o", "out.gif"), 2),
        (("interpolate", "missing.png", "missing.png"), 2),
        (("interpolate", "--class", "bag", "--class", "bgs"), 2),
        (("embed", "missing"), 2),
        (("embed", "fashion-mnist", "-o", "file/out.npz"), 1),
    ],
)
def test_the_error_is_the_only_line_without_quiet_too(
    here: Path, refused: Refused, words: tuple[object, ...], code: int
) -> None:
    (here / "file").touch()
    refused(*words, code=code)


# ------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("offset", "reason"),
    [
        ("", "START:STOP:STEP"),
        ("1", "START:STOP:STEP"),
        ("1:2", "START:STOP:STEP"),
        ("::", "START:STOP:STEP"),
        ("a:b:c", "START:STOP:STEP"),
        ("0:1:0.1:1", "START:STOP:STEP"),
        ("0,5:1:0.1", "START:STOP:STEP"),
        ("1:1:1", "empty"),
        ("3:0:1", "3 to 0"),
        ("0:3:-1", "step of -1"),
        ("0:3:0", "step must not be 0"),
        ("0:3:-0.0", "step must not be 0"),
        ("nan:1:1", "finite"),
        ("0:inf:1", "finite"),
        ("0:1:inf", "finite"),
        ("0:1:1e-400", "step must not be 0"),
        ("0:1:1e-6", "1000000 columns"),
        ("0:201:1", "at most 200"),
        ("0:1e308:1e-307", "at most 200"),
        ("-1e308:1e308:1", "at most 200"),
    ],
)
def test_a_bad_offset_is_refused(here: Path, refused: Refused, offset: str, reason: str) -> None:
    message = refused("traverse", "--offset", offset)
    assert f"--offset {offset}".strip() in message
    assert reason in message


@pytest.mark.parametrize(
    "dim", ["20", "-1", "x", "1.5", "+1", "1_0", "", " 1", "²", "٣", "9" * 5000]
)
def test_a_bad_dimension_is_refused_with_the_range(here: Path, refused: Refused, dim: str) -> None:
    message = refused("traverse", "-q", "--dim", dim)
    assert f"--dim {dim}" in message
    assert "0 to 19" in message


@pytest.mark.parametrize("dims", [("all", "3"), ("3", "all"), ("all", "all")])
def test_all_dimensions_with_another_is_refused(
    here: Path, refused: Refused, dims: tuple[str, str]
) -> None:
    message = refused("traverse", "-q", "--dim", dims[0], "--dim", dims[1])
    assert "--dim all" in message
    assert "or all" not in message, "what was refused is no remedy"


def test_an_index_beyond_the_test_set_is_refused_with_the_last(
    here: Path, refused: Refused
) -> None:
    message = refused("traverse", "-q", "--index", "10000")
    assert "--index 10000" in message
    assert "9999" in message


@pytest.mark.parametrize(
    ("words", "flag", "limit"),
    [
        (("traverse", "--index", "-1"), "--index", "0"),
        (("sample", "-n", "0"), "--count", "1"),
        (("sample", "-n", "1000001"), "--count", "1000000"),
        (("sample", "-n", "x"), "--count", "integer"),
        (("sample", "--columns", "0"), "--columns", "1"),
        (("sample", "--scale", "0"), "--scale", "1"),
        (("sample", "--scale", "65"), "--scale", "64"),
        (("sample", "--temperature", "-1"), "--temperature", "0"),
        (("sample", "--temperature", "nan"), "--temperature", "100"),
        (("sample", "--temperature", "inf"), "--temperature", "100"),
        (("sample", "--seed", "-1"), "--seed", "0"),
        (("sample", "--seed", "18446744073709551616"), "--seed", "less than"),
        (("sample", "--device", "tpu"), "--device", "mps"),
        (("interpolate", "--steps", "1"), "--steps", "2"),
        (("interpolate", "--steps", "201"), "--steps", "200"),
        (("embed", "--method", "mds", "--plot", "a.png"), "--method", "tsne"),
        (("train", "--epochs", "0"), "--epochs", "1"),
        (("train", "--epochs", "1.5"), "--epochs", "integer"),
        (("train", "--hidden", "0"), "hidden", "1"),
        (("train", "--learning-rate", "0"), "learning", "0"),
        (("train", "--learning-rate", "nan"), "--learning-rate", "1"),
        (("train", "--beta", "-1"), "--beta", "0"),
        (("train", "--beta", "nan"), "--beta", "1000000"),
        (("train", "--schedule", "linear"), "--schedule", "cosine"),
        (("train", "--data", "fashion-mnits"), "--data", "fashion-mnist"),
        (("train", "--device", "tpu"), "--device", "mps"),
        (("train", "--seed", "9223372036854775808"), "--seed", "9223372036854775807"),
    ],
)
def test_a_number_out_of_range_is_refused_with_its_flag_and_limit(
    here: Path, refused: Refused, words: tuple[str, ...], flag: str, limit: str
) -> None:
    message = refused(*words)
    assert flag in message
    assert limit in message
    assert [path.name for path in (here / "runs").iterdir()] == ["small"]


# ---------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("words", "named", "remedy"),
    [
        (("sampl",), "sampl", "'sample'"),
        (("frobnicate",), "frobnicate", "train"),
        (("train", "--epoch", "3"), "--epoch", "--epochs"),
        (("sample", "--colums", "3"), "--colums", "--columns"),
        (("train", "--frobnicate"), "--frobnicate", ""),
        (("interpolat",), "interpolat", "'interpolate'"),
        (("interpolate", "--circle"), "--circle", ""),
        (("train", "stray"), "stray", ""),
        (("traverse", "a.png", "b.png"), "b.png", ""),
        (("train", "--epochs"), "--epochs", ""),
    ],
)
def test_an_unknown_word_is_named_with_the_nearest(
    refused: Refused, words: tuple[str, ...], named: str, remedy: str
) -> None:
    message = refused(*words)
    assert named in message
    assert remedy in message


def test_no_command_word_shows_the_help_and_no_empty_error(capsys: Capture) -> None:
    assert main([]) in {0, 2}
    out, err = capsys.readouterr()
    assert "Usage: vae" in out
    assert err == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a/b", "letters"),
        ("../up", "letters"),
        ("..", "letters"),
        (".hidden", "letters"),
        ("", "letters"),
        ("a\n", "letters"),
        ("a b", "letters"),
        ("a" * 101, "letters"),
        ("small", "another --name"),
    ],
)
def test_a_bad_name_of_a_run_is_refused(
    here: Path, refused: Refused, name: str, reason: str
) -> None:
    assert reason in refused("train", "--name", name)
    assert [path.name for path in (here / "runs").iterdir()] == ["small"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="the machine has the device")
@pytest.mark.parametrize("command", ["train", "sample"])
def test_a_device_that_is_missing_is_refused_with_what_torch_found(
    here: Path, refused: Refused, command: str
) -> None:
    message = refused(command, "--device", "cuda")
    assert "device cuda" in message
    assert torch.__version__ in message
    assert "found cpu" in message
    assert "--device cpu" in message
    assert [path.name for path in (here / "runs").iterdir()] == ["small"]


# -------------------------------------------------------------------- configs


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[training]\nepoch = 3", "training.epochs"),
        (b"[trainin]\nepochs = 3", "training"),
        (b"epochs = 3", "epochs"),
        (b"training = 3", "training"),
        (b"[training]\nepochs = '3'", "training.epochs"),
        (b"[training]\nepochs = true", "training.epochs"),
        (b"[training]\nepochs = 0", "training.epochs"),
        (b"[objective]\nbeta = nan", "objective.beta"),
        (b"[training]\nepochs = 1979-05-27", "training.epochs"),
        (b"[training\nepochs = 3", "not TOML"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "not TOML"),
        (b'["a\\u001b\\n"]\nb = 1', "not a setting"),
    ],
)
def test_a_bad_config_file_is_refused_by_name(
    tmp_path: Path, refused: Refused, content: bytes, said: str
) -> None:
    (tmp_path / "odd.toml").write_bytes(content)
    message = refused("train", "--config", "odd.toml")
    assert "odd.toml" in message
    assert said in message
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("name", ["missing.toml", "folder.toml"])
def test_a_config_file_that_cannot_be_read_is_refused(
    tmp_path: Path, refused: Refused, name: str
) -> None:
    (tmp_path / "folder.toml").mkdir()
    assert name in refused("train", "--config", name)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("latent_dim", "section.key=value"),
        ("=", "section.key=value"),
        ("model=3", "section.key=value"),
        ("model.latent_dims=3", "model.latent_dim"),
        ("modle.latent_dim=3", "model"),
        ("model.latent_dim='3'", "integer"),
        ("model.latent_dim=x\x1b[31m", "integer"),
        ("objective.beta=-1", "0"),
    ],
)
def test_a_bad_assignment_is_refused_as_it_was_typed(
    tmp_path: Path, refused: Refused, text: str, said: str
) -> None:
    message = refused("train", "--set", text)
    shown = text.replace("\x1b", r"\x1b")
    assert f"--set {shown}" in message
    assert said in message
    assert not (tmp_path / "runs").exists()


# ----------------------------------------------------------------------- runs


@pytest.mark.parametrize("command", [*VERBS, "embed"])
def test_without_a_run_the_command_that_makes_one_is_named(refused: Refused, command: str) -> None:
    assert "vae train" in refused(command)


def test_an_unknown_run_is_refused_with_those_there_are(here: Path, refused: Refused) -> None:
    message = refused("sample", "--run", "smal")
    assert "smal" in message
    assert "small" in message.partition(":")[2]


def test_an_empty_name_of_a_run_is_refused_with_those_there_are(
    here: Path, refused: Refused
) -> None:
    assert "small" in refused("sample", "--run", "")


def test_a_file_in_place_of_a_run_is_refused(here: Path, refused: Refused) -> None:
    (here / "file").touch()
    assert "file" in refused("sample", "--run", "file")


def test_a_run_without_weights_is_refused_by_name(here: Path, refused: Refused) -> None:
    (here / "runs" / "bare").mkdir()
    (here / "runs" / "bare" / "config.toml").touch()
    message = refused("sample", "--run", "bare", code=1)
    assert "bare" in message
    assert "no weights" in message


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "a_few_bytes": lambda good: good[:5],
    "half": lambda good: good[: len(good) // 2],
    "one_byte_short": lambda good: good[:-1],
    "one_byte_long": lambda good: good + b"\0",
    "garbage": lambda _: bytes(range(256)) * 4,
    "flipped_length": lambda good: flip(good, 0),
    "huge_length": lambda good: b"\xff" * 8 + good[8:],
    "flipped_brace": lambda good: flip(good, 8),
    "flipped_dtype": lambda good: good.replace(b'"F32"', b'"F33"', 1),
    "flipped_shape": lambda good: good.replace(b'"shape":[400', b'"shape":[401', 1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights_are_refused_by_name(
    here: Path, home: Path, refused: Refused, damage: str
) -> None:
    run = here / "runs" / "damaged"
    run.mkdir()
    good = (home / "runs/small/best.safetensors").read_bytes()
    (run / "best.safetensors").write_bytes(DAMAGES[damage](good))
    message = refused("sample", "--run", "damaged", code=1)
    assert "damaged/best.safetensors" in message
    assert "is damaged" in message


@pytest.mark.parametrize("facts", [None, "null", "[]", "{", "{}", '"x"', '{"schema": "1"}'])
def test_weights_of_someone_else_are_refused(
    here: Path, refused: Refused, facts: str | None
) -> None:
    (here / "runs" / "other").mkdir()
    path = here / "runs/other/best.safetensors"
    save_file({"a": torch.zeros(3)}, path, {"vae": facts} if facts is not None else None)
    message = refused("sample", "--run", "other", code=1)
    assert "other/best.safetensors" in message
    assert "not a checkpoint" in message


def with_model(facts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    model = facts["config"]["model"] | changes
    return {**facts, "config": {**facts["config"], "model": model}}


Change = Callable[[dict[str, Any], dict[str, Any]], tuple[dict[str, Any], dict[str, Any]]]
MISFITS: dict[str, Change] = {
    "other_latent_dim": lambda t, f: (t, with_model(f, latent_dim=10)),
    "other_hidden": lambda t, f: (t, with_model(f, hidden=[400, 400])),
    "a_tensor_of_another_shape": lambda t, f: (
        {**t, "state.model.decoder.project.bias": torch.zeros(10)},
        f,
    ),
    "a_tensor_too_many": lambda t, f: ({**t, "state.model.extra": torch.zeros(1)}, f),
    "a_tensor_too_few": lambda t, f: (
        {name: t[name] for name in t if name != "state.model.decoder.project.bias"},
        f,
    ),
    "no_kl": lambda t, f: ({name: t[name] for name in t if name != "kl_by_dim"}, f),
    "too_little_kl": lambda t, f: ({**t, "kl_by_dim": torch.zeros(3)}, f),
    "too_much_kl": lambda t, f: ({**t, "kl_by_dim": torch.zeros(30)}, f),
    "no_config": lambda t, f: (t, {name: f[name] for name in f if name != "config"}),
    "no_epoch": lambda t, f: (t, {name: f[name] for name in f if name != "epoch"}),
    "config_is_null": lambda t, f: (t, {**f, "config": None}),
    "config_is_a_list": lambda t, f: (t, {**f, "config": [1]}),
    "config_out_of_range": lambda t, f: (t, with_model(f, latent_dim=0)),
    "config_with_a_key_too_many": lambda t, f: (t, with_model(f, depth=3)),
    "newer_schema": lambda t, f: (t, {**f, "schema": 2}),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_weights_that_do_not_fit_their_config_are_refused(
    here: Path, home: Path, refused: Refused, misfit: str
) -> None:
    good = checkpoint.load(home / "runs/small/best.safetensors")
    tensors, facts = MISFITS[misfit](good.tensors, good.facts)
    checkpoint.save(here / "runs/misfit/best.safetensors", Checkpoint(tensors, facts))
    message = refused("traverse", "--run", "misfit", "--dim", "all", "-q", code=1)
    assert "misfit/best.safetensors" in message
    assert "  " not in message, "no hole where a name should be"


# --------------------------------------------------------------------- output


@pytest.mark.parametrize("name", ["x.jpg", "x", "x.png.bak", ".png", "folder/"])
def test_an_output_that_is_not_png_is_refused(here: Path, refused: Refused, name: str) -> None:
    for command in (*VERBS, "data"):
        message = refused(command, "-o", name)
        assert str(Path(name)) in message
        assert ".png" in message


@pytest.mark.parametrize("command", VERBS[1:])
@pytest.mark.parametrize("output", ["in.png", "./in.png", "runs/../in.png", "link.png"])
def test_an_output_over_the_input_is_refused(
    here: Path, refused: Refused, command: str, output: str
) -> None:
    picture = here / "in.png"
    Image.new("L", (8, 8), 99).save(picture)
    (here / "link.png").symlink_to("in.png")
    before = picture.read_bytes()
    assert "overwrite" in refused(command, "in.png", "-o", output)
    assert picture.read_bytes() == before


@pytest.mark.parametrize("command", [*VERBS, "data"])
def test_a_file_where_the_outputs_folder_should_be_is_named(
    here: Path, refused: Refused, command: str
) -> None:
    (here / "file").write_text("mine")
    message = refused(command, "-q", "-o", "file/deep/out.png", code=1)
    assert "file/deep/out.png" in message
    assert (here / "file").read_text() == "mine"


def test_a_folder_where_the_output_should_be_is_named(here: Path, refused: Refused) -> None:
    (here / "taken.png").mkdir()
    assert "taken.png" in refused("sample", "-q", "-o", "taken.png", code=1)


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    yield
    monkeypatch.undo()


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("command", [*VERBS, "data"])
def test_a_full_disk_leaves_the_old_picture(here: Path, refused: Refused, command: str) -> None:
    (here / "old.png").write_bytes(b"old")
    message = refused(command, "-q", "-o", "old.png", code=1)
    assert "old.png" in message
    assert "No space left" in message
    assert (here / "old.png").read_bytes() == b"old"


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_at_the_start_of_training_leaves_the_name_free(
    here: Path, refused: Refused
) -> None:
    message = refused("train", "--name", "next", "-q", code=1)
    assert "No space left" in message
    assert not (here / "runs" / "next").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_under_stdout_is_one_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [VAE, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr == "error: the disk is full\n"


# ------------------------------------------------------ the console as it stands


def test_the_console_script_prints_one_plain_line(vae: Vae, tmp_path: Path) -> None:
    done = vae("sample", "--run", "none\x1b[31m")
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"error: [ -~]+\n", done.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["--data", "in/a.png"],
            "a.png is one picture: name the folder in which it lies",
        ),
        (["--data", "notes.txt"], "is no folder, and no file that can be read: .npy"),
        (["--data", "photso/"], "no such folder, file or data set; did you mean photos?"),
        (["--data", "photso", "--image-size", "32"], "did you mean photos?"),
        (["--data", "fashion-mnist", "--image-size", "32"], "are for folders, not fashion-mnist"),
        (["--data", "photos"], "photos can be read; the first: "),
        (["--data", "o.npy"], "o.npy: it holds Python objects, not numbers"),
        (["--data", "short.npy"], "short.npy: it is cut short"),
        (["--data", "one.npy"], "one has 1 item, of which"),
        (["--model", "convolution"], "Invalid value for '--model': 'convolution' is not one of"),
        (["--epochs", "two"], "Invalid value for '--epochs': must be a valid integer"),
    ],
)
def test_data_that_cannot_be_learned_are_refused_with_the_reason(
    tmp_path: Path, refused: Refused, words: list[str], reason: str
) -> None:
    (tmp_path / "in").mkdir()
    Image.new("L", (9, 9)).save(tmp_path / "in/a.png")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/x.png").write_text("no picture")
    np.save(tmp_path / "o.npy", np.array([None, {}]), allow_pickle=True)
    np.save(tmp_path / "one.npy", np.zeros((1, 3)))
    whole = (tmp_path / "one.npy").read_bytes()
    (tmp_path / "short.npy").write_bytes(whole[:-9])
    assert reason in refused("train", *words)


def test_a_folder_that_is_no_run_is_not_taken_for_one(here: Path, refused: Refused) -> None:
    (here / "photos").mkdir()
    assert refused("sample", "--run", "photos").startswith("no run photos: there is small")


def test_a_run_that_is_one_letter_off_is_guessed(here: Path, refused: Refused) -> None:
    assert refused("sample", "--run", "smal") == "no run smal: did you mean small?"
    said = refused("train", "--resume", "other")
    assert said == "no run other: there is small"


def test_a_run_that_was_stopped_is_named_with_the_way_on(here: Path, refused: Refused) -> None:
    small = here / "runs/small"
    whole = small.resolve()
    small.unlink()
    shutil.copytree(whole, small)
    (small / "samples.png").unlink()
    assert (
        refused("sample")
        == "small is not finished: vae train --resume goes on, --run small takes it"
    )


def test_debug_shows_where_an_error_came_from(vae: Vae) -> None:
    done = vae("sample", "--debug", "-o", "x.jpg")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "check_output" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: ")


def test_ctrl_c_stops_training_in_one_line_and_keeps_what_was_learned(tmp_path: Path) -> None:
    words = ["train", "--limit", "512", "--epochs", "100000", "--name", "long"]
    with subprocess.Popen(
        [VAE, *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as training:
        assert training.stdout is not None
        assert training.stdout.readline().split()[0] == "epoch"
        assert training.stdout.readline().split()[0] == "1"
        training.send_signal(signal.SIGINT)
        _, err = training.communicate(timeout=60)
    assert training.returncode == 130
    assert "Traceback" not in err
    assert re.fullmatch(
        r"stopped in epoch \d+; go on with: vae train --resume long", err.splitlines()[-1]
    )
    assert "error" not in err
    run = tmp_path / "runs" / "long"
    assert traces(run) == []
    kept = checkpoint.load(run / "last.safetensors")
    rows = (run / "metrics.csv").read_text().splitlines()
    assert len(rows) - 1 in {kept.facts["epoch"], kept.facts["epoch"] - 1}
    checkpoint.load(run / "best.safetensors")


def test_a_reader_that_goes_away_causes_no_traceback(home: Path, tmp_path: Path) -> None:
    with subprocess.Popen(
        [VAE, "reconstruct", "-n", "1000", "--json", "-o", tmp_path / "a.png", "--scale", "1"],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdout is not None
        command.stdout.close()
        assert command.stderr is not None
        err = command.stderr.read()
    assert "Traceback" not in err
    assert "Exception" not in err
    assert "error" not in err


def test_a_copied_run_without_pictures_is_not_taken_for_finished(
    here: Path, home: Path, refused: Refused
) -> None:
    (here / "runs" / "small").unlink()
    (here / "runs" / "half").mkdir()
    shutil.copy(home / "runs/small/best.safetensors", here / "runs/half")
    message = refused("sample")
    assert "not finished" in message
    assert "--run" in message
    assert "half" in message


def test_the_module_refuses_as_the_console_script_does(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vae_cli", "sample", "-o", "x.jpg"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: --output x.jpg")
    assert done.stderr.count("\n") == 1
