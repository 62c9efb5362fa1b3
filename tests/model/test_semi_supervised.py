"""M2 against the formulas of Kingma et al. (2014), for one item and one class at a time."""

import math
from functools import partial

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from vae_cli.data.batch import Batch
from vae_cli.data.columns import Column
from vae_cli.data.dataset import Spec
from vae_cli.model import VAE, Context, Loss, NegativeM2
from vae_cli.noise import Noise
from vae_cli.settings import choose, merge

KINDS = ("Bag", "Coat", "Shirt")
CLASSES = len(KINDS)
LABEL = Column(name="label", kind="category", categories=KINDS)
SPEC = Spec("digits", (1, 16, 16), classes=KINDS, condition=(LABEL,))
ALPHA, WARMUP, NONE = 7.0, 0.6, math.nan


def m2(network: str = "mlp") -> tuple[VAE, NegativeM2]:
    """A small model and its objective."""
    small = {"hidden": [6]} if network == "mlp" else {}
    tables = {
        "model": {"network": network, "latent_dim": 2, **small},
        "objective": {"name": "m2", "classifier_weight": ALPHA},
    }
    plan = choose(merge(("", tables)), SPEC)
    plan.check(SPEC)
    torch.manual_seed(0)
    model = plan.build_model(SPEC)
    objective = plan.objective.build(model)
    assert isinstance(model, VAE)
    assert isinstance(objective, NegativeM2)
    return model, objective


def batch_of(model: VAE, labels: list[float]) -> Batch:
    assert model.condition is not None
    x = torch.rand(len(labels), *SPEC.shape, generator=Generator().manual_seed(0))
    return Batch(x, model.condition.encode(torch.tensor(labels).double()[:, None]))


def lose(model: VAE, objective: NegativeM2, batch: Batch) -> Loss:
    """The loss, with the modes of the posteriors in place of samples."""
    inference = model.infer(batch)
    context = Context(WARMUP, 100, Noise(0), infer=partial(model.infer, noise=None))
    loss: Loss = objective(batch, inference, context)
    return loss


def labelled_bound(model: VAE, x: Tensor, y: int) -> Tensor:
    """L(x, y) of one item `(1, ...)`: eq. 6, without the constant of the likelihood."""
    one_hot = F.one_hot(torch.tensor([y]), CLASSES + 1).float()  # the last is for what is unknown
    hidden = torch.relu(model.encoder.layers[0](torch.cat([x.flatten(1), one_hot], 1)))
    mean, log_variance = model.encoder.project(hidden)[0].split(2)
    kl = (mean**2 + log_variance.exp() - 1 - log_variance).sum() / 2
    hidden = torch.relu(model.decoder.layers[0](torch.cat([mean[None], one_hot], 1)))
    pixels = model.decoder.project(hidden).sigmoid()
    distortion = ((pixels - x.flatten(1)) ** 2).sum()
    return distortion + WARMUP * kl - math.log(1 / CLASSES)


def reference(model: VAE, x: Tensor, label: float) -> Tensor:
    """The loss of one item: L(x, y) − α log q(y|x), or U(x) without a label: eqs. 7 to 9."""
    hidden = torch.relu(model.classifier.layers[0](x.flatten(1)))
    q = torch.softmax(model.classifier.project(hidden)[0], 0)
    if not math.isnan(label):
        return labelled_bound(model, x, int(label)) - ALPHA * q[int(label)].log()
    costs = torch.stack([labelled_bound(model, x, y) for y in range(CLASSES)])
    return (q * costs).sum() + (q * q.log()).sum()


@pytest.mark.parametrize("labels", [[0.0, 2.0, 1.0], [NONE, NONE], [1.0, NONE, 0.0, NONE]])
def test_the_loss_and_its_gradient_are_those_of_the_paper(labels: list[float]) -> None:
    model, objective = m2()
    batch = batch_of(model, labels)
    items = zip(batch.x.split(1), labels, strict=True)
    expected = torch.stack([reference(model, x, label) for x, label in items]).mean()
    loss = lose(model, objective, batch).losses["model"]
    torch.testing.assert_close(loss, expected)
    parameters = [one for one in model.parameters() if one.requires_grad]
    found, wanted = (
        torch.autograd.grad(value, parameters, allow_unused=True) for value in (loss, expected)
    )
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_terms_are_those_of_the_own_class_or_the_mean_over_classes_and_some_have_no_accuracy() -> (
    None
):
    model, objective = m2()
    batch = batch_of(model, [1.0, NONE])
    terms = lose(model, objective, batch).terms
    assert terms.keys() == {"kl", "mse", "accuracy"}
    probabilities = model.classifier(batch.x).softmax(-1)
    assert terms["accuracy"][0] == (probabilities[0].argmax() == 1)
    assert terms["accuracy"][1].isnan()
    assert model.condition is not None
    kls = torch.stack(
        [
            model.infer(Batch(batch.x, model.condition.encode(torch.full((2, 1), y).double()))).kl()
            for y in (0.0, 1.0, 2.0)
        ],
        1,
    )
    torch.testing.assert_close(terms["kl"][0], kls[0, 1])
    torch.testing.assert_close(terms["kl"][1], (probabilities[1] * kls[1]).sum())


def test_an_item_without_a_label_costs_less_than_with_the_one_that_costs_most() -> None:
    """U(x) is a bound on log p(x), which sums over the classes: U ≥ −log Σ_y exp −L(x, y)."""
    model, objective = m2("conv")
    batch = batch_of(model, [NONE] * 4)
    loss = lose(model, objective, batch)
    each = [batch_of(model, [y] * 4) for y in (0.0, 1.0, 2.0)]
    free = NegativeM2(model.classifier.__call__, CLASSES, 0.0)
    costs = torch.stack(
        [lose(model, free, Batch(batch.x[:1], one.y[:1])).losses["model"] for one in each]
    )
    first = lose(model, objective, batch[:1]).losses["model"]
    assert -torch.logsumexp(-costs, 0) <= first <= costs.max() + math.log(CLASSES)
    assert loss.losses["model"].isfinite()


def test_outside_of_a_training_an_item_without_a_label_has_the_one_that_the_classifier_finds() -> (
    None
):
    model, _ = m2()
    batch = batch_of(model, [0.0, NONE, NONE])
    assert torch.equal(model.train().classify(batch).y, batch.y)
    found = model.eval().classify(batch)
    classes = model.classifier(batch.x).argmax(1).tolist()
    assert found.y.tolist() == F.one_hot(torch.tensor([0, *classes[1:]]), CLASSES + 1).tolist()
    means = [
        model.infer(Batch(batch.x, y)).likelihood.mean
        for y in (None, model.classify(Batch(batch.x)).y)
    ]
    assert torch.equal(*means)


def test_an_item_is_classified_once_in_a_pass() -> None:
    model, _ = m2()
    batch, calls = batch_of(model, [NONE, 1.0]), list[Tensor]()
    assert model.classifier is not None
    model.classifier.register_forward_hook(lambda _module, _x, scores: calls.append(scores))
    model.eval().infer(batch)
    assert len(calls) == 1
