"""An objective that owns a network, on items with labels: the FactorVAE of Kim & Mnih (2018)."""

import math
from copy import deepcopy
from functools import partial
from pathlib import Path

import pytest
import torch
from models import conditional_vae, make_state, mlp_vae
from torch import Generator, Tensor, nn

from vae_cli.data.batch import Batch
from vae_cli.data.split import InMemory
from vae_cli.errors import NonFiniteLossError
from vae_cli.model import (
    Context,
    Critic,
    FactorVAE,
    Inference,
    Learning,
    Loss,
    NegativeELBO,
    Objective,
)
from vae_cli.runs.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from vae_cli.training import (
    CapturedEpoch,
    Epoch,
    TracedEpoch,
    TrainState,
    loss_and_gradients,
    train_step,
)

SHAPE, LATENT_DIM, CLASSES, ITEMS, BATCH = (1, 6, 5), 3, 4, 70, 16
RATE = 3e-3  # of the critic
RATES, WARMUPS = torch.full((5,), 1e-2), torch.linspace(0.2, 1, 5)


def factor_vae() -> FactorVAE:
    return FactorVAE(Critic(LATENT_DIM, (16,)), gamma=6.0, rate=RATE)


def new_state(seed: int = 0) -> TrainState:
    model = conditional_vae(SHAPE, (8,), LATENT_DIM, classes=CLASSES, seed=seed)
    return make_state(model, factor_vae(), seed=seed)


def labelled() -> InMemory:
    generator = Generator().manual_seed(0)
    items = torch.rand(ITEMS, *SHAPE, generator=generator)
    condition = torch.randint(0, CLASSES, (ITEMS,), generator=generator)
    return InMemory(items, torch.arange(ITEMS), torch.empty(0), condition=condition)


def copy_of(state: TrainState) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in state.tensors().items()}


def assert_same(state: TrainState, expected: TrainState) -> None:
    tensors = expected.tensors()
    assert tensors.keys() == state.tensors().keys()
    for name, tensor in state.tensors().items():
        assert tensor.equal(tensors[name]), name


def run(epoch: Epoch, count: int = 3) -> None:
    for number in range(count):
        order = torch.randperm(ITEMS, generator=Generator().manual_seed(number))
        epoch.run(order, RATES, WARMUPS)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_traced_step_of_two_players_is_the_plain_one_and_both_learn(dtype: torch.dtype) -> None:
    states = [new_state(), new_state()]
    for state in states:
        state.dtype = dtype
    before = copy_of(states[0])
    traced, plain = (TracedEpoch(state, labelled(), BATCH) for state in states)
    assert traced.traced is not traced.plain
    plain.traced = plain.plain
    for epoch in (traced, plain):
        run(epoch)
    assert_same(*states)
    names = {
        "model.decoder.shift.weight",
        "objective.critic.layers.0.weight",
        "players.critic.layers.0.weight.m",
    }
    assert names <= before.keys()
    for name, tensor in states[0].tensors().items():
        if not name.startswith(("totals.", "model.prior.")):
            assert not tensor.equal(before[name]), name


def test_the_captured_step_without_a_gpu_is_the_traced_one() -> None:
    states = [new_state(), new_state()]
    for state, kind in zip(states, (TracedEpoch, CapturedEpoch), strict=True):
        run(kind(state, labelled(), BATCH))
    for name, tensor in states[0].tensors().items():
        torch.testing.assert_close(states[1].tensors()[name], tensor)


def test_the_critic_does_not_learn_by_the_loss_of_the_model() -> None:
    """Its gradients, and so its moments, are those of its own loss, whatever γ is."""
    states = [new_state(), new_state()]
    states[1].objective.gamma = 0.0
    for state in states:
        TracedEpoch(state, labelled(), ITEMS).run(torch.arange(ITEMS), RATES[:1], WARMUPS[:1])
    changed = {
        name
        for name, tensor in states[0].tensors().items()
        if not tensor.equal(states[1].tensors()[name])
    }
    assert changed
    assert all("encoder" in name for name in changed), "which the loss of the model reaches by tc"


