"""A prior over codes: a distribution, whose samples follow it whichever way they are computed."""

from itertools import product

import pytest
import torch
from torch import Generator, Tensor, nn

from vae_cli.latent import code_prior
from vae_cli.latent.code_prior import CodePrior, CodeSampler
from vae_cli.noise import Noise

SHAPES = (((3,), 1), ((2, 2), 1), ((2, 2), 2))  # of codes, and the stages of the last axis


def some_prior(shape: tuple[int, ...], size: int, stages: int = 1, condition: int = 0) -> CodePrior:
    """A prior with large random weights, so that its codes depend on each other."""
    prior, generator = CodePrior(shape, size, stages, condition), Generator().manual_seed(0)
    for parameter in prior.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    return prior.requires_grad_(requires_grad=False)


def all_codes(prior: CodePrior) -> Tensor:
    """Every sequence of codes: `(K^T, *codes_shape)`."""
    sequences = product(range(prior.codebook_size), repeat=prior.positions)
    return torch.tensor(list(sequences)).unflatten(1, prior.codes_shape)


def test_the_probabilities_of_all_codes_sum_to_one_for_each_condition() -> None:
    for (shape, stages), condition in product(SHAPES, (0, 3)):
        prior = some_prior(shape, 4, stages, condition)
        codes = all_codes(prior)
        for y in torch.eye(3) if condition else (None,):
            ys = None if y is None else y.expand(len(codes), -1)
            log_prob = prior.log_prob(codes, ys).double()
            assert log_prob.logsumexp(0).item() == pytest.approx(0, abs=1e-4)
            assert log_prob.max() > log_prob.min() + 3, "the weights make no difference"
            torch.testing.assert_close(prior.code_lengths(codes, ys).double(), -log_prob)


def test_a_prior_without_a_step_is_the_uniform_one() -> None:
    for shape, stages in SHAPES:
        prior = CodePrior(shape, 5, stages)
        lengths = prior.code_lengths(torch.randint(5, (7, *shape)))
        torch.testing.assert_close(lengths, prior.positions * torch.tensor(5.0).log().expand(7))


def test_logits_depend_on_the_codes_before_them_and_on_no_others() -> None:
    for shape, stages in SHAPES:
        prior = some_prior(shape, 4, stages)
        codes = torch.zeros(1, prior.positions, dtype=torch.int64)
        before = prior(codes)
        for position in range(prior.positions):
            changed = codes.clone()
            changed[0, position] = 1
            differs = (prior(changed) != before).any(2)[0]
            assert differs.tolist() == [place > position for place in range(prior.positions)]


def test_samples_are_where_the_cumulative_distribution_of_a_whole_pass_has_their_numbers() -> None:
    """What is kept of earlier positions gives the same as a pass through all of them."""
    for (shape, stages), condition in product(SHAPES, (0, 3)):
        prior = some_prior(shape, 9, stages, condition)
        y = torch.eye(3).repeat(20, 1) if condition else None
        uniform = Noise(1).uniform_like(torch.empty(60, prior.positions))
        for temperature in (1.0, 0.5):
            codes = prior.from_uniform(uniform, temperature, y)
            steps = (prior(codes, y) / temperature).softmax(2)
            above = steps.cumsum(2).gather(2, codes[:, :, None])[:, :, 0]
            below = above - steps.gather(2, codes[:, :, None])[:, :, 0]
            assert (uniform >= below - 1e-5).all()
            assert (uniform <= above + 1e-5).all()
        greedy = prior.from_uniform(uniform, 0.0, y)
        assert greedy.equal(prior(greedy, y).argmax(2))


def test_samples_are_as_frequent_as_their_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    prior = some_prior((2, 2), 3, stages=2)
    codes, count = all_codes(prior), 20_000
    drawn = prior.sample(count, Noise(0)).flatten(1)
    powers = 3 ** torch.arange(3, -1, -1)
    found = torch.bincount((drawn * powers).sum(1), minlength=81) / count
    expected = prior.log_prob(codes).exp()
    error = (expected * (1 - expected) / count).sqrt()
    assert ((found - expected).abs() < 5 * error + 1e-4).all()
    monkeypatch.setattr(code_prior, "CHUNK_BYTES", 1e7)
    assert prior.sample(count, Noise(0)).flatten(1).equal(drawn), "chunks change the samples"


def test_a_sampler_embeds_codes_and_repeats_them_for_a_seed() -> None:
    prior, book = some_prior((2, 3), 5, condition=2), torch.randn(5, 7)
    sampler = CodeSampler(prior, lambda codes: book[codes].movedim(-1, 1))
    y = torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(10, 1)
    z = sampler.sample(20, Noise(3), y=y)
    assert z.shape == (20, 7, 2, 3)
    assert z.equal(sampler.sample(20, Noise(3), y=y))
    assert not z.equal(sampler.sample(20, Noise(4), y=y))
    assert not z.equal(sampler.sample(20, Noise(3), y=y.flip(0)))
