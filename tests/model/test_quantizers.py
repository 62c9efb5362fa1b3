"""Quantizers: codes and their gradients, the moving averages of a codebook, and its start."""

import math

import pytest
import torch
from torch import Generator, Tensor

from vae_cli.model import FiniteScalarQuantizer, Quantizer, VectorQuantizer
from vae_cli.model.quantizers import (
    find_centres,
    gather_statistics,
    rotate,
    straight_through,
    sum_by_place,
)
from vae_cli.noise import Noise, Part

VALID = torch.tensor(True)


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


def started(size: int, dim: int, x: Tensor, **settings: float) -> VectorQuantizer:
    quantizer = VectorQuantizer(size, dim, **settings)
    quantizer.start(x, len(x), Noise(0))
    return quantizer


@pytest.mark.parametrize(
    "quantizer",
    [
        VectorQuantizer(16, 3),
        VectorQuantizer(16, 3, stages=3, is_rotated=True),
        FiniteScalarQuantizer((2, 3, 8)),
    ],
)
def test_codes_stand_for_the_values_exactly_and_the_gradient_reaches_the_vectors(
    quantizer: Quantizer,
) -> None:
    x = (2 * draw(50, 3)).requires_grad_()
    found = quantizer(x)
    assert found.values.equal(quantizer.embed(found.codes))
    assert found.codes.shape == (50, quantizer.stages)
    assert 0 <= int(found.codes.min()) <= int(found.codes.max()) < quantizer.size
    (gradient,) = torch.autograd.grad(found.values.sum(), x)
    assert bool((gradient != 0).all())


def test_the_nearest_code_is_found_and_each_stage_leaves_less() -> None:
    x = draw(200, 4)
    quantizer = started(8, 4, x, stages=3)
    found = quantizer(x)
    distances = (x[:, None] - quantizer.codebooks[0]).square().sum(-1)
    assert found.codes[:, 0].equal(distances.argmin(1))
    assert found.rests is not None
    assert found.commitment is not None
    left = [*found.rests.square().sum(-1).unbind(1), (x - found.values).square().sum(-1)]
    torch.testing.assert_close(found.commitment, torch.stack(left[1:]).sum(0))
    means = [one.mean() for one in left]
    assert means == sorted(means, reverse=True)


def test_the_levels_of_a_finite_scalar_quantizer_are_all_reached_and_evenly_spaced() -> None:
    """Of 8, 5 and 2 levels; 0 is one of the odd ones, and each combination has its own number."""
    quantizer = FiniteScalarQuantizer((8, 5, 2))
    x = torch.linspace(-9, 9, 2001)[:, None].expand(-1, 3)
    values = quantizer(x).values
    for place, expected in enumerate(
        ([-1, -0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75], [-1, -0.5, 0, 0.5, 1], [-1, 0])
    ):
        assert values[:, place].unique().tolist() == expected
    every = quantizer.embed(torch.arange(80)[:, None])
    assert len(every.unique(dim=0)) == quantizer.size == 80
    back = torch.where(every >= 1, 9.0, (every * torch.tensor([4.0, 2, 1])))
    assert every.shape == back.shape
    assert quantizer(torch.zeros(1, 3)).values[0, 1] == 0


def test_the_gradient_of_a_rotation_keeps_its_angle_to_the_code() -> None:
    """It is λ Rᵀ g, with a rotation in the plane of both vectors that turns one into the other."""
    x, values, gradient = draw(6, 5), draw(6, 5, seed=1), draw(6, 5, seed=2)
    x.requires_grad_()
    (turned,) = torch.autograd.grad(rotate(x, values), x, gradient)
    length, norm = x.norm(dim=1), values.norm(dim=1)
    torch.testing.assert_close(turned.norm(dim=1), gradient.norm(dim=1) * norm / length)
    torch.testing.assert_close((turned * x).sum(1), (gradient * values).sum(1))
    (straight,) = torch.autograd.grad(straight_through(x, values), x, gradient)
    assert straight.equal(gradient)
    (same,) = torch.autograd.grad(rotate(x, 2 * x.detach()), x, gradient)
    torch.testing.assert_close(same, 2 * gradient)


