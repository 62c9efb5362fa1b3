"""Fitting a prior over codes: it finds the entropy of a source, and a stopped fit goes on."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Generator, Tensor

from vae_cli.latent.code_prior import CodePrior
from vae_cli.noise import Noise
from vae_cli.training import code_fit
from vae_cli.training.code_fit import CodeFit

SIZE, POSITIONS = 4, 8
SHARES = torch.tensor([0.6, 0.25, 0.1, 0.05])
TRANSITIONS = torch.stack([SHARES.roll(shift) for shift in range(SIZE)])  # doubly stochastic


def independent(count: int, seed: int) -> Tensor:
    """Codes of a source without memory."""
    generator = Generator().manual_seed(seed)
    draws = torch.multinomial(SHARES, count * POSITIONS, replacement=True, generator=generator)
    return draws.view(count, POSITIONS)


def chain(count: int, seed: int) -> Tensor:
    """Codes of a Markov chain, which starts from its stationary distribution, the uniform one."""
    generator = Generator().manual_seed(seed)
    codes = [torch.randint(SIZE, (count,), generator=generator)]
    for _ in range(POSITIONS - 1):
        codes.append(torch.multinomial(TRANSITIONS[codes[-1]], 1, generator=generator)[:, 0])
    return torch.stack(codes, 1)


ENTROPY = -(SHARES * SHARES.log()).sum().item()
LENGTHS = {
    independent: POSITIONS * ENTROPY,
    chain: math.log(SIZE) + (POSITIONS - 1) * ENTROPY,  # the entropy rate of the chain
}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_fit, "BATCH_CODES", 32 * POSITIONS)


def fit_steps(fit: CodeFit, steps: int) -> CodeFit:
    """The same fit, with another number of steps."""
    fit.steps = steps
    return fit


@pytest.mark.parametrize("draw", LENGTHS)
def test_the_code_length_of_a_source_tends_to_its_entropy(draw: Callable[..., Tensor]) -> None:
    codes, others = draw(2000, 0), draw(4000, 1)
    prior = fit_steps(CodeFit(CodePrior((POSITIONS,), SIZE), 2000, seed=0), 300).run(codes)
    lengths, expected = prior.code_lengths(others), LENGTHS[draw]
    error = lengths.std().item() / math.sqrt(len(lengths))
    assert expected - 3 * error < lengths.mean().item() < expected + 3 * error + 0.1
    found = pair_shares(prior.sample(4000, Noise(2)))
    torch.testing.assert_close(found, pair_shares(others), atol=0.01, rtol=0.1)


def pair_shares(codes: Tensor) -> Tensor:
    """How often each pair of neighbours occurs: `(SIZE²,)`."""
    pairs = (SIZE * codes[:, :-1] + codes[:, 1:]).flatten()
    return torch.bincount(pairs, minlength=SIZE**2) / len(pairs)


def test_a_condition_that_tells_the_codes_makes_them_short() -> None:
    generator = Generator().manual_seed(0)
    classes = torch.randint(3, (500,), generator=generator)
    books = torch.randint(SIZE, (3, POSITIONS), generator=generator)
    codes, y = books[classes], torch.eye(3)[classes]
    fit = fit_steps(CodeFit(CodePrior((POSITIONS,), SIZE, condition=3), 500, seed=0), 200)
    prior = fit.run(codes, y)
    assert prior.code_lengths(codes, y).max() < 0.1
    assert prior.code_lengths(codes, y.roll(1, 1)).min() > 3
    drawn = prior.sample(300, Noise(0), y=torch.eye(3).repeat(100, 1))
    assert (drawn == books.repeat(100, 1)).double().mean() > 0.95


def test_a_fit_ends_when_held_out_codes_get_longer_and_is_never_worse_than_uniform(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(code_fit, "CHECK", 5)
    codes = torch.randint(64, (30, POSITIONS), generator=Generator().manual_seed(0))
    fit, steps = CodeFit(CodePrior((POSITIONS,), 64), 30, seed=0), []
    uniform = POSITIONS * math.log(64)
    assert fit.shortest.item() == pytest.approx(uniform)
    prior = fit.run(codes, progress=lambda done, total: steps.append((done, total)))
    assert steps[0] == (0, fit.steps)
    assert steps[-1] == (fit.step, fit.steps)
    assert fit.step < fit.steps
    assert prior.code_lengths(codes[fit.held_out]).mean().item() <= uniform + 1e-4


def test_no_copy_of_a_held_out_item_is_fitted_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a prior that knows the items by heart, and nothing else, seems to be good."""
    monkeypatch.setattr(code_fit, "CHECK", 5)
    codes = torch.randint(64, (60, POSITIONS), generator=Generator().manual_seed(0))
    items, others = codes.split(30)
    y = torch.eye(2).repeat_interleave(30, 0)
    fit = CodeFit(CodePrior((POSITIONS,), 64, condition=2), 30, seed=0, copies=2)
    prior = fit.run(items.repeat(2, 1), y)
    assert len(fit.held_out) + len(fit.fitted) == 60
    assert set(fit.held_out.tolist()).isdisjoint(fit.fitted.tolist())
    lengths = prior.code_lengths(others, y[:30])
    assert lengths.mean().item() < POSITIONS * math.log(64) + 1


@pytest.mark.parametrize("stop", [0, 7, 40])
def test_a_fit_that_was_stopped_ends_as_one_that_never_stopped(
    monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    monkeypatch.setattr(code_fit, "CHECK", 10)
    codes, y = chain(90, 0), torch.rand(90, 2, generator=Generator().manual_seed(1))

    def new_fit(number: int) -> CodeFit:
        torch.manual_seed(number)
        return fit_steps(CodeFit(CodePrior((POSITIONS,), SIZE, condition=2), 90, seed=0), 60)

    whole, first, second = (new_fit(number) for number in (0, 0, 1))
    whole.run(codes, y)

    def stop_there(done: int, total: int) -> None:
        assert total == 60
        if done == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.run(codes, y, stop_there)
    second.restore({name: tensor.clone() for name, tensor in first.tensors().items()})
    assert second.step == stop
    second.run(codes, y)
    expected = whole.tensors()
    for name, tensor in second.tensors().items():
        assert tensor.equal(expected[name]), name


def test_a_single_item_can_be_fitted() -> None:
    codes = chain(1, 0)
    prior = fit_steps(CodeFit(CodePrior((POSITIONS,), SIZE), 1, seed=0), 50).run(codes)
    assert prior.code_lengths(codes).item() < POSITIONS * math.log(SIZE)
