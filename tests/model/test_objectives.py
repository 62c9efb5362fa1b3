"""The objectives against an exactly solvable model, each other, and their definitions."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from linear_gaussian import LinearGaussian
from models import lose, mlp_vae
from torch import Generator, Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from vae_cli.data.batch import Batch
from vae_cli.model import (
    DIPVAE,
    Adversarial,
    Capacity,
    Context,
    Critic,
    DiagonalNormal,
    FactorVAE,
    Inference,
    InfoVAE,
    Level,
    Loss,
    MixtureOfNormals,
    NegativeCIWAE,
    NegativeDReG,
    NegativeELBO,
    NegativeIWAE,
    NegativePIWAE,
    Objective,
    TotalCorrelation,
    require_normal,
)
from vae_cli.model.objectives.aggregated import aggregated_log_prob, squared_mmd, stratified_weights
from vae_cli.model.objectives.critics import shuffle_dimensions, tell_apart
from vae_cli.noise import Noise, Part
from vae_cli.training import Adam

OBJECTIVES: dict[str, Objective] = {
    "elbo": NegativeELBO(),
    "beta": NegativeELBO(beta=4.0),
    "free-bits": NegativeELBO(free_bits=0.1),
    "capacity": Capacity(5.0, 10.0),
    "iwae": NegativeIWAE(5),
    "miwae": NegativeIWAE(3, groups=2),
    "dreg": NegativeDReG(5),
    "ciwae": NegativeCIWAE(4, 0.3),
    "piwae": NegativePIWAE(3, groups=2),
    "tc": TotalCorrelation(6.0),
    "mmd": InfoVAE(0.5, 10.0),
    "dip-means": DIPVAE(of_samples=False, off_diagonal=2.0, diagonal=20.0),
    "dip-samples": DIPVAE(of_samples=True, off_diagonal=3.0, diagonal=3.0),
    "factor": FactorVAE(Critic(3, (8,)), gamma=6.0, rate=1e-3),
    "adversarial": Adversarial(Critic(3, (8,)), weight=10.0, kl_weight=0.5, rate=1e-3),
}
each_objective = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)


def infer(objective: Objective, x: Tensor, seed: int = 0) -> Inference:
    """An inference of a small model, with as many samples as the objective asks for."""
    return mlp_vae()(Batch(x), objective.samples, Noise(seed))


def loss_of(*arguments: Any, **options: float) -> Tensor:
    """The loss of the model."""
    return lose(*arguments, **options).losses["model"]


def images(count: int) -> Tensor:
    return torch.rand(count, 1, 6, 5, generator=Generator().manual_seed(0))


# --------------------------------------------------- what holds for every objective


@each_objective
def test_every_objective_reports_the_kl_and_the_distortion_of_each_item(
    objective: Objective,
) -> None:
    x = images(7)
    loss = lose(objective, x, infer(objective, x))
    assert loss.losses["model"].shape == ()
    assert {"kl", "mse"} <= set(loss.terms)
    for name, term in loss.terms.items():
        assert term.shape == (() if name in {"mmd", "dip"} else (7,)), name
        assert not term.requires_grad, name


@each_objective
def test_every_parameter_gets_a_gradient(objective: Objective) -> None:
    model, x = mlp_vae(), images(6)
    inference = model(Batch(x), objective.samples, Noise(0))
    loss_of(objective, x, inference).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@each_objective
def test_a_warm_up_that_begins_leaves_out_the_latents(objective: Objective) -> None:
    """At 0 only the distortion counts; a capacity is 0, MMD and a critic keep their distance."""
    x = images(6)
    inference = infer(objective, x)
    loss = lose(objective, x, inference, warmup=0.0)
    distortion = inference.likelihood.distortion(x)
    expected = distortion.mean()
    match objective:
        case Capacity():
            expected = expected + objective.gamma * inference.kl().mean()
        case InfoVAE():
            weight = objective.alpha + objective.scale - 1
            expected = expected + weight * loss.terms["mmd"]
        case Adversarial():
            expected = expected + objective.weight * loss.terms["adversarial"].mean()
        case NegativeCIWAE():
            likelihoods = -(distortion + inference.likelihood.constant)
            tight = likelihoods.logsumexp(0) - math.log(objective.samples)
            share = objective.elbo_share
            expected = -(share * likelihoods.mean() + (1 - share) * tight.mean())
        case NegativePIWAE():
            likelihoods = -(distortion + inference.likelihood.constant)
            expected = -(likelihoods.logsumexp(0) - math.log(objective.samples)).mean()
        case NegativeIWAE() | NegativeDReG():
            groups = -(distortion + inference.likelihood.constant)
            groups = groups.unflatten(0, (getattr(objective, "groups", 1), -1))
            expected = -(groups.logsumexp(1) - math.log(groups.shape[1])).mean()
    torch.testing.assert_close(loss.losses["model"], expected)


@pytest.mark.parametrize("batch", [1, 2, 128])
@each_objective
def test_batches_of_any_size_have_a_finite_loss(objective: Objective, batch: int) -> None:
    x = images(batch)
    loss = lose(objective, x, infer(objective, x), data_size=batch)
    assert loss.losses["model"].isfinite()


# ------------------------------------------------------------------------- the ELBO


def exact_inference(x: Tensor) -> Inference:
    """An inference without noise, so that an image has the same loss in every batch."""
    model = mlp_vae()
    posterior = model.posterior(Batch(x))
    z = posterior.mode()[None]
    return Inference((Level(posterior, model.prior(), z),), model.decode(z))


def test_the_loss_of_an_image_does_not_depend_on_the_batch_size() -> None:
    x = images(1)
    many = x.repeat(64, 1, 1, 1)
    alone, together = (loss_of(NegativeELBO(), one, exact_inference(one)) for one in (x, many))
    torch.testing.assert_close(alone, together)


@pytest.mark.parametrize("batch_size", [1, 7, 128])
def test_both_terms_are_summed_over_an_image_and_averaged_over_the_batch(batch_size: int) -> None:
    x = images(batch_size)
    inference = exact_inference(x)
    loss = lose(NegativeELBO(beta=3.0), x, inference)
    squared_error = ((x - inference.likelihood.mean[0]) ** 2).sum((1, 2, 3))
    kl = require_normal(inference.levels[0].posterior).kl_to_standard().sum(1)
    torch.testing.assert_close(loss.losses["model"], (squared_error + 3.0 * kl).mean())


def test_beta_weights_the_kl_in_the_loss_but_not_the_reported_kl() -> None:
    x = images(4)
    losses = [lose(NegativeELBO(beta), x, exact_inference(x)) for beta in (0.0, 1.0, 10.0)]
    for loss in losses:
        torch.testing.assert_close(loss.terms, losses[0].terms)
    difference = losses[2].losses["model"] - losses[0].losses["model"]
    torch.testing.assert_close(difference, 10 * losses[0].terms["kl"].mean())


def test_free_bits_cost_nothing_up_to_their_number() -> None:
    """Kingma et al. (2016), eq. 15: no group counts less than λ."""
    x = images(16)
    inference = exact_inference(x)
    kl = require_normal(inference.levels[0].posterior).kl_to_standard().mean(0).detach()
    distortion = inference.likelihood.distortion(x).mean()
    by_dim = lose(NegativeELBO(free_bits=float(kl.median())), x, inference).losses["model"]
    torch.testing.assert_close(by_dim, distortion + kl.clamp(min=float(kl.median())).sum())
    by_level = lose(
        NegativeELBO(free_bits=float(kl.sum()) + 1, by_level=True), x, inference
    ).losses["model"]
    torch.testing.assert_close(by_level, distortion + kl.sum() + 1)


def test_the_capacity_is_the_kl_that_costs_nothing() -> None:
    x = images(16)
    inference = exact_inference(x)
    kl = float(inference.kl().mean().detach())
    distortion = inference.likelihood.distortion(x).mean()
    held = Capacity(kl, 100.0)
    torch.testing.assert_close(loss_of(held, x, inference), distortion, rtol=1e-4, atol=1e-4)
    half = loss_of(held, x, inference, warmup=0.5)
    torch.testing.assert_close(half, distortion + 100 * 0.5 * kl)


# ------------------------------------------------------------ an exactly solvable model


def bound(objective: Objective, model: LinearGaussian, x: Tensor, seed: int = 0) -> float:
    """The bound of an objective with the constant of the likelihood, averaged over the items."""
    inference = model.infer(Batch(x), objective.samples, Noise(seed))
    loss = loss_of(objective, x, inference, data_size=len(x))
    if isinstance(objective, NegativeELBO):
        loss = loss + inference.likelihood.constant
    return -float(loss.detach())


def test_the_elbo_of_the_true_posterior_is_the_likelihood() -> None:
    model = LinearGaussian.make()
    x = model.items(50)
    exact = model.log_likelihood(x)
    torch.testing.assert_close(
        model.infer(Batch(x), 3, Noise(0)).log_weights(x), exact.expand(3, -1)
    )
    many = x[:1].expand(200_000, -1, -1, -1)
    assert bound(NegativeELBO(), model, many) == pytest.approx(float(exact[0]), abs=0.01)


def test_another_posterior_has_a_lower_bound_by_its_kl_to_the_true_one() -> None:
    exact, wide = LinearGaussian.make(), LinearGaussian.make(widening=0.7)
    x = exact.items(1).expand(200_000, -1, -1, -1)
    item = Batch(x[:1])
    gap = exact.posterior(item).kl_from(wide.posterior(item)).sum()
    likelihood = float(exact.log_likelihood(x[:1]))
    assert bound(NegativeELBO(), wide, x) == pytest.approx(likelihood - float(gap), abs=0.01)


def test_the_bounds_rise_with_the_number_of_samples_to_the_likelihood() -> None:
    model = LinearGaussian.make(widening=0.7)
    x = model.items(1).expand(2000, -1, -1, -1)
    exact = float(model.log_likelihood(x[:1]))
    bounds = [bound(NegativeIWAE(count), model, x) for count in (1, 3, 10, 100)]
    assert bounds == sorted(bounds)
    assert bounds[-1] < exact + 0.01
    log_weights = model.infer(Batch(x[:1]), 200_000, Noise(0)).log_weights(x[:1])[:, 0]
    relative = (log_weights - log_weights.max()).exp()
    error = float(relative.std() / relative.mean()) / math.sqrt(len(relative))
    estimate = float(log_weights.logsumexp(0)) - math.log(len(log_weights))
    assert estimate == pytest.approx(exact, abs=4 * error)
    assert error < 0.01


def test_miwae_lies_between_the_elbo_and_iwae() -> None:
    model = LinearGaussian.make(widening=0.7)
    x = model.items(1).expand(4000, -1, -1, -1)
    elbo, miwae, iwae = (
        bound(NegativeIWAE(samples, groups), model, x)
        for samples, groups in ((1, 12), (4, 3), (12, 1))
    )
    assert elbo < miwae < iwae


def test_ciwae_lies_between_the_elbo_and_iwae_of_the_same_samples() -> None:
    x = images(9)
    with torch.no_grad():
        inference = mlp_vae()(Batch(x), 6, Noise(0))
    elbo, *between, iwae = (
        float(-loss_of(NegativeCIWAE(6, share), x, inference)) for share in (1.0, 0.7, 0.2, 0.0)
    )
    assert elbo < between[0] < between[1] < iwae
    assert between[0] == pytest.approx(0.7 * elbo + 0.3 * iwae, rel=1e-5)
    assert elbo == pytest.approx(float(inference.log_weights(x).mean()), rel=1e-5)
    assert iwae == pytest.approx(float(-loss_of(NegativeIWAE(6), x, inference)), rel=1e-5)


@pytest.mark.parametrize("spread", [1.0, 30.0])
@pytest.mark.parametrize("warmup", [1.0, 0.5])
def test_piwae_has_the_gradients_of_two_objectives(spread: float, warmup: float) -> None:
    """Of IWAE for the decoder and the prior, of MIWAE for the encoder; also with weights of 0."""
    model, x = mlp_vae(), images(9)
    model.prior = MixtureOfNormals(3, 2)
    with torch.no_grad():
        model.decoder.project.weight.mul_(spread)

    def gradients(objective: Objective) -> dict[str, Tensor]:
        model.zero_grad()
        inference = model(Batch(x), objective.samples, Noise(0))
        loss_of(objective, x, inference, warmup=warmup).backward()
        return {name: one.grad.clone() for name, one in model.named_parameters()}

    found = gradients(NegativePIWAE(4, groups=3))
    decoder, encoder = gradients(NegativeIWAE(12)), gradients(NegativeIWAE(4, groups=3))
    for name, gradient in found.items():
        expected = (encoder if name.startswith("encoder.") else decoder)[name]
        tolerance = 2e-5 * float(expected.abs().max())
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=tolerance)


def test_iwae_with_one_sample_is_the_elbo() -> None:
    x = images(9)
    inference = mlp_vae()(Batch(x), 1, Noise(0))
    loss = loss_of(NegativeIWAE(1), x, inference)
    torch.testing.assert_close(loss, -inference.log_weights(x).mean())


def test_the_doubly_reparameterized_gradient_has_the_expectation_of_iwae() -> None:
    """With respect to the encoder, and with less variance; the decoder's is the same."""
    model, x, repeats = mlp_vae(), images(1), 4000
    many = x.expand(repeats, -1, -1, -1)

    def gradients(objective: Objective) -> dict[str, Tensor]:
        model.zero_grad()
        inference = model(Batch(many), 8, Noise(0))
        loss_of(objective, many, inference).backward()
        return {name: one.grad.clone() for name, one in model.named_parameters()}  # type: ignore[union-attr]

    iwae, dreg = gradients(NegativeIWAE(8)), gradients(NegativeDReG(8))
    for name, gradient in iwae.items():
        scale = float(gradient.abs().max())
        tolerance = 0.1 * scale if "encoder" in name else 1e-4 * scale
        torch.testing.assert_close(dreg[name], gradient, rtol=0, atol=tolerance)


