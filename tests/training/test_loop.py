"""The loop over epochs, and the evaluation on the test set."""

import math
from collections.abc import Callable

import pytest
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.split import InMemory
from vae_cli.errors import NonFiniteLossError
from vae_cli.model import Inference
from vae_cli.noise import Noise
from vae_cli.training import (
    EpochReport,
    Metrics,
    TracedEpoch,
    TrainState,
    constant,
    evaluate,
    fit,
    prepare_epoch,
)

MakeImages = Callable[..., Tensor]
MakeState = Callable[..., TrainState]
Learn = Callable[..., list[EpochReport]]


def evaluate_on(state: TrainState, images: Tensor) -> Metrics:
    return evaluate(state.model, state.objective, InMemory.whole(images), data_size=70, seed=0)


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 2500])
def test_test_metrics_are_averages_over_images_for_every_size_of_the_test_set(
    count: int, make_state: MakeState, make_images: MakeImages
) -> None:
    state, images = make_state(noise=False), make_images(count)
    some = images[:: max(1, count // 9)]
    alone = [evaluate_on(state, image).loss for image in some.split(1)]
    assert evaluate_on(state, some).loss == pytest.approx(sum(alone) / len(alone), rel=1e-5)
    once, twice = evaluate_on(state, images), evaluate_on(state, images.repeat(2, 1, 1, 1))
    assert once.loss == pytest.approx(twice.loss, rel=1e-5)
    assert once.terms == pytest.approx(twice.terms, rel=1e-5)
    assert once.elbo == pytest.approx(twice.elbo, rel=1e-5)


def test_the_last_image_of_the_test_set_is_evaluated(
    make_state: MakeState, make_images: MakeImages
) -> None:
    state, images = make_state(noise=False), make_images(1001)
    changed = images.clone()
    changed[-1] = 255 - changed[-1]
    assert evaluate_on(state, images).loss != evaluate_on(state, changed).loss


def test_training_lowers_the_loss(make_state: MakeState, learn: Learn) -> None:
    reports = learn(make_state(), epochs=20)
    assert reports[-1].train.loss < reports[0].train.loss


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(
    make_state: MakeState, learn: Learn
) -> None:
    first, again, other = make_state(), make_state(), make_state(seed=1)
    losses = [learn(state)[-1].test.loss for state in (first, again, other)]
    for name, tensor in first.tensors().items():
        assert tensor.equal(again.tensors()[name]), name
    assert losses[0] == losses[1] != losses[2]


def test_evaluation_does_not_change_the_training(
    make_state: MakeState, make_images: MakeImages, learn: Learn
) -> None:
    often, once = make_state(), make_state()
    for state, evaluations in ((often, 5), (once, 1)):
        for _ in range(evaluations):
            evaluate_on(state, make_images(33))
        learn(state)
    for name, tensor in often.tensors().items():
        assert tensor.equal(once.tensors()[name]), name


def test_a_training_loss_that_is_not_finite_stops_the_training(
    make_state: MakeState, learn: Learn
) -> None:
    with pytest.raises(NonFiniteLossError, match=r"^the loss .* is not finite in epoch 1$"):
        learn(make_state(), rate=math.inf)


def test_an_item_of_the_test_set_never_ends_the_training(
    make_state: MakeState, make_images: MakeImages
) -> None:
    strange = make_images(20).float() / 255
    strange[7] = 1e30
    state, reports = make_state(), []
    fit(
        state,
        InMemory.whole(make_images(20)),
        InMemory.whole(strange),
        epochs=2,
        batch_size=16,
        seed=0,
        learning_rate=constant(1e-3, 4),
        report=reports.append,
    )
    assert [math.isfinite(report.test.loss) for report in reports] == [False, False]
    for report in reports:
        assert math.isfinite(report.train.loss)
        assert report.test.kl_by_dim is not None
        assert report.test.kl_by_dim.isfinite().all(), "of the other items"
        assert report.test.kl_by_dim.any()
    assert all(parameter.isfinite().all() for parameter in state.model.parameters())


def test_an_evaluation_for_which_the_memory_is_too_small_takes_fewer_items_at_a_time(
    make_state: MakeState, make_images: MakeImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, images = make_state(noise=False), make_images(300)
    expected, sizes = evaluate_on(state, images), []
    infer = state.model.infer

    def fail_if_large(batch: Batch, samples: int, noise: Noise) -> Inference:
        sizes.append(len(batch))
        if len(batch) > 100:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")
        return infer(batch, samples, noise)

    monkeypatch.setattr(state.model, "infer", fail_if_large)
    found = evaluate_on(state, images)
    assert found.loss == pytest.approx(expected.loss, rel=1e-5)
    assert sizes[:3] == [300, 300, 250]


def test_every_epoch_is_reported_once_and_progress_ends_at_the_total(
    make_state: MakeState, learn: Learn
) -> None:
    calls: list[tuple[int, int]] = []
    reports = learn(
        make_state(), epochs=2, progress=lambda done, total: calls.append((done, total))
    )
    assert [report.epoch for report in reports] == [1, 2]
    assert calls[-1] == (140, 140)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_epochs_on_the_cpu_are_traced(make_state: MakeState, make_images: MakeImages) -> None:
    epoch = prepare_epoch(make_state(), InMemory.whole(make_images(20)), 16)
    assert isinstance(epoch, TracedEpoch)
