"""Weights that are missing, damaged, foreign or misfitting are refused with the name of the file.

`tests/reliability` does the same with random damage.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from support import Refused
from torch import Tensor

from vae_cli.runs.checkpoint import SCHEMA, Checkpoint, load_checkpoint, save_checkpoint

Tensors = dict[str, Tensor]
Facts = dict[str, Any]
BIAS = "state.model.decoder.project.bias"


def test_a_run_without_weights_is_refused(here: Path, refused: Refused) -> None:
    (here / "runs" / "bare").mkdir()
    (here / "runs" / "bare" / "config.toml").touch()
    message = refused("sample", "--run", "bare", code=1)
    assert message == "runs/bare/best.safetensors does not exist: the run has no weights yet"


# ------------------------------------------------------------------- damaged


def flip_bit(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "a_few_bytes": lambda good: good[:5],
    "half": lambda good: good[: len(good) // 2],
    "one_byte_short": lambda good: good[:-1],
    "one_byte_long": lambda good: good + b"\0",
    "garbage": lambda _: bytes(range(256)) * 4,
    "flipped_length": lambda good: flip_bit(good, 0),
    "huge_length": lambda good: b"\xff" * 8 + good[8:],
    "flipped_brace": lambda good: flip_bit(good, 8),
    "flipped_weight": lambda good: flip_bit(good, len(good) - 1000),
    "other_dtype": lambda good: good.replace(b'"F32"', b'"F33"', 1),
    "other_shape": lambda good: good.replace(b'"shape":[400', b'"shape":[401', 1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights_are_refused(here: Path, home: Path, refused: Refused, damage: str) -> None:
    run = here / "runs" / "damaged"
    run.mkdir()
    good = (home / "runs/small/best.safetensors").read_bytes()
    bad = DAMAGES[damage](good)
    assert bad != good
    (run / "best.safetensors").write_bytes(bad)
    message = refused("sample", "--run", "damaged", code=1)
    assert "damaged/best.safetensors" in message
    assert "is damaged" in message


# ------------------------------------------------------------------- foreign


@pytest.mark.parametrize("facts", [None, "null", "[]", "{", "{}", '"x"', '{"schema": "1"}'])
def test_weights_of_another_program_are_refused(
    here: Path, refused: Refused, facts: str | None
) -> None:
    (here / "runs" / "other").mkdir()
    path = here / "runs/other/best.safetensors"
    save_file({"a": torch.zeros(3)}, path, {"vae": facts} if facts is not None else None)
    message = refused("sample", "--run", "other", code=1)
    assert message == "runs/other/best.safetensors is damaged or not a checkpoint of vae"


# ----------------------------------------------------------------- misfitting


def with_model(facts: Facts, **changes: Any) -> Facts:
    """The facts with other settings of the network."""
    model = facts["config"]["model"] | changes
    return {**facts, "config": {**facts["config"], "model": model}}


def without(values: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != name}


Change = Callable[[Tensors, Facts], tuple[Tensors, Facts]]
MISFITS: dict[str, tuple[Change, str]] = {
    "other_latent_dim": (lambda t, f: (t, with_model(f, latent_dim=10)), "is float32 of "),
    "other_hidden": (lambda t, f: (t, with_model(f, hidden=[400, 400])), "state.model."),
    "a_tensor_of_another_shape": (
        lambda t, f: ({**t, BIAS: torch.zeros(10)}, f),
        f"{BIAS} is float32 of 10, but float32 of 784 fits its config",
    ),
    "a_tensor_too_many": (
        lambda t, f: ({**t, "state.model.extra": torch.zeros(1)}, f),
        "state.model.extra does not fit its config",
    ),
    "a_tensor_too_few": (lambda t, f: (without(t, BIAS), f), f"{BIAS} is missing"),
    "a_tensor_not_finite": (
        lambda t, f: ({**t, BIAS: torch.full_like(t[BIAS], float("nan"))}, f),
        "not finite numbers",
    ),
    "too_little_kl": (
        lambda t, f: ({**t, "kl_by_dim": torch.zeros(3)}, f),
        "kl_by_dim is float32 of 3, but float32 of 20 fits its config",
    ),
    "too_much_kl": (
        lambda t, f: ({**t, "kl_by_dim": torch.zeros(30)}, f),
        "kl_by_dim is float32 of 30, but float32 of 20 fits its config",
    ),
    "no_config": (lambda t, f: (t, without(f, "config")), "config: is missing"),
    "no_epoch": (lambda t, f: (t, without(f, "epoch")), "epoch: is missing"),
    "config_is_null": (
        lambda t, f: (t, {**f, "config": None}),
        "config: is not a table of settings",
    ),
    "config_is_a_list": (
        lambda t, f: (t, {**f, "config": [1]}),
        "config: is not a table of settings",
    ),
    "config_out_of_range": (lambda t, f: (t, with_model(f, latent_dim=0)), "model.latent_dim"),
    "config_with_a_key_too_many": (lambda t, f: (t, with_model(f, depth=3)), "model.depth"),
    "newer_schema": (lambda t, f: (t, {**f, "schema": SCHEMA + 1}), "upgrade vae"),
}


@pytest.mark.parametrize("misfit", MISFITS)
def test_weights_that_do_not_fit_their_config_are_refused(
    here: Path, home: Path, refused: Refused, misfit: str
) -> None:
    change, reason = MISFITS[misfit]
    good = load_checkpoint(home / "runs/small/best.safetensors")
    path = here / "runs/misfit/best.safetensors"
    save_checkpoint(path, Checkpoint(*change(good.tensors, good.facts)))
    message = refused("traverse", "--run", "misfit", "--dim", "all", "-q", code=1)
    assert "misfit/best.safetensors" in message
    assert reason in message
    assert "  " not in message, "no name is missing in the sentence"
