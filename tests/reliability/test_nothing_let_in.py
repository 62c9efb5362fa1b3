"""A checkpoint, picture or config from somebody else is used, or refused with one line."""

import dataclasses
import hashlib
import io
import json
import os
import pickle
import random
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from support import ProcessorTime

from vae_cli.api.model import load_trained
from vae_cli.cli._app import main
from vae_cli.data.picture import Fitting, read_picture
from vae_cli.errors import UsageError, VAEError
from vae_cli.rendering.grid import Layout
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.runs.directory import Run
from vae_cli.runs.recorder import RunRecorder
from vae_cli.runs.start import load_for_resume
from vae_cli.settings import SaveInterval, choose, merge, read_config, to_toml

Times = Callable[[int, int], int]
CPU = torch.device("cpu")


def mutate(content: bytes, draw: random.Random) -> bytes:
    """The content with some of its bytes flipped, removed, repeated or replaced."""
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 8])):
        at = draw.randrange(draw.choice([min(len(changed), 1500), len(changed)]))
        match draw.randrange(5):
            case 0:
                changed[at] ^= 1 << draw.randrange(8)
            case 1:
                del changed[at : at + draw.randrange(1, 64)]
            case 2:
                changed[at:at] = changed[at : at + draw.randrange(1, 64)]
            case 3:
                changed[at : at + 1] = draw.choice(
                    [b"9999999999", b"-1", b"null", b"[", b'"', b"{"]
                )
            case _:
                changed[at : at + 4] = draw.randbytes(4)
        if not changed:
            break
    return bytes(changed)


@pytest.mark.slow
def test_a_changed_checkpoint_is_never_used(home: Path, tmp_path: Path, times: Times) -> None:
    draw, run = random.Random(0), Run(tmp_path / "run")
    run.path.mkdir()
    good = (home / "runs/small/best.safetensors").read_bytes()
    used, refused = ProcessorTime(), ProcessorTime()
    for _ in range(times(40, 10_000)):
        bad = mutate(good, draw)
        if bad == good:
            continue
        run.best.write_bytes(bad)
        with refused, pytest.raises(VAEError) as refusal:
            load_trained(run, CPU)
        assert "\n" not in str(refusal.value)
        with used:
            load_trained(Run(home / "runs/small"), CPU)
    assert refused.mean < 2 * used.mean


STRANGE = [
    None,
    True,
    -1,
    0,
    2**63,
    1e400,
    "x",
    [],
    {},
    [[]] * 3,
    "\x1b[2J",
    "../../x",
    [2**40, 2**40],
]


def forge(content: bytes, draw: random.Random) -> bytes:
    """A checkpoint with one value in its header or facts replaced, and a correct digest."""
    length = int.from_bytes(content[:8], "little")
    header, body = json.loads(content[8 : 8 + length]), content[8 + length :]
    facts = json.loads(header["__metadata__"]["vae"])
    tree = draw.choice([header, facts, facts["config"]])
    while True:
        key = draw.choice(list(tree) if isinstance(tree, dict) else range(len(tree)))
        if key == "__metadata__":
            continue
        if not isinstance(tree[key], dict | list) or not tree[key] or draw.random() < 0.3:
            break
        tree = tree[key]
    if isinstance(tree, dict) and draw.random() < 0.2:
        tree[str(draw.choice(STRANGE))] = tree.pop(key)
    else:
        tree[key] = draw.choice(STRANGE)
    header["__metadata__"] = {"sha256": "0" * 64, "vae": json.dumps(facts)}
    text = json.dumps(header).encode()
    blank = len(text).to_bytes(8, "little") + text + body
    return blank.replace(b"0" * 64, hashlib.sha256(blank).hexdigest().encode(), 1)


