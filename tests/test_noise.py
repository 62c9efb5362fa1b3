"""Random numbers: independent streams, and a part of a batch that has its part of the noise."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from vae_cli.noise import Noise, Part, derive_seed

CHANNELS_LAST = torch.rand(7, 3, 4, 5).to(memory_format=torch.channels_last)
DRAWS: dict[str, tuple[int, Callable[[Noise, slice], Tensor]]] = {
    "normal": (1, lambda noise, own: noise.normal((3, len(range(7)[own]), 5), 1)),
    "normal_like": (0, lambda noise, own: noise.normal_like(CHANNELS_LAST[own])),
    "uniform_like": (0, lambda noise, own: noise.uniform_like(CHANNELS_LAST[own], -1, 1)),
    "exponential_like": (0, lambda noise, own: noise.exponential_like(CHANNELS_LAST[own])),
    "bernoulli": (0, lambda noise, own: noise.bernoulli(CHANNELS_LAST[own])),
    "integers": (0, lambda noise, own: noise.integers(1000, len(range(7)[own]))),
    "choice": (0, lambda noise, own: noise.choice(torch.rand(50), len(range(7)[own]))),
}


def test_the_parts_of_a_batch_have_together_the_noise_of_the_whole() -> None:
    """Also if they are unequal; afterwards, all generators are in the same state."""
    for name, (axis, draw) in DRAWS.items():
        torch.manual_seed(0)
        whole = Noise(3)
        expected = draw(whole, slice(0, 7))
        parts = []
        for start, end in ((0, 4), (4, 7)):
            torch.manual_seed(0)
            noise = Noise(3).for_part(Part(start, end - start, 7))
            parts.append(draw(noise, slice(start, end)))
            assert noise.state().equal(whole.state()), name
        assert torch.cat(parts, axis).equal(expected), name


def test_parts_one_after_another_have_the_noise_of_the_whole() -> None:
    """Each part makes all draws before the next one makes its first."""
    whole, source = Noise(3), Noise(3)
    expected = []
    for name, (axis, draw) in DRAWS.items():
        torch.manual_seed(0)
        noise = whole.for_parts([Part(0, 7, 7)])[0] if name == "bernoulli" else whole
        expected.append((axis, draw(noise, slice(0, 7))))
    found = []
    parts = [Part(0, 2, 7), Part(2, 4, 7), Part(6, 1, 7)]
    for part, noise in zip(parts, source.for_parts(parts), strict=True):
        found.append([])
        for _, draw in DRAWS.values():
            torch.manual_seed(0)
            found[-1].append(draw(noise, slice(part.start, part.start + part.length)))
    for name, (axis, tensor), *drawn in zip(DRAWS, expected, *found, strict=True):
        assert torch.cat(drawn, axis).equal(tensor), name
    assert source.state().equal(whole.state())


def test_parts_of_any_layout_have_the_noise_of_the_whole() -> None:
    """Also of expanded and strided tensors, and if a part has one item alone."""
    column, cube = torch.rand(7, 1), torch.rand(3, 7, 5)
    layouts = {
        "samples that are expanded": (1, column[None].expand(3, -1, 5)),
        "values that are expanded": (0, column.expand(-1, 5)),
        "items that are expanded": (0, torch.rand(3, 5).expand(7, -1, -1)),
        "all expanded": (1, torch.rand(()).expand(3, 7, 5)),
        "a number of each item": (1, cube[:1].expand(3, -1, -1)[..., 0]),
        "every second value": (1, cube[..., ::2]),
        "items within samples": (0, cube.transpose(0, 1)),
        "items innermost": (0, torch.rand(5, 7).T),
        "channels last": (0, CHANNELS_LAST),
        "one channel of several": (0, CHANNELS_LAST[:, :1]),
    }
    for name, (axis, x) in layouts.items():
        for kind in ("normal_like", "uniform_like", "exponential_like", "bernoulli"):
            expected = getattr(Noise(3), kind)(x, batch_axis=axis)
            parts = []
            for part in (Part(0, 4, 7), Part(4, 1, 7), Part(5, 2, 7)):
                own = x.narrow(axis, *part.range)
                parts.append(getattr(Noise(3, part=part), kind)(own, batch_axis=axis))
            assert torch.cat(parts, axis).equal(expected), (name, kind)


def test_a_shape_that_is_not_that_of_the_part_is_refused() -> None:
    with pytest.raises(ValueError, match="has not 4 items"):
        Noise(0, part=Part(0, 4, 7)).normal((3, 4, 5), 0)


def test_a_source_draws_what_its_generator_draws() -> None:
    generator = torch.Generator().manual_seed(5)
    noise = Noise(5)
    assert noise.normal((3, 4)).equal(torch.empty(3, 4).normal_(generator=generator))
    assert noise.bernoulli(CHANNELS_LAST).equal(torch.bernoulli(CHANNELS_LAST, generator=generator))
    like = torch.empty_like(CHANNELS_LAST)
    assert noise.normal_like(CHANNELS_LAST).equal(like.normal_(generator=generator))


def test_a_restored_source_draws_the_same_again_also_in_a_trace() -> None:
    noise = Noise(None)
    before = noise.state()
    traced = make_fx(lambda x: x + noise.normal(x.shape))(torch.zeros(20))
    noise.restore(before)
    expected = torch.ones(20) + noise.normal((20,))
    noise.restore(before)
    assert traced(torch.ones(20)).equal(expected)
    assert not traced(torch.ones(20)).equal(expected)


def test_two_sources_without_a_seed_differ() -> None:
    assert not Noise(None).normal((4,)).equal(Noise(None).normal((4,)))


def test_streams_of_one_seed_are_independent() -> None:
    """Their first numbers are not correlated, whatever the names and numbers are."""
    names = ("weights", "noise", "order", "evaluation")
    seeds = {derive_seed(seed, name, n) for seed in range(5) for name in names for n in range(5)}
    assert len(seeds) == 100
    drawn = torch.stack([Noise(seed).normal((1000,)) for seed in sorted(seeds)])
    correlation = torch.corrcoef(drawn) - torch.eye(100)
    assert correlation.abs().max() < 0.17  # five standard deviations of 1 / √1000
