"""How a finished run is compared with one item for all."""

from types import SimpleNamespace

import pytest
import torch
from models import conditional_vae, mlp_vae

from vae_cli.data.columns import Column
from vae_cli.data.dataset import Spec
from vae_cli.data.split import InMemory
from vae_cli.model import Condition, ImageCodec
from vae_cli.model.table_codec import RowLayout, fit_codec
from vae_cli.runs.previews import COLUMNS, choose_samples, compare_with_mean


def test_each_held_out_item_is_reconstructed_with_its_own_condition() -> None:
    images = torch.rand(20, 1, 6, 5, generator=torch.Generator().manual_seed(0))
    classes = torch.arange(20) % 4
    split = InMemory(images, torch.arange(20), torch.empty(0), condition=classes)
    resolved = SimpleNamespace(train=split, test=split, codec=ImageCodec())
    model = conditional_vae(classes=4).eval()
    found = compare_with_mean(model, resolved)
    with torch.no_grad():
        posterior = model.encoder(images, classes)
        decoded = model.likelihood(model.decoder(posterior.mode(), classes)).mean
    error = (decoded - images).square().flatten(1).sum(1).mean().item()
    assert found.reconstruction == pytest.approx(error, rel=1e-5)
    expected = (images - images.mean(0)).square().flatten(1).sum(1).mean().item()
    assert found.mean_item == pytest.approx(expected, rel=1e-5)
    with pytest.raises(TypeError):
        compare_with_mean(mlp_vae(), resolved)


def test_samples_of_a_class_are_told_all_else_as_items_of_the_class_have_it() -> None:
    """A model has never seen a condition of which only the class is known."""
    label = Column(name="label", kind="category", categories=("Bag", "Coat", "Shirt"))
    columns = (Column(name="size", kind="number"), label)
    spec = Spec("clothes", (1, 6, 5), classes=label.categories, condition=columns)
    rows = torch.tensor([[1.0, 0.0], [2.0, 0.0], [5.0, 1.0]]).double()
    codec = fit_codec(RowLayout(columns, has_indicators=True), InMemory.whole(rows), "quantile")
    model = mlp_vae()
    model.condition = Condition(codec, known=rows)
    asked = choose_samples(model, spec)
    assert asked.captions.left == label.categories
    assert asked.rows is not None
    sizes, classes = asked.rows.T
    assert classes.tolist() == [float(place) for place in range(3) for _ in range(COLUMNS)]
    assert set(sizes[classes == 0].tolist()) == {1.0, 2.0}
    assert set(sizes[classes == 1].tolist()) == {5.0}
    assert sizes[classes == 2].isnan().all(), "no training item has the class"
