"""The log-sum-exp of mixtures against torch's."""

import math

import pytest
import torch

from vae_cli.model import log_sum_exp


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("spread", [1, 30, 2000])
def test_it_is_torchs_with_the_same_gradient(dtype: torch.dtype, spread: float) -> None:
    values = (spread * torch.randn(7, 50, 3, dtype=dtype)).requires_grad_()
    for dim in (0, 1, -1):
        ours, torchs = log_sum_exp(values, dim), values.logsumexp(dim)
        torch.testing.assert_close(ours, torchs)
        torch.testing.assert_close(
            *(torch.autograd.grad(total.sum(), values)[0] for total in (ours, torchs))
        )


def test_values_that_are_minus_infinity_add_nothing() -> None:
    values = torch.tensor([[-math.inf, -math.inf], [-math.inf, -3.0]])
    assert log_sum_exp(values, 1).tolist() == [-math.inf, -3.0]
    assert log_sum_exp(torch.tensor([0.0, math.nan]), 0).isnan()
