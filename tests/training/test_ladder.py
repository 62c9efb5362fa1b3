"""Training the hierarchical network: the loss falls in each precision, and the step is traced."""

import pytest
import torch
from models import spec_of

from vae_cli.data.batch import Batch
from vae_cli.data.split import InMemory
from vae_cli.model import measure_size
from vae_cli.runs.resolve import require_affordable, training_bytes
from vae_cli.settings import Plan, choose, merge
from vae_cli.training import TracedEpoch

CPU, SHAPE = torch.device("cpu"), (1, 16, 16)


def ladder(**model: object) -> Plan:
    tables = {"model": {"network": "hierarchical", "latent_dim": 4, **model}}
    return choose(merge(("", tables)), spec_of(SHAPE))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loss_falls_on_small_images(dtype: torch.dtype) -> None:
    """Squares at random places: the top level can learn the place within a few steps."""
    places = torch.randint(0, 9, (128, 2), generator=torch.Generator().manual_seed(0)).tolist()
    images = torch.zeros(128, *SHAPE)
    for image, (row, column) in zip(images, places, strict=True):
        image[0, row : row + 8, column : column + 8] = 1
    split = InMemory.whole(images)
    state = ladder().build_state(spec_of(SHAPE), CPU)
    state.dtype = dtype
    epoch = TracedEpoch(state, split, 32)
    order, rates = torch.arange(128), torch.full((4,), 3e-3)
    losses = [epoch.run(order, rates, torch.ones(4)).loss for _ in range(8)]
    assert losses[-1] < 0.7 * losses[0]


def test_the_traced_step_equals_the_plain_one() -> None:
    split = InMemory.whole(torch.rand(8, *SHAPE))
    results = []
    for is_traced in (True, False):
        state = ladder().build_state(spec_of(SHAPE), CPU)
        epoch = TracedEpoch(state, split, 8)
        step = epoch.traced if is_traced else epoch.plain
        results.append(step(Batch(split.network_input(split.rows)), torch.tensor(0.5)))
    (loss, gradients), (expected, references) = results
    assert loss.losses["model"].equal(expected.losses["model"])
    assert all(map(torch.equal, gradients["model"], references["model"]))


def test_the_size_is_measured_without_memory() -> None:
    config = ladder(preset="large", levels=32, level_channels=64)
    model = config.build_on_meta(spec_of((3, 64, 64)))
    assert len(model.latent_dims) == 32
    assert list(model.latent_dims) == sorted(model.latent_dims), "coarse levels are first"
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert training_bytes(model) == 16 * parameters
    require_affordable(config, model, (3, 64, 64), resizable=False)
    sizes = [measure_size(ladder(levels=n).build_on_meta(spec_of(SHAPE)), SHAPE, 8) for n in (2, 3)]
    assert sizes[0].parameters < sizes[1].parameters
    assert sizes[0].multiply_adds < sizes[1].multiply_adds
