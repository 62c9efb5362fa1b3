"""The training loop: averages that hold, runs that repeat, states that belong together."""

import dataclasses
import math

import pytest
import torch
from torch import Generator, Tensor

from vae_cli.adam import Adam
from vae_cli.data import Split
from vae_cli.errors import NonFiniteLossError
from vae_cli.model import VAE, Inference, MLPDecoder, MLPEncoder
from vae_cli.objectives import ELBO
from vae_cli.training import (
    DeviceEpoch,
    EpochReport,
    HostEpoch,
    Metrics,
    TrainState,
    constant,
    cosine,
    differentiate,
    evaluate,
    fit,
    trace,
)

SHAPE = (1, 6, 5)


def images(count: int, seed: int = 0) -> Tensor:
    generator = Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *SHAPE), dtype=torch.uint8, generator=generator)


def fresh(seed: int = 0, device: str = "cpu") -> TrainState:
    torch.manual_seed(seed)
    model = VAE(MLPEncoder(SHAPE, (8,), 3), MLPDecoder(SHAPE, (8,), 3), 3).to(device)
    adam = Adam(dict(model.named_parameters()))
    return TrainState(model, adam, Generator(device).manual_seed(seed))


def learn(state: TrainState, *, epochs: int = 3, rate: float = 1e-2) -> list[EpochReport]:
    reports: list[EpochReport] = []
    fit(
        state,
        ELBO(),
        Split.whole(images(70)),
        Split.whole(images(33, seed=1)),
        epochs=epochs,
        batch_size=16,
        seed=0,
        learning_rate=constant(rate, 15),
        report=reports.append,
    )
    return reports