def test_a_codebook_is_the_moving_average_of_the_vectors_of_each_code() -> None:
    """Van den Oord et al. (2017), appendix A.1, with averages of counts and of sums."""
    x = draw(40, 2)
    quantizer = started(4, 2, x, decay=0.9, restart=0.0)
    count, total = quantizer.usage[0], quantizer.usage[0, :, None] * quantizer.codebooks[0]
    for seed in range(5):
        batch = draw(30, 2, seed=seed)
        found = quantizer(batch)
        assert found.rests is not None
        chosen = torch.nn.functional.one_hot(found.codes[:, 0], 4).float()
        count = 0.9 * count + 0.1 * chosen.sum(0)
        total = 0.9 * total + 0.1 * chosen.T @ batch
        statistics = gather_statistics(found.rests[:, None], found.codes[:, None], 4, Noise(seed))
        quantizer.absorb(statistics, VALID)
    torch.testing.assert_close(quantizer.usage[0], count)
    torch.testing.assert_close(quantizer.codebooks[0], total / count[:, None])


def test_a_dead_code_starts_again_as_a_vector_of_the_batch_and_others_stay_close() -> None:
    quantizer = VectorQuantizer(3, 2, decay=0.5, restart=0.2)
    quantizer.codebooks[0] = torch.tensor([[0.0, 0.0], [10.0, 10.0], [90.0, 90.0]])
    x = torch.tensor([[0.0, 0.1], [10.0, 10.1]]).repeat(20, 1)
    for seed in range(9):
        found = quantizer(x)
        assert found.rests is not None
        statistics = gather_statistics(found.rests[:, None], found.codes[:, None], 3, Noise(seed))
        quantizer.absorb(statistics, VALID)
    assert bool((quantizer.codebooks[0, :, None] - x).norm(dim=-1).min(1).values.lt(0.2).all())


def test_nothing_is_learned_from_a_step_whose_loss_is_not_finite() -> None:
    quantizer = VectorQuantizer(3, 2)
    before = {name: one.clone() for name, one in quantizer.state_dict().items()}
    found = quantizer(torch.full((4, 2), math.nan))
    assert found.rests is not None
    statistics = gather_statistics(found.rests[:, None], found.codes[:, None], 3, Noise(0))
    quantizer.absorb(statistics, torch.tensor(False))
    for name, one in quantizer.state_dict().items():
        assert one.equal(before[name])


def test_the_statistics_of_the_parts_of_a_batch_add_up_to_those_of_the_whole() -> None:
    """Also the candidates, of which each is a vector of one part; whatever the parts are."""
    rests, codes = draw(7, 3, 2, 4), torch.randint(5, (7, 3, 2), generator=Generator())
    whole = gather_statistics(rests, codes, 5, Noise(1))
    assert {name: tuple(one.shape) for name, one in whole.items()} == {
        "counts": (2, 5),
        "sums": (2, 5, 4),
        "candidates": (2, 5, 4),
    }
    vectors = rests.flatten(0, 1)
    for stage in range(2):
        near = whole["candidates"][stage][:, None] == vectors[:, stage]
        assert bool(near.all(-1).any(1).all())
    parts = [Part(0, 2, 7), Part(2, 4, 7), Part(6, 1, 7)]
    processes = [Noise(1).for_part(part) for part in parts]
    for sources in (processes, Noise(1).for_parts(parts)):
        found = [
            gather_statistics(rests[p.start :][: p.length], codes[p.start :][: p.length], 5, noise)
            for p, noise in zip(parts, sources, strict=True)
        ]
        for name, one in whole.items():
            torch.testing.assert_close(torch.stack([some[name] for some in found]).sum(0), one)


def test_sums_by_place_are_those_of_a_loop() -> None:
    rows, places = draw(20, 3), torch.randint(6, (20,), generator=Generator().manual_seed(0))
    for place, total in enumerate(sum_by_place(rows, places, 6)):
        torch.testing.assert_close(total, rows[places == place].sum(0))


def test_k_means_finds_clusters_that_are_apart() -> None:
    centres = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0], [9.0, 9.0]])
    x = centres.repeat(50, 1) + 0.1 * draw(200, 2)
    best = min(
        (x[:, None] - find_centres(x, 4, Noise(seed))[0]).square().sum(-1).min(1).values.mean()
        for seed in range(5)
    )
    assert best < 0.03
    found, counts = find_centres(x, 16, Noise(0))
    assert counts.sum() == 200
    assert (x[:, None] - found).square().sum(-1).min(1).values.mean() < 0.02
