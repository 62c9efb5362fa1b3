"""M2, the semi-supervised model: the class of an item is a latent variable where it is not known.

    p(x, y, z) = p(y) p(z) p(x|z, y)       q(z|x, y) q(y|x)      q(y|x) is a classifier

Kingma, Rezende, Mohamed & Welling (2014, https://arxiv.org/abs/1406.5298) bound the log-likelihood
of an item with its class (eq. 6), and of one without (eq. 7), from which the class is summed out:

    L(x, y) = − E_q(z|x,y) [log p(x|z, y)] + KL(q(z|x, y) ‖ p(z)) − log p(y)   ≥ − log p(x, y)
    U(x)    = Σ_y q(y|x) L(x, y) − H(q(y|x))                                   ≥ − log p(x)

The classifier would learn from items without a class alone. Those with one teach it by the
cross-entropy, with a weight α (eq. 9):

    J = Σ_labelled (L(x, y) − α log q(y|x)) + Σ_unlabelled U(x)

All classes have the same p(y). The paper sets α = 0.1 N / N_labelled.
"""

import math
from collections.abc import Callable
from typing import final

import torch
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.model.inference import Inference
from vae_cli.model.objectives.objective import Context, Loss, Objective


@final
class NegativeM2(Objective):
    """The loss of M2, for a model that has a classifier, and the class of an item as its condition.

    In a training, an item is encoded and decoded once with each class, whether its own is known or
    not, so that a step is the same for every batch. The inference that an objective is given is
    used in an evaluation alone, if the classes of all items are known.

    Args:
        classify: items `(B, ...)` to log q(y|x) of each class up to a constant, `(B, C)`.
        classes: C.
        alpha: α, the weight of the cross-entropy of an item whose class is known.
    """

    terms = ("kl", "accuracy")
    partial_terms = ("accuracy",)

    def __init__(self, classify: Callable[[Tensor], Tensor], classes: int, alpha: float) -> None:
        super().__init__()
        self.classify, self.classes, self.alpha = classify, classes, alpha

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        """The loss of a batch."""
        assert batch.y is not None
        own, hidden = batch.y[:, : self.classes], batch.y[:, self.classes]
        log_q = self.classify(batch.x).log_softmax(-1)
        weights = torch.where(hidden[:, None] > 0, log_q.exp(), own)  # 0 or 1 of a known class
        if self.training or context.whole(hidden).any():
            distortion, kl = ((weights * each).sum(-1) for each in self.compare(batch, context))
        else:  # the inference is that of the classes of all items
            distortion, kl = inference.likelihood.distortion(batch.x)[0], inference.kl()
        cost = distortion + context.warmup * kl + math.log(self.classes)
        entropy = -(log_q.exp() * log_q).sum(-1)
        cross_entropy = -(own * log_q).sum(-1)  # 0 of an item without a class
        loss = cost - hidden * entropy + self.alpha * cross_entropy
        is_right = (log_q.argmax(-1) == own.argmax(-1)).to(cost.dtype)
        terms = {
            "kl": kl,
            "accuracy": torch.where(hidden > 0, torch.nan, is_right),
            inference.likelihood.distortion_name: distortion,
        }
        return Loss(
            losses={"model": loss.mean()},
            terms={name: term.detach() for name, term in terms.items()},
            items=len(batch),
        )

    def compare(self, batch: Batch, context: Context) -> tuple[Tensor, Tensor]:
        """The distortion and the KL of every item with each class: `(B, C)` each."""
        assert batch.y is not None
        assert context.infer is not None
        distortions, kls = [], []
        for y in torch.eye(self.classes, batch.y.shape[1], device=batch.y.device):
            found = context.infer(Batch(batch.x, y.expand_as(batch.y)), 1)
            distortions.append(found.likelihood.distortion(batch.x)[0])
            kls.append(found.kl())
        return torch.stack(distortions, -1), torch.stack(kls, -1)
