"""How strange items are: scores, percentiles and code lengths."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from vae_cli.errors import UsageError
from vae_cli.evaluation.likelihood import encode
from vae_cli.evaluation.scores import (
    Measures,
    choose_score,
    compute_score,
    fit_line,
    join,
    measure,
    neighbour_distances,
    percentiles,
    png_lengths,
)


def measures(bound: Tensor, code: Tensor) -> Measures:
    zeros = torch.zeros_like(bound)
    return Measures(bound=bound, distortion=zeros, kl=zeros, distance=zeros, code=code)


def test_with_the_exact_posterior_the_score_is_the_negative_log_likelihood(exact: Any) -> None:
    train = encode(exact.model, exact.split).mean
    found = measure(exact.model, exact.split, train, 3, 0)
    score = compute_score("likelihood", found, found)
    torch.testing.assert_close(score, -exact.log_likelihood, rtol=1e-9, atol=1e-6)
    assert len(found.code) == 0


def test_a_score_does_not_depend_on_the_other_items(exact: Any) -> None:
    train = encode(exact.model, exact.split).mean
    order = torch.tensor([7, 3, 250])
    every = measure(exact.model, exact.split, train, 3, 0)
    some = measure(exact.model, exact.split.take(order), train, 3, 0)
    for name in ("bound", "distortion", "kl", "distance"):
        torch.testing.assert_close(getattr(some, name), getattr(every, name)[order])


def test_the_adjusted_score_of_held_out_items_has_nothing_to_do_with_their_length() -> None:
    generator = Generator().manual_seed(0)
    code = torch.rand(500, generator=generator, dtype=torch.float64)
    noise = torch.randn(500, generator=generator, dtype=torch.float64)
    held_out = measures(-(100 + 30 * code + noise), code)
    score = compute_score("adjusted", held_out, held_out)
    assert abs(score.mean()) < 1e-9
    assert abs((score * (code - code.mean())).sum()) < 1e-7
    assert fit_line(code, -held_out.bound)[0] == pytest.approx(30, abs=0.5)
    simple = measures(torch.tensor([-100.0]).double(), torch.tensor([0.0]).double())
    elaborate = measures(torch.tensor([-100.0]).double(), torch.tensor([1.0]).double())
    assert compute_score("adjusted", simple, held_out) > compute_score(
        "adjusted", elaborate, held_out
    )


def test_a_line_through_points_of_one_length_is_flat() -> None:
    assert fit_line(torch.ones(3).double(), torch.tensor([1.0, 2.0, 6.0]).double()) == (0.0, 3.0)


def test_percentiles_count_the_held_out_items_below() -> None:
    held_out = torch.tensor([3.0, 1.0, 2.0, 4.0])
    scores = torch.tensor([0.0, 1.0, 2.5, 9.0])
    assert percentiles(scores, held_out).tolist() == [0, 0, 50, 100]


def test_the_distance_is_the_mean_of_the_nearest() -> None:
    train = torch.tensor([[0.0], [1], [2], [3], [4], [100]])
    assert neighbour_distances(torch.tensor([[0.0], [-1.0]]), train).tolist() == [2, 3]
    assert neighbour_distances(torch.tensor([[5.0]]), train[:1]).tolist() == [5]


@pytest.mark.parametrize("channels", [1, 3])
def test_noise_needs_a_longer_code_than_one_grey_value(channels: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (4, channels, 28, 28), np.uint8)
    grey = np.full((4, channels, 28, 28), 90, np.uint8)
    lengths = png_lengths(torch.from_numpy(np.concatenate([noise, grey])) / 255)
    entropy = channels * 28 * 28 * np.log(256)
    assert (lengths[:4] - entropy).abs().max() < 0.05 * entropy
    assert lengths[4:].max() < 0.1 * entropy
    assert lengths.min() > 0


def test_rows_have_no_code_length() -> None:
    assert choose_score(None, is_image=False) == "likelihood"
    assert choose_score(None, is_image=True) == "adjusted"
    with pytest.raises(UsageError, match="by=adjusted: rows of a table have no PNG"):
        choose_score("adjusted", is_image=False)
    with pytest.raises(UsageError, match=r"by=kI: must be adjusted, .*, kl or neighbours"):
        choose_score("kI", is_image=True)


def test_parts_are_joined_in_their_order() -> None:
    first, second = (measures(torch.tensor([x]), torch.tensor([x])) for x in (1.0, 2.0))
    assert join([first, second]).bound.tolist() == [1, 2]