@dataclasses.dataclass
class Silent:
    """A model without noise, so that an image's loss does not depend on the order."""

    model: VAE

    def __call__(self, x: Tensor, generator: Generator | None = None) -> Inference:
        posterior = self.model.posterior(x)
        z = posterior.mean
        return Inference(posterior, z, self.model.prior(), self.model.likelihood(z))


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 2500])
def test_test_averages_weigh_every_image_of_the_whole_set_alike(count: int) -> None:
    model, x = Silent(fresh().model), images(count)
    each = [
        evaluate(model, ELBO(), Split.whole(x[i : i + 1]), seed=0)
        for i in range(0, count, max(1, count // 9))
    ]
    means = evaluate(model, ELBO(), Split.whole(x[:: max(1, count // 9)]), seed=0)
    assert means.loss == pytest.approx(sum(one.loss for one in each) / len(each), rel=1e-5)
    whole, doubled = (
        evaluate(model, ELBO(), Split.whole(x), seed=0),
        evaluate(model, ELBO(), Split.whole(x.repeat(2, 1, 1, 1)), seed=0),
    )
    assert whole.loss == pytest.approx(doubled.loss, rel=1e-5)
    assert whole.kl == pytest.approx(doubled.kl, rel=1e-5)


def test_the_last_image_of_the_test_set_counts() -> None:
    model, x = Silent(fresh().model), images(1001)
    changed = x.clone()
    changed[-1] = 255 - changed[-1]
    assert (
        evaluate(model, ELBO(), Split.whole(x), seed=0).loss
        != evaluate(model, ELBO(), Split.whole(changed), seed=0).loss
    )


def test_training_averages_weigh_images_not_batches() -> None:
    """At a learning rate of 0 an epoch in uneven batches has the averages of one whole batch."""
    state = fresh()
    state.model.forward = Silent(state.model)  # type: ignore[assignment]
    train, expected = (
        images(70),
        evaluate(Silent(state.model), ELBO(), Split.whole(images(70)), seed=0),
    )
    epoch = HostEpoch(state, ELBO(), Split.whole(train), 32)
    found = epoch.run(torch.randperm(70), torch.zeros(3))
    assert found.distortion == pytest.approx(expected.distortion, rel=1e-5)
    assert found.kl == pytest.approx(expected.kl, rel=1e-5)
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)


def test_learning_lowers_the_loss() -> None:
    reports = learn(fresh(), epochs=20)
    assert reports[-1].train.loss < reports[0].train.loss


def test_the_same_seed_repeats_bit_for_bit_and_another_does_not() -> None:
    first, again, other = fresh(), fresh(), fresh(seed=1)
    figures = [learn(state)[-1].test.loss for state in (first, again, other)]
    for name, tensor in first.tensors().items():
        assert tensor.equal(again.tensors()[name]), name
    assert figures[0] == figures[1] != figures[2]


def test_evaluating_does_not_disturb_the_run() -> None:
    watched, alone = fresh(), fresh()
    for state, sets in ((watched, 5), (alone, 1)):
        for _ in range(sets):
            evaluate(state.model, ELBO(), Split.whole(images(33)), seed=3)
        learn(state)
    for name, tensor in watched.tensors().items():
        assert tensor.equal(alone.tensors()[name]), name


def test_a_state_holds_the_moments_of_its_own_weights() -> None:
    state = fresh()
    learn(state, epochs=1)
    early = {name: tensor.clone() for name, tensor in state.tensors().items()}
    learn(state, epochs=2)
    late = state.tensors()
    names = [name for name, _ in state.model.named_parameters()]
    for name in names:
        assert not early[f"model.{name}"].equal(late[f"model.{name}"])
        for moment in ("m", "v"):
            assert early[f"optimizer.{name}.{moment}"].shape == early[f"model.{name}"].shape
            assert not early[f"optimizer.{name}.{moment}"].equal(late[f"optimizer.{name}.{moment}"])
    assert early[f"optimizer.{names[0]}.t"] == 5
    assert late[f"optimizer.{names[0]}.t"] == 10


def test_a_loss_that_is_not_finite_ends_the_run() -> None:
    with pytest.raises(NonFiniteLossError, match=r"epoch [12].*--learning-rate"):
        learn(fresh(), rate=math.inf)


def test_progress_and_reports_cover_every_epoch_once() -> None:
    seen: list[tuple[int, int]] = []
    reports: list[EpochReport] = []
    fit(
        fresh(),
        ELBO(),
        Split.whole(images(70)),
        Split.whole(images(5)),
        epochs=2,
        batch_size=16,
        seed=0,
        learning_rate=constant(1e-3, 10),
        report=reports.append,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [report.epoch for report in reports] == [1, 2]
    assert seen[-1] == (140, 140)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_silent_dimensions_are_counted() -> None:
    kl = torch.tensor([1.5, 0.2, 0.009, 0.0])
    assert Metrics(0.0, 0.0, 0.0, kl).active == 2


def test_schedules_rise_then_stay_or_fall_to_zero() -> None:
    flat, wave = constant(1.0, 100, warmup=0.1), cosine(1.0, 100, warmup=0.1)
    assert [flat(0), flat(4), flat(9), flat(99)] == pytest.approx([0.1, 0.5, 1.0, 1.0])
    assert max(map(wave, range(100))) > 0.95
    assert wave(50) == pytest.approx(0.5)
    assert wave(99) < 1e-3
    assert all(
        a > b for a, b in zip(map(wave, range(9, 99)), map(wave, range(10, 100)), strict=True)
    )
    assert constant(1.0, 100)(0) == 1.0


def test_adam_agrees_with_torch() -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.nn.Linear(3, 2) for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    adam = Adam(dict(ours.named_parameters()))
    reference = torch.optim.Adam(theirs.parameters(), lr=0.1)
    for step in range(5):
        x, rate = torch.randn(4, 3), 0.1 / (step + 1)
        adam.step(
            torch.autograd.grad(ours(x).square().sum(), list(ours.parameters())),
            rate,
            torch.tensor(1.0),
        )
        reference.param_groups[0]["lr"] = rate
        reference.zero_grad()
        theirs(x).square().sum().backward()
        reference.step()
    torch.testing.assert_close(ours.weight, theirs.weight)
    torch.testing.assert_close(ours.bias, theirs.bias)


def test_the_step_that_a_gpu_captures_learns_what_the_plain_loop_learns() -> None:
    plain, device = fresh(), fresh()
    train, order, rates = Split.whole(images(70)), torch.randperm(70), torch.full((5,), 1e-2)
    expected = HostEpoch(plain, ELBO(), train, 16).run(order, rates)
    epoch = DeviceEpoch(device, ELBO(), train, 16)
    found = epoch.run(order, rates)
    assert found.loss == pytest.approx(expected.loss, rel=1e-6)
    assert plain.step == device.step == 5
    for name, tensor in plain.tensors().items():
        torch.testing.assert_close(device.tensors()[name], tensor)
    again = epoch.run(order, rates)
    assert again.loss < found.loss


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_captured_epoch_learns_what_the_plain_loop_learns() -> None:
    losses = []
    for capture in (False, True):
        state = fresh(device="cuda")
        train = Split.whole(images(70).cuda())
        epoch = DeviceEpoch(state, ELBO(), train, 16)
        if capture:
            epoch.capture()
        for _ in range(20):
            found = epoch.run(torch.arange(70), torch.full((5,), 1e-2))
        losses.append(found.loss)
    assert losses[1] == pytest.approx(losses[0], rel=0.02)


def test_a_state_can_be_put_back() -> None:
    state = fresh()
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    first = learn(state)[-1].test.loss
    state.load(before, {"step": 0, "epoch": 0, "done": 0, "count": 0})
    assert learn(state)[-1].test.loss == first


def test_bfloat16_learns_as_well_within_its_precision() -> None:
    narrow, wide = fresh(), fresh()
    narrow.dtype = torch.bfloat16
    assert learn(narrow)[-1].test.loss == pytest.approx(learn(wide)[-1].test.loss, rel=0.01)
    assert all(parameter.dtype == torch.float32 for parameter in narrow.model.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_traced_step_is_the_plain_step_bit_for_bit(dtype: torch.dtype) -> None:
    plain, quick = fresh(), fresh()
    plain.dtype = quick.dtype = dtype
    batches = (images(48) / 255.0).split(16)
    traced = trace(quick, ELBO(2.0), batches[0])
    assert traced
    for x in batches:
        (loss, gradients), (expected, references) = traced(x), differentiate(plain, ELBO(2.0), x)
        assert loss.loss.equal(expected.loss)
        assert loss.kl.equal(expected.kl)
        for gradient, reference in zip(gradients, references, strict=True):
            assert gradient.equal(reference)
        for state in (plain, quick):
            state.optimizer.step(references, 0.1, expected.loss)
    assert plain.generator.get_state().equal(quick.generator.get_state())


def test_a_model_that_cannot_be_traced_trains_all_the_same() -> None:
    class Moody(torch.nn.Module):
        def __init__(self, model: torch.nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor, generator: Generator | None = None) -> Inference:
            if x.mean() > 2:
                raise AssertionError
            return self.model(x, generator)

    plain, moody = fresh(), fresh()
    moody.model = Moody(moody.model)
    with pytest.warns(UserWarning, match="could not be traced"):
        found = learn(moody)
    assert found[-1].test.loss == learn(plain)[-1].test.loss
