"""Numbers of latent dimensions, as they are typed."""

from typing import TYPE_CHECKING

from vae_cli.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor


def parse_dims(words: list[str], kl_by_dim: "Tensor") -> list[int]:
    """The dimensions that were asked for; `all` means every one, sorted by KL.

    Args:
        words: each is a number, several as in `1,2`, or `all`.
        kl_by_dim: of all dimensions, `(D,)`.

    Raises:
        UsageError: a word is not a number, or it is out of range.
    """
    words = [part.strip() for word in words for part in word.split(",")]
    if words == ["all"]:
        return kl_by_dim.argsort(descending=True).tolist()
    if "all" in words:
        raise UsageError("--dim all stands alone: it is every dimension already")
    count = len(kl_by_dim)
    allowed = set(map(str, range(count)))
    for word in words:
        if word not in allowed:
            raise UsageError(f"--dim {word}: choose 0 to {count - 1}, or all")
    return [int(word) for word in words]
