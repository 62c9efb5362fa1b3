"""Components that a program passes: what their classes say holds for modules of them too."""

from typing import ClassVar

import pytest
import torch
from torch import nn

from vae_cli.data.batch import Batch
from vae_cli.data.dataset import Spec
from vae_cli.errors import UsageError
from vae_cli.model import Context, Inference, Loss, Objective
from vae_cli.settings import choose, merge
from vae_cli.settings.given import give

SPEC = Spec("digits", (1, 16, 16))


class Narrow(Objective):
    """The distortion alone, of normal posteriors alone."""

    takes: ClassVar[tuple[str, ...]] = ("normal",)

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        """The loss."""
        distortion = inference.likelihood.distortion(batch.x)[0]
        return Loss({"model": distortion.mean()}, {"kl": inference.kl()}, len(batch))


class Unnamed(Narrow):
    """The same with a parameter that is no setting, so that no file can make it again."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.scale = nn.Parameter(weights)


def test_what_a_class_says_holds_for_its_modules_too() -> None:
    for given in (Narrow, Narrow(), Unnamed(torch.ones(2))):
        objective = give("objective", given)
        choose(merge(("", {"objective": objective})), SPEC).check(SPEC)
        for other in ({"posterior": {"name": "full"}}, {"model": {"network": "two-level"}}):
            plan = choose(merge(("", {"objective": objective, **other})), SPEC)
            with pytest.raises(UsageError, match=r"is not defined for|is for one level"):
                plan.check(SPEC)