# ---------------------------------------------------------------- total correlation


def test_the_three_terms_add_up_to_the_kl() -> None:
    x = images(64)
    inference = mlp_vae()(Batch(x), 1, Noise(0))
    loss = lose(TotalCorrelation(beta=1.0), x, inference, data_size=64)
    sampled = -inference.log_ratio()[0]
    total = loss.terms["mi"] + loss.terms["tc"] + loss.terms["dwkl"]
    torch.testing.assert_close(total, sampled, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(loss.terms["kl"], sampled, rtol=1e-4, atol=1e-4)
    expected = -(inference.log_weights(x).mean() + inference.likelihood.constant)
    torch.testing.assert_close(loss.losses["model"], expected, rtol=1e-4, atol=1e-4)


def test_beta_weights_the_total_correlation_only() -> None:
    x = images(32)
    inference = mlp_vae()(Batch(x), 1, Noise(0))
    one, seven = (lose(TotalCorrelation(b), x, inference, data_size=32) for b in (1.0, 7.0))
    torch.testing.assert_close(
        seven.losses["model"] - one.losses["model"], 6 * one.terms["tc"].mean()
    )


@pytest.mark.parametrize(("batch", "size"), [(2, 2), (2, 50), (16, 16), (16, 1000)])
def test_the_weights_of_the_stratified_estimate_sum_to_one(batch: int, size: int) -> None:
    weights = stratified_weights(batch, size)
    torch.testing.assert_close(weights.sum(1), torch.ones(batch))
    torch.testing.assert_close(weights.diagonal(), torch.full((batch,), 1 / size))


def test_with_the_whole_data_set_in_a_batch_the_estimate_is_the_aggregated_posterior() -> None:
    """Three Gaussians: q(z) = 1/3 Σ q(z|x_j), up to the weights of the estimate, which are 1/3."""
    posterior = DiagonalNormal(
        torch.tensor([[-2.0, 0.0], [1.0, 1.0], [3.0, -1.0]]), torch.zeros(3, 2)
    )
    z = posterior.rsample(1, Noise(0))[0]
    weights = stratified_weights(3, 3)
    joint, marginals = aggregated_log_prob(posterior, z, weights)
    each = DiagonalNormal(posterior.mean[None], posterior.log_variance[None])
    by_dim = each.log_prob_by_dim(z[:, None])
    torch.testing.assert_close(joint, (weights * by_dim.sum(-1).exp()).sum(1).log())
    torch.testing.assert_close(marginals, (weights[..., None] * by_dim.exp()).sum(1).log().sum(-1))


# ----------------------------------------------------------------------------- MMD


def test_the_discrepancy_is_small_between_equal_distributions_and_large_between_others() -> None:
    first, second = torch.randn(2, 1000, 4, generator=Generator().manual_seed(0))
    assert squared_mmd(first, first) == pytest.approx(0, abs=1e-6)
    assert 0 <= squared_mmd(first, second) < 0.01
    assert squared_mmd(first, second + 1) > 0.05


@pytest.mark.parametrize(
    ("alpha", "scale", "kl_weight", "mmd_weight"), [(0, 1, 1, 0), (1, 9, 0, 9)]
)
def test_infovae_contains_the_elbo_and_the_wasserstein_autoencoder(
    alpha: float, scale: float, kl_weight: float, mmd_weight: float
) -> None:
    x = images(20)
    inference = mlp_vae()(Batch(x), 1, Noise(0))
    loss = lose(InfoVAE(alpha, scale), x, inference)
    parts = {name: term.mean() for name, term in loss.terms.items()}
    expected = parts["mse"] + kl_weight * parts["kl"] + mmd_weight * parts["mmd"]
    torch.testing.assert_close(loss.losses["model"], expected)


# ------------------------------------------------------------------------- DIP-VAE


@pytest.mark.parametrize("of_samples", [False, True])
def test_dip_of_a_linear_encoder_is_worked_out_from_the_covariance_of_the_items(
    of_samples: bool,
) -> None:
    """μ = A x + b and a constant σ²: C = A Cov[x] Aᵀ, and of the samples σ² more on the diagonal.

    The items are the 2 P points ± √P s_i e_i, whose covariance is diag s² exactly.
    """
    generator = Generator().manual_seed(0)
    scale = torch.tensor([0.5, 1.0, 2.0, 3.0]).double()
    points = 2 * torch.diag(scale)
    x = torch.cat([points, -points])
    weight = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    variance = torch.tensor([0.2, 1.0, 0.7]).double()
    posterior = DiagonalNormal(x @ weight.T + 5.0, variance.log().expand(8, 3))
    expected = np.einsum("ip,p,jp->ij", weight, scale**2, weight)
    if of_samples:
        expected += np.diag(variance)
    objective = DIPVAE(of_samples=of_samples, off_diagonal=2.0, diagonal=7.0)
    found = objective.penalize(posterior, Context(1.0, 8, Noise(0)))
    off_diagonal = sum(expected[i, j] ** 2 for i in range(3) for j in range(3) if i != j)
    diagonal = sum((expected[i, i] - 1) ** 2 for i in range(3))
    assert float(found) == pytest.approx(2 * off_diagonal + 7 * diagonal, rel=1e-12)


def test_dip_costs_nothing_if_the_latents_have_the_covariance_of_the_prior() -> None:
    """Means ± √D e_i have the covariance I; with half of it, σ² = ½ is what is missing."""
    means = math.sqrt(3) * torch.cat([torch.eye(3), -torch.eye(3)]).double()
    half = torch.full_like(means, 0.5)
    context = Context(1.0, 6, Noise(0))
    objectives = {
        of_samples: DIPVAE(of_samples=of_samples, off_diagonal=2.0, diagonal=7.0)
        for of_samples in (False, True)
    }
    first = objectives[False].penalize(DiagonalNormal(means, half), context)
    second = objectives[True].penalize(DiagonalNormal(half.sqrt() * means, half.log()), context)
    assert float(first) == pytest.approx(0, abs=1e-12)
    assert float(second) == pytest.approx(0, abs=1e-12)


# ------------------------------------------------------------------------- critics


def train_critic(objective: Objective, infer: Callable[[int], Inference], steps: int) -> Loss:
    """Let only the critic of an objective learn; the losses of the last batch."""
    optimizer = Adam(dict(objective.critic.named_parameters()))
    for step in range(steps):
        inference = infer(step)
        x = torch.zeros(inference.levels[0].z.shape[1], 1, 6, 5)
        loss = objective(Batch(x), inference, Context(1.0, len(x), Noise(1000 + step)))
        gradients = torch.autograd.grad(loss.losses["critic"], list(objective.critic.parameters()))
        optimizer.step(gradients, 3e-3, torch.tensor(0.0))
    return loss


def aggregate(z: Tensor) -> Inference:
    """An inference whose latents are these samples of q(z)."""
    model = mlp_vae(latent_dim=z.shape[1])
    posterior = DiagonalNormal(z, torch.full_like(z, -20.0))
    return Inference((Level(posterior, model.prior(), z[None]),), model.decode(z[None]))


def test_the_critic_finds_the_total_correlation_of_normal_latents() -> None:
    """In closed form it is −½ log(1 − ρ²); the best logit is log q(z) − Σ log q(z_j)."""
    covariance = torch.tensor([[1.0, 0.7], [0.7, 1.0]])
    normal = torch.distributions.MultivariateNormal(torch.zeros(2), covariance)
    torch.manual_seed(0)
    objective = FactorVAE(Critic(2, (32, 32)), gamma=1.0, rate=1.0)

    def infer(step: int) -> Inference:
        noise = torch.randn(2000, 2, generator=Generator().manual_seed(step))
        return aggregate(noise @ torch.linalg.cholesky(covariance).T)

    loss = train_critic(objective, infer, 200)
    assert float(loss.terms["tc"].mean()) == pytest.approx(-0.5 * math.log(1 - 0.49), abs=0.06)
    z, independent = infer(0).levels[0].z[0], torch.randn(2000, 2)
    marginal = torch.distributions.Normal(0.0, 1.0)
    ratios = [normal.log_prob(one) - marginal.log_prob(one).sum(1) for one in (z, independent)]
    best = float(tell_apart(*ratios))
    assert float(loss.losses["critic"].detach()) == pytest.approx(best, abs=0.02)


def test_the_critic_finds_how_far_normal_latents_are_from_the_prior() -> None:
    """Its least loss for N(m, I) and N(0, I) is log 2 less their Jensen-Shannon divergence."""
    torch.manual_seed(0)
    objective = Adversarial(Critic(2, (32,)), weight=1.0, kl_weight=0.0, rate=1.0)
    shift = torch.tensor([1.5, 0.0])

    def infer(step: int) -> Inference:
        return aggregate(shift + torch.randn(2000, 2, generator=Generator().manual_seed(step)))

    losses = train_critic(objective, infer, 200)
    grid = torch.linspace(-12, 12, 100_001, dtype=torch.float64)
    p, q = (torch.distributions.Normal(m, 1.0).log_prob(grid).exp() for m in (0.0, 1.5))
    best = -0.5 * (p * (p / (p + q)).log() + q * (q / (p + q)).log()).sum() * (grid[1] - grid[0])
    assert float(losses.losses["critic"].detach()) == pytest.approx(float(best), abs=0.03)
    assert float(tell_apart(torch.zeros(9), torch.zeros(9))) == pytest.approx(math.log(2))


def test_the_losses_of_a_critic_are_the_cross_entropies_of_torch() -> None:
    x, objective = images(20), OBJECTIVES["adversarial"]
    inference = mlp_vae()(Batch(x), 1, Noise(0))
    loss = lose(objective, x, inference)
    logits = objective.critic(inference.levels[0].z[0])
    samples = objective.critic(Noise(1).normal((20, 3)))
    answers, ones = torch.cat([samples, logits]), torch.ones(20)
    told = binary_cross_entropy_with_logits(answers, torch.cat([ones, 0 * ones]))
    torch.testing.assert_close(loss.losses["critic"], told)
    fooled = binary_cross_entropy_with_logits(logits, ones)
    parts = {name: term.mean() for name, term in loss.terms.items()}
    torch.testing.assert_close(parts["adversarial"], fooled.detach())
    expected = parts["mse"] + 0.5 * parts["kl"] + 10 * fooled
    torch.testing.assert_close(loss.losses["model"], expected)


def test_gamma_weights_what_the_critic_says_besides_the_elbo() -> None:
    x = images(20)
    inference = mlp_vae()(Batch(x), 1, Noise(0))
    loss = lose(OBJECTIVES["factor"], x, inference)
    elbo = loss_of(NegativeELBO(), x, inference)
    expected = elbo + 6 * loss.terms["tc"].mean()
    torch.testing.assert_close(loss.losses["model"], expected)


def test_each_dimension_is_shuffled_by_itself_and_parts_have_the_order_of_the_whole() -> None:
    z = torch.arange(60.0).view(20, 3)
    shuffled = shuffle_dimensions(z, Context(1.0, 20, Noise(0)))
    assert shuffled.sort(0).values.equal(z)
    rows = (shuffled // 3).long()
    assert all((rows[:, i] != rows[:, j]).any() for i, j in ((0, 1), (1, 2), (0, 2)))
    parts, gathered = [Part(0, 7, 20), Part(7, 13, 20)], list[Tensor]()
    keys = Noise(0).uniform_like(z)

    def whole(own: Tensor) -> Tensor:
        gathered.append(own)
        return torch.stack([z, keys], 1)

    for part in parts:
        own = z.narrow(0, *part.range)
        context = Context(1.0, 20, Noise(0).for_part(part), whole)
        assert shuffle_dimensions(own, context).equal(shuffled.narrow(0, *part.range))
    assert torch.cat(gathered).equal(torch.stack([z, keys], 1))


def test_an_inference_with_two_levels_sums_them() -> None:
    x = images(5)
    inference = mlp_vae()(Batch(x), 4, Noise(0))
    twice = replace(inference, levels=inference.levels * 2)
    torch.testing.assert_close(twice.kl(), 2 * inference.kl())
    torch.testing.assert_close(twice.log_ratio(), 2 * inference.log_ratio())
