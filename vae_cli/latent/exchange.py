"""Exchange some latents between two items."""

from collections.abc import Sequence

from torch import Tensor


def exchange(latents: Tensor, dims: Sequence[int]) -> Tensor:
    """The latents `(2, D)` of two items with the values of some dimensions exchanged.

    Example:
        >>> import torch
        >>> exchange(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), [1])
        tensor([[1., 4.],
                [3., 2.]])
    """
    exchanged = latents.clone()
    exchanged[:, dims] = latents.flip(0)[:, dims]
    return exchanged