def test_a_training_with_a_critic_is_resumed_bit_for_bit(tmp_path: Path) -> None:
    whole, part, rest = new_state(), new_state(), new_state(seed=1)
    run(TracedEpoch(whole, labelled(), BATCH))

    class Stop(Exception):  # noqa: N818
        pass

    def stop(_items: int) -> None:
        raise Stop

    epoch = TracedEpoch(part, labelled(), BATCH)
    epoch.interval = 3
    order = torch.randperm(ITEMS, generator=Generator().manual_seed(0))
    with pytest.raises(Stop):
        epoch.run(order, RATES, WARMUPS, stop)
    assert part.done == 3
    save_checkpoint(tmp_path / "last.safetensors", Checkpoint(copy_of(part), {}))
    rest.restore(load_checkpoint(tmp_path / "last.safetensors").tensors, part.position())
    run(TracedEpoch(rest, labelled(), BATCH))
    assert_same(rest, whole)


@pytest.mark.parametrize("player", ["model", "critic"])
def test_nobody_steps_if_the_loss_of_one_player_is_not_finite(player: str) -> None:
    state, split = new_state(), labelled()
    network = state.model.decoder.shift if player == "model" else state.objective.critic.layers[2]
    with torch.no_grad():
        network.weight[0, 0] = math.nan
    before = copy_of(state)
    with pytest.raises(NonFiniteLossError):
        run(TracedEpoch(state, split, BATCH))
    for name, tensor in state.tensors().items():
        if name.startswith(("model.", "objective.", "players.")):
            assert torch.equal(tensor.nan_to_num(7.0), before[name].nan_to_num(7.0)), name


def test_the_critic_has_the_optimizer_that_the_objective_asks_for() -> None:
    """Its steps are those of torch.optim.Adam(0.003, (0.5, 0.9)), whatever the model's rate is."""
    state, split = new_state(), labelled()
    step = partial(loss_and_gradients, state, ITEMS)
    copy = deepcopy(state.objective.critic)
    reference = torch.optim.Adam(copy.parameters(), RATE, betas=(0.5, 0.9))
    batch = next(split.batches(torch.arange(ITEMS), ITEMS, torch.device("cpu")))
    for rate in (0.1, 0.01, 0.0):
        before = state.noise.state()
        _, gradients = step(batch, torch.ones(()))
        state.noise.restore(before)
        train_step(state, step, batch, learning_rate=rate, warmup=torch.ones(()))
        for parameter, gradient in zip(copy.parameters(), gradients["critic"], strict=True):
            parameter.grad = gradient
        reference.step()
        for own, expected in zip(
            state.objective.critic.parameters(), copy.parameters(), strict=True
        ):
            torch.testing.assert_close(own, expected)


def test_losses_and_players_that_do_not_fit_are_refused() -> None:
    class Owner(Objective):
        def __init__(self) -> None:
            super().__init__()
            self.elbo, self.critic = NegativeELBO(), nn.Linear(3, 1)

        def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
            loss: Loss = self.elbo(batch, inference, context)
            return loss

    class Bare(Owner):
        def __init__(self) -> None:
            super().__init__()
            self.temperature = nn.Parameter(torch.ones(()))

    class Mistaken(Owner):
        def learning(self) -> dict[str, Learning]:
            return {"critics": Learning(0.1)}

    state = make_state(conditional_vae(SHAPE), Owner())
    with pytest.warns(UserWarning, match="could not be traced"):
        epoch = TracedEpoch(state, labelled(), BATCH)
    with pytest.raises(ValueError, match=r"losses for \['model'\], but the players are"):
        run(epoch)
    with pytest.raises(ValueError, match="'temperature'"):
        make_state(mlp_vae(SHAPE), Bare())
    with pytest.raises(ValueError, match=r"\['critics'\] are not networks of the objective"):
        make_state(mlp_vae(SHAPE), Mistaken())
