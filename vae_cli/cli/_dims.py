"""Numbers of latent dimensions, as they are typed."""

from typing import TYPE_CHECKING

from vae_cli.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor


def parse_dims(words: list[str], kl_by_dim: "Tensor") -> list[int]:
    """The dimensions that were asked for; `all` and `active` are sorted by KL.

    Args:
        words: each is a number, several as in `1,2`, or `all`, or `active` for those with a KL.
        kl_by_dim: of all dimensions, `(D,)`.

    Raises:
        UsageError: a word is not a number, or it is out of range.
    """
    words = [part.strip() for word in words for part in word.split(",")]
    if words == ["all"]:
        return kl_by_dim.argsort(descending=True).tolist()
    if words == ["active"]:
        return active_dims(kl_by_dim)
    if "all" in words:
        raise UsageError("--dim all stands alone: it is every dimension already")
    if "active" in words:
        raise UsageError("--dim active stands alone: it is every dimension with a KL already")
    count = len(kl_by_dim)
    allowed = set(map(str, range(count)))
    for word in words:
        if word not in allowed:
            raise UsageError(f"--dim {word}: choose 0 to {count - 1}, or all")
    return [int(word) for word in words]


def active_dims(kl_by_dim: "Tensor") -> list[int]:
    """The dimensions that carry information, sorted by their KL `(D,)`; may be empty."""
    from vae_cli.training import ACTIVE_THRESHOLD

    return [
        dim
        for dim in kl_by_dim.argsort(descending=True).tolist()
        if kl_by_dim[dim] > ACTIVE_THRESHOLD
    ]
