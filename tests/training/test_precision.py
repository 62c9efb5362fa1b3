"""The precision: the one that is asked for, or bfloat16 where it is measured to be faster."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vae_cli.data.split import InMemory
from vae_cli.errors import UsageError
from vae_cli.training import EpochReport, TrainState, precision

CPU = torch.device("cpu")

MakeImages = Callable[..., Tensor]
MakeState = Callable[..., TrainState]
Learn = Callable[..., list[EpochReport]]


def must_not_measure() -> bool:
    raise AssertionError


@pytest.mark.parametrize(
    ("native", "faster", "expected"),
    [(True, True, "bfloat16"), (True, False, "float32"), (False, True, "float32")],
)
def test_auto_is_bfloat16_only_if_the_processor_has_it_and_is_faster_with_it(
    monkeypatch: pytest.MonkeyPatch, native: bool, faster: bool, expected: str
) -> None:
    monkeypatch.setattr(precision, "has_native_bfloat16", lambda: native)
    assert precision.choose_precision("auto", CPU, lambda: faster) == expected


def test_a_processor_without_bfloat16_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_native_bfloat16", lambda: False)
    assert precision.choose_precision("auto", CPU, must_not_measure) == "float32"


@pytest.mark.parametrize("name", ["bfloat16", "float32"])
def test_a_precision_that_is_asked_for_is_taken_without_measuring(
    name: precision.Precision,
) -> None:
    assert precision.choose_precision(name, CPU, must_not_measure) == name


def test_tf32_without_a_gpu_is_refused() -> None:
    with pytest.raises(UsageError, match="on cpu use float32 or bfloat16"):
        precision.require_supported("tf32", CPU)
    for name in ("auto", "float32", "bfloat16"):
        precision.require_supported(name, CPU)


@pytest.mark.parametrize(
    ("name", "dtype"), [("bfloat16", torch.bfloat16), ("float32", torch.float32)]
)
def test_a_precision_decides_the_type_of_the_matrix_products(
    name: precision.Precision, dtype: torch.dtype, make_state: MakeState
) -> None:
    state = make_state()
    precision.apply_precision(name, state)
    assert state.dtype == dtype


def test_the_measurement_does_not_change_the_state_that_is_trained(
    make_state: MakeState, make_images: MakeImages
) -> None:
    state = make_state()
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    split = InMemory.whole(make_images(64))
    faster = precision.bfloat16_is_faster(make_state, split, 8)
    assert faster in {True, False}
    for name, tensor in state.tensors().items():
        assert tensor.equal(before[name]), name


def test_bfloat16_reaches_the_same_loss_within_its_precision(
    make_state: MakeState, learn: Learn
) -> None:
    narrow, wide = make_state(), make_state()
    narrow.dtype = torch.bfloat16
    assert learn(narrow)[-1].test.loss == pytest.approx(learn(wide)[-1].test.loss, rel=0.01)
    assert all(parameter.dtype == torch.float32 for parameter in narrow.model.parameters())
