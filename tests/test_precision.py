"""Precision: asked for, or measured where it can win."""

import pytest
import torch
from torch import Generator

from vae_cli import build, config
from vae_cli.data import Split
from vae_cli.errors import UsageError
from vae_cli.objectives import ELBO
from vae_cli.training import precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("native", "wins", "expected"),
    [(True, True, "bfloat16"), (True, False, "float32"), (False, True, "float32")],
)
def test_auto_takes_bfloat16_only_where_it_is_native_and_wins(
    monkeypatch: pytest.MonkeyPatch, native: bool, wins: bool, expected: str
) -> None:
    monkeypatch.setattr(precision, "native_bfloat16", lambda: native)
    assert precision.choose("auto", CPU, lambda: wins) == expected


def test_what_is_asked_for_is_taken_without_measuring() -> None:
    def never() -> bool:
        raise AssertionError

    assert precision.choose("bfloat16", CPU, never) == "bfloat16"
    assert precision.choose("float32", CPU, never) == "float32"


def test_tf32_without_a_gpu_is_refused_with_what_there_is() -> None:
    with pytest.raises(UsageError, match="float32 or bfloat16"):
        precision.choose("tf32", CPU, lambda: True)


def test_the_probe_measures_on_states_of_its_own() -> None:
    settings = config.resolve()
    state = build.state(settings, (1, 28, 28), CPU)
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    images = torch.zeros(64, 1, 28, 28, dtype=torch.uint8)
    images.random_(generator=Generator().manual_seed(0))

    def fresh() -> precision.TrainState:
        return build.state(settings, (1, 28, 28), CPU)

    assert precision.bfloat16_wins(fresh, ELBO(), Split.whole(images), 8) in {True, False}
    for name, tensor in state.tensors().items():
        assert tensor.equal(before[name]), name