@pytest.fixture(params=["images", "rows"])
def victim(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> Run:
    """A run to forge the checkpoints of: of images, or of a table with classes and gaps."""
    if request.param == "images":
        return Run(home / "runs/small")
    lines = [f"{n},{n * n % 50 or ''},{'xy'[n % 2]},note" for n in range(300)]
    (tmp_path / "t.csv").write_text("\n".join(["a,b,k,n", *lines]))
    words = ["--label", "k", "--drop", "n", "--missing", "mean", "--epochs", "2", "--hidden", "8"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert main(["train", "--data", "t.csv", *words, "--name", "table", "-q"]) == 0
    return Run(tmp_path / "runs/table")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*(missing|take their place)")
def test_a_forged_checkpoint_is_used_or_refused_with_one_line(
    victim: Run, tmp_path: Path, times: Times
) -> None:
    draw, run = random.Random(3), Run(tmp_path / "run")
    run.path.mkdir()
    best, last = victim.best.read_bytes(), victim.last.read_bytes()
    known = load_checkpoint(victim.last).facts
    refused, honest, forged = 0, ProcessorTime(), ProcessorTime()
    for _ in range(times(100, 2_000)):
        run.best.write_bytes(best)
        run.last.write_bytes(last)
        with honest:
            use_model(run, tmp_path)
            restore(run, known)
        run.best.write_bytes(forge(best, draw))
        run.last.write_bytes(forge(last, draw))
        with forged:
            for use in (lambda: use_model(run, tmp_path), lambda: restore(run, known)):
                try:
                    use()
                except VAEError as error:
                    refused += 1
                    assert "\n" not in str(error)
    assert refused
    assert forged.mean < 2 * honest.mean


def use_model(run: Run, folder: Path) -> None:
    """Sample from a model, write what it makes, and read a table as its own."""
    model = load_trained(run, CPU)
    items, kind = model.sample(2, seed=0), model.kind
    path = folder / f"made{kind.suffix}"
    kind.writer(Layout(columns=2)).write(items, path)
    kind.read_files([path])


def restore(run: Run, known: dict[str, Any]) -> None:
    """What `vae train --resume` does before its first step."""
    saved, settings = load_for_resume(run, [])
    spec = saved.facts.data
    state = choose(settings, spec).build_state(spec, CPU)
    facts = dataclasses.replace(
        saved.facts, counts=tuple(known["counts"]), data_digest=known["data_digest"], progress=None
    )
    recorder = RunRecorder(
        run=run,
        facts=facts,
        held_out_name="test",
        state=state,
        interval=SaveInterval(),
        locks=ExitStack(),
    )
    recorder.restore(saved)


def pictures() -> dict[str, bytes]:
    """One small picture in each of the usual formats."""
    made = {}
    image = Image.effect_noise((40, 30), 80)
    for kind in ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"):
        buffer = io.BytesIO()
        (image.convert("RGB") if kind == "WEBP" else image).save(buffer, kind)
        made[kind] = buffer.getvalue()
    return made


@pytest.mark.slow
def test_a_changed_picture_is_read_or_refused_with_one_line(tmp_path: Path, times: Times) -> None:
    draw, path = random.Random(1), tmp_path / "picture"
    kinds = list(pictures().values())
    read = refused = 0
    for number in range(times(400, 10_000)):
        path.write_bytes(mutate(kinds[number % len(kinds)], draw) or b"x")
        try:
            found = read_picture(path, Fitting((1, 28, 28)))
        except UsageError as error:
            refused += 1
            assert "\n" not in str(error)
        else:
            read += 1
            assert found.pixels.shape == (1, 28, 28)
    assert read
    assert refused


@pytest.mark.slow
def test_a_changed_config_is_read_or_refused_with_one_line(tmp_path: Path, times: Times) -> None:
    draw, path = random.Random(2), tmp_path / "config.toml"
    good = to_toml(merge()).encode()
    refused = 0
    for _ in range(times(200, 2_000)):
        path.write_bytes(mutate(good, draw))
        try:
            merge(("file", read_config(path)))
        except UsageError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused


class Canary:
    """If it is unpickled, it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def disguises(canary: Path) -> list[bytes]:
    """Pickles and archives that other programs would execute."""
    plain = [pickle.dumps(Canary(canary), protocol) for protocol in range(6)]
    found = list(plain)
    for content in plain:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("archive/data.pkl", content)
        found.append(buffer.getvalue())
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            entry = tarfile.TarInfo("data.pkl")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        found.append(buffer.getvalue())
        found.append(len(content).to_bytes(8, "little") + content)
        buffer = io.BytesIO()
        torch.save(Canary(canary), buffer, pickle_protocol=2)
        found.append(buffer.getvalue())
    return found


EVENTS: list[str] = []


def test_no_pickle_with_the_name_of_a_checkpoint_is_executed(tmp_path: Path) -> None:
    canary, run = tmp_path / "canary", Run(tmp_path / "run")
    run.path.mkdir()
    files = disguises(canary)
    assert len(files) == 30
    recording = True

    def record(event: str, _words: object) -> None:
        if recording and event in {"pickle.find_class", "exec", "os.system", "subprocess.Popen"}:
            EVENTS.append(event)

    sys.addaudithook(record)
    for content in files:
        run.best.write_bytes(content)
        with pytest.raises(VAEError):
            load_trained(run, CPU)
    recording = False
    assert not canary.exists()
    assert "pickle.find_class" not in EVENTS


def test_the_canary_makes_its_folder_if_it_is_unpickled(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Canary(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


HOSTILE = [
    "\x1b[31mred",
    "\x9b31m",
    "\u202egnp.exe",
    "\u2066x\u2069",
    "\x9d0;t\x9c",
    "\x07",
    "\x1b]0;t\x07",
]
HOSTILE += [f"a{chr(code)}b" for code in [*range(1, 32), 127, 0x85, 0x90, 0x9D, 0x9F]]
HOSTILE += [f"a{char}b" for char in "\u200e\u200f\u202a\u202b\u202c\u2067\u2068"]


@pytest.mark.slow
def test_control_characters_in_names_reach_the_terminal_as_escapes(
    home: Path, tmp_path: Path, times: Times, capfd: pytest.CaptureFixture[str]
) -> None:
    run, out = str(home / "runs/small"), str(tmp_path / "out.png")
    assert len(HOSTILE) == 50
    for text in HOSTILE[: times(7, 50)]:
        picture = tmp_path / f"{text}.png"
        Image.new("L", (9, 9)).save(picture)
        shutil.copytree(home / "runs/small", tmp_path / text)
        main(["reconstruct", str(picture), "--run", run, "-o", out])
        main(["reconstruct", str(tmp_path / f"{text}.jpg"), "--run", run, "-o", out])
        main(["sample", "--run", str(tmp_path / text), "-o", out])
        main(["sample", "--run", text, "-o", str(tmp_path / f"{text}.gif")])
        main(["train", "--config", str(tmp_path / text), "--name", text])
        main(["train", "--set", f"model.{text}=3"])
        main(["traverse", "--offset", text, "--dim", text])
        main(["data", "-o", str(tmp_path / text / "data.png"), "--data", text])
        main(["interpolate", str(picture), str(picture), "--run", run, "-o", str(tmp_path / text)])
        main(["interpolate", "--class", text, "--class", "bag", "--run", run, "-o", out])
        main(["embed", str(picture), "--run", run, "-o", str(tmp_path / f"{text}.npz")])
        main(["embed", str(tmp_path / text), "--run", run, "-o", str(tmp_path / text)])
        main(["explore", "--run", str(tmp_path / text), "--export", str(tmp_path / f"{text}.html")])
        main([text])
        assert_printable("".join(capfd.readouterr()))


def assert_printable(printed: str) -> None:
    assert all(char == "\n" or char.isprintable() for char in printed)
    assert "Traceback" not in printed


COMMANDS = {
    "train": ["train", "--limit", "256", "--epochs", "1"],
    "reconstruct": ["reconstruct", "-n", "2", "--run", "RUN"],
    "sample": ["sample", "-n", "2", "--run", "RUN"],
    "traverse": ["traverse", "--dim", "all", "--run", "RUN"],
    "data": ["data"],
    "interpolate": ["interpolate", "--steps", "3", "--run", "RUN"],
    "embed": ["embed", "--plot", "map.png", "--run", "RUN"],
    "explore": ["explore", "--export", "page.html", "--run", "RUN"],
    "manifold": ["manifold", "-n", "2", "--run", "RUN"],
    "swap": ["swap", "--run", "RUN"],
    "runs": ["runs", "RUN"],
    "plot": ["plot", "RUN"],
    "sweep": ["sweep", "beta=0.5,1", "--limit", "256", "--epochs", "1"],
    "config": ["config", "show", "RUN"],
    "check": ["check"],
    "help": ["train", "--help"],
}


QUICK = ("NO_COLOR=1", "sample")


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        pytest.param(*case, marks=[] if case == QUICK else pytest.mark.slow)
        for case in product(["NO_COLOR=1", "TERM=dumb", "COLUMNS=40"], COMMANDS)
    ],
)
def test_a_command_with_its_output_in_a_pipe_prints_no_control_codes(
    home: Path,
    tmp_path: Path,
    variable: str,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(*variable.split("="))
    words = [str(home / "runs/small") if word == "RUN" else word for word in COMMANDS[name]]
    assert main(words) == 0
    assert_printable("".join(capfd.readouterr()))
    if name not in {"sample", "interpolate", "explore", "help"}:
        assert main([*words, "--json"]) == 0
        json.loads(capfd.readouterr().out, parse_constant=pytest.fail)
