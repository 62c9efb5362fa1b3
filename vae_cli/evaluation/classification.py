"""How often the classifier of a semi-supervised model finds the class of an item."""

import torch
from torch import Tensor

from vae_cli.data.batch import Batch
from vae_cli.data.split import InMemory
from vae_cli.evaluation.figures import Absent, Figures, figures_of_first, share
from vae_cli.evaluation.sharing import collect_rows
from vae_cli.model import LatentModel
from vae_cli.training.world import ALONE, World

NAME = "classifier_accuracy"
DEFINITION = "share of items whose class is the most probable by q(y|x), the model's classifier"
UNKNOWN = -1.0  # whether the class of an item is found that is not known


@torch.no_grad()
def classifier_figures(model: LatentModel, test: InMemory, world: World = ALONE) -> Figures:
    """The accuracy of the model's classifier for the items with a class; nothing if it has none."""
    if model.classifier is None:
        return {}
    classify = model.classifier

    def is_found(batch: Batch) -> Tensor:
        if batch.y is None:
            return torch.full((len(batch),), UNKNOWN)
        found = (classify(batch.x).argmax(-1) == batch.y[:, :-1].argmax(-1)).float()
        return torch.where(batch.y[:, -1] > 0, UNKNOWN, found).cpu()

    rows = collect_rows(test, is_found, model.device, world)
    return figures_of_first(lambda: accuracy_of(rows[rows != UNKNOWN]), world)


def accuracy_of(is_found: Tensor) -> Figures:
    """The share of the items `(N,)` whose class is found."""
    if not len(is_found):
        return {NAME: Absent("no item has a class")}
    return {NAME: share(is_found, DEFINITION)}
