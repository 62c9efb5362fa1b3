"""MIG, SAP and DCI of codes for two factors that are worked out by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from vae_cli.data.dataset import Factors
from vae_cli.data.shapes import FACTORS, Shapes
from vae_cli.evaluation.disentanglement import (
    balanced_accuracy,
    dci,
    entropy,
    factor_figures,
    factor_vae_score,
    gap,
    information_matrix,
    mutual_information,
    sampled_information,
    to_bins,
)
from vae_cli.evaluation.figures import Absent, Figure
from vae_cli.model import DiagonalNormal

GRID = torch.cartesian_prod(torch.arange(2), torch.arange(4)).repeat(50, 1)  # a bit and two bits
KNOWN = Factors(("bit", "pair"), GRID, (("0", "1"), ("0", "1", "2", "3")))
SHARP = math.log(1e-6)  # log-variance of a posterior that is nearly a point


def figures_of(codes: Tensor) -> dict[str, float]:
    posterior = DiagonalNormal(codes, torch.full_like(codes, SHARP))
    found = factor_figures(posterior, KNOWN, seed=0)
    return {name: one.value for name, one in found.items() if isinstance(one, Figure)}


def test_a_latent_for_each_factor_is_perfect() -> None:
    codes = torch.cat([GRID.float(), torch.zeros(len(GRID), 1)], 1)
    found = figures_of(codes)
    assert found.pop("sap") == pytest.approx((0.5 + 0.75) / 2)  # the others guess 1/2 and 1/4
    assert found == pytest.approx(dict.fromkeys(found, 1.0), abs=1e-6)


def test_two_latents_with_the_same_factors_have_no_gap() -> None:
    both = (4 * GRID[:, 0] + GRID[:, 1]).float()
    found = figures_of(torch.stack([both, both], 1))
    for name in ("mig_chen", "mig_locatello", "sap"):
        assert found[name] == pytest.approx(0, abs=1e-6)
    # each latent has 1/3 of its information about the bit and 2/3 about the pair
    mixed = -(math.log(1 / 3) + 2 * math.log(2 / 3)) / 3 / math.log(2)
    assert found["dci_disentanglement"] == pytest.approx(1 - mixed)
    assert found["dci_completeness"] == pytest.approx(0)


def test_a_latent_that_is_half_of_a_factor_gives_half_of_the_gap() -> None:
    codes = torch.stack([GRID[:, 0], GRID[:, 1], GRID[:, 1] // 2], 1).float()
    found = figures_of(codes)
    # the bit has a gap of 1; the pair has 2 bits in one latent and 1 bit in another, of 2 bits
    assert found["mig_locatello"] == pytest.approx((1 + 0.5) / 2)
    assert found["mig_chen"] == pytest.approx((1 + 0.5) / 2, abs=1e-3)
    # the half predicts two of four values: 0.5; the bit's second latent guesses: 0.5
    assert found["sap"] == pytest.approx(((1 - 0.5) + (1 - 0.5)) / 2)


def test_a_rotation_of_the_latents_destroys_the_gap_but_not_the_information() -> None:
    straight = GRID.float()
    turned = straight @ torch.tensor([[0.8, 0.6], [-0.6, 0.8]])
    before, after = figures_of(straight), figures_of(turned)
    assert before["mig_locatello"] - after["mig_locatello"] > 0.3
    assert after["dci_informativeness"] == 1


def test_wide_posteriors_lower_only_the_gap_of_samples() -> None:
    codes = torch.cat([GRID.float(), torch.zeros(len(GRID), 1)], 1)
    wide = DiagonalNormal(codes, torch.zeros_like(codes))
    found = factor_figures(wide, KNOWN, seed=0)
    chen, locatello = found["mig_chen"], found["mig_locatello"]
    assert isinstance(chen, Figure)
    assert isinstance(locatello, Figure)
    assert locatello.value == pytest.approx(1)
    assert 0 < chen.value < 0.6


def test_the_information_of_samples_is_that_of_two_normals() -> None:
    # z ~ N(±1, 1) for a fair bit: I = 0.3369 nats, by numerical integration
    bit = torch.arange(4000) % 2
    means = (2.0 * bit - 1)[:, None]
    posterior = DiagonalNormal(means, torch.zeros_like(means))
    grid = torch.linspace(-12, 12, 100_001, dtype=torch.float64)
    normal = torch.distributions.Normal(torch.tensor([[1.0], [-1.0]]).double(), 1.0)
    density = normal.log_prob(grid).exp()
    ratio = density.log() - density.mean(0).log()
    expected = (density * ratio).sum(1).mean() * (grid[1] - grid[0])
    found = sampled_information(posterior, bit[:, None], seed=0)
    assert found.item() == pytest.approx(expected.item(), abs=0.02)


def test_the_parts_are_right_in_small_cases() -> None:
    first, second = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    assert entropy(first).item() == pytest.approx(math.log(2))
    assert mutual_information(first, first).item() == pytest.approx(math.log(2))
    assert mutual_information(first, second).item() == pytest.approx(0, abs=1e-12)
    assert to_bins(torch.tensor([0.0, 0.049, 0.051, 1.0])).tolist() == [0, 0, 1, 19]
    assert to_bins(torch.ones(3)).tolist() == [0, 0, 0]
    rare = torch.tensor([0, 0, 0, 1])  # always answering 0 is right for one of two values
    assert balanced_accuracy(torch.zeros(4, dtype=torch.int64), rare).item() == 0.5
    assert gap(torch.tensor([[0.9, 0.2], [0.5, 0.2], [0.1, 0.8]])) == pytest.approx(0.5)
    assert dci(torch.eye(3).double()) == pytest.approx((1, 1))
    assert dci(torch.zeros(3, 3).double()) == (0, 0)
    assert information_matrix(first[:, None].double(), second[:, None]).item() == 0


def test_the_votes_of_a_perfect_code_are_right_and_those_of_a_random_one_are_by_chance() -> None:
    """The latents of a perfect code may be permuted, scaled and doubled, and unused ones added."""
    generator = torch.Generator().manual_seed(0)
    factors = torch.stack(
        [torch.randint(count, (3000,), generator=generator) for count in (2, 3, 4, 5)], 1
    )
    noise = torch.randn(3000, 4, generator=generator, dtype=torch.float64)
    perfect = torch.tensor([3.0, -0.5, 20.0, 1.0]) * factors[:, [2, 0, 3, 1]].double()
    unused = 1e-3 * noise[:, :1]
    for code in (perfect, torch.cat([unused, perfect, perfect], 1)):
        assert factor_vae_score(code, factors, seed=0) == 1
    assert factor_vae_score(noise, factors, seed=0) == pytest.approx(1 / 4, abs=0.05)
    assert factor_vae_score(torch.zeros(3000, 4).double(), factors, seed=0) == 1 / 4
    # two factors in each of two latents: the first one of each pair of factors has its votes
    pairs = torch.stack([factors[:, 0] + factors[:, 1], factors[:, 2] + factors[:, 3]], 1).double()
    assert factor_vae_score(pairs, factors, seed=0) == pytest.approx(1 / 2, abs=0.05)


def test_the_score_of_a_middling_code_is_that_of_the_paper_word_by_word() -> None:
    """Kim & Mnih (2018), sec. 4, one vote after another, with numpy's own random numbers."""
    random = np.random.default_rng(0)
    factors = np.stack([random.integers(0, count, 3000) for count in (2, 4, 6)], 1)
    mixing = np.array([[1.0, 0.5, 0.2, 0.0], [0.1, 0.6, 0.5, 0.3], [0.5, 0.4, 0.3, 0.5]])
    means = factors @ mixing + 0.5 * random.normal(size=(3000, 4))

    def vote() -> tuple[int, int]:
        factor = random.integers(3)
        value = factors[random.integers(3000), factor]
        chosen = random.choice(np.flatnonzero(factors[:, factor] == value), 64)
        return int((means[chosen] / means.std(0)).var(0).argmin()), int(factor)

    counts = np.zeros((2, 4, 3), int)
    for half in counts:
        for _ in range(2000):
            half[vote()] += 1
    expected = counts[1][np.arange(4), counts[0].argmax(1)].sum() / 2000
    assert 0.4 < expected < 0.9
    found = factor_vae_score(torch.from_numpy(means), torch.from_numpy(factors), seed=0)
    assert found == pytest.approx(expected, abs=0.03)


def test_data_without_factors_have_a_reason_instead() -> None:
    posterior = DiagonalNormal(torch.zeros(4, 2), torch.zeros(4, 2))
    found = factor_figures(posterior, None, seed=0)
    assert all(isinstance(one, Absent) for one in found.values())


@pytest.mark.slow
def test_the_shapes_know_their_factors() -> None:
    dataset = Shapes(test_fraction=0.1)
    test = dataset.test()
    found = dataset.factors(test)
    assert found.names == tuple(FACTORS)
    assert torch.equal(found.values[:, 0], test.labels)
    assert found.values.max(0).values.tolist() == [count - 1 for count in FACTORS.values()]
