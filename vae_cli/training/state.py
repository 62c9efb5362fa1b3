"""Everything that changes during training, and nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import final

import torch
from torch import Tensor, nn

from vae_cli.model import LatentModel, Objective
from vae_cli.noise import Noise, derive_seed
from vae_cli.training.metrics import Totals, names_of_totals
from vae_cli.training.optimizers import Adam, Optimizer


@final
@dataclass(frozen=True)
class Player:
    """A network that learns by a loss of its own: the model, or one that the objective owns.

    Attributes:
        optimizer: changes its parameters; it has the moments of their gradients.
        rate: its learning rate in every step; None is that of the schedule.
    """

    optimizer: Optimizer
    rate: float | None = None

    @property
    def parameters(self) -> dict[str, Tensor]:
        """What it learns, by name."""
        return self.optimizer.parameters


@final
class WeightAverage:
    """The exponential moving average of named parameters, often a better model than the last ones.

        θ̄ ← d θ̄ + (1 − d) θ,        d = min(decay, (1 + t) / (10 + t))

    The decay rises in the first steps, so that the random initial weights are soon forgotten. It is
    the average of Polyak & Juditsky (1992) with exponential weights.

    Args:
        parameters: what is averaged.
        decay: d, below 1.
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        self.parameters = list(parameters.values())
        self.values = {name: tensor.detach().clone() for name, tensor in parameters.items()}
        self.decay = decay
        self.t = torch.zeros((), device=self.parameters[0].device)

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the parameters, once after every step."""
        self.t += 1
        weight = 1 - ((1 + self.t) / (10 + self.t)).clamp(max=self.decay)
        averages = list(self.values.values())
        torch._foreach_lerp_(averages, self.parameters, [weight] * len(averages))

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name: `average.NAME`, and the count of the steps, `average_t`."""
        named = {f"average.{name}": tensor for name, tensor in self.values.items()}
        return {**named, "average_t": self.t}


@dataclass(kw_only=True)
class TrainState:
    """Everything that changes during training.

    A run that is resumed from these tensors and numbers continues bit for bit as if it had never
    stopped.

    Attributes:
        model: the network with its parameters.
        objective: what is minimized, with the networks that it owns.
        players: who learns: the `model`, and the networks to learn of the objective, by name.
        noise: the source of all random numbers of a step, on the model's device.
        step: the number of steps since the start of the run.
        epoch: the number of complete epochs since the start of the run.
        done: the number of steps in the current epoch.
        totals: the sums of the losses of the current epoch.
        dtype: of the matrix products; anything but float32 goes through autocast.
        average: of the weights over the steps, for the evaluation; None if there is none.
    """

    model: LatentModel
    objective: Objective
    players: dict[str, Player]
    noise: Noise
    step: int = 0
    epoch: int = 0
    done: int = 0
    totals: Totals = field(init=False)
    dtype: torch.dtype = torch.float32
    average: WeightAverage | None = None

    def __post_init__(self) -> None:
        self.totals = Totals(names_of_totals(self.model, self.objective), self.model.device)

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name: the weights together with their own moments."""
        parts = {
            "model": self.model.state_dict(),
            "objective": self.objective.state_dict(),
            **{f"players.{name}": one.optimizer.tensors() for name, one in self.players.items()},
            "totals": self.totals.sums,
        }
        named = {f"{part}.{name}": t for part, some in parts.items() for name, t in some.items()}
        average = {} if self.average is None else self.average.tensors()
        return named | average | {"generator": self.noise.state()}

    def evaluation_weights(self) -> dict[str, Tensor]:
        """The weights to evaluate, by the model's own names: their average, if there is one."""
        averages = {} if self.average is None else self.average.values
        return self.model.state_dict() | averages

    def position(self) -> dict[str, int]:
        """All numbers by name."""
        return {
            "step": self.step,
            "epoch": self.epoch,
            "done": self.done,
            "count": self.totals.count,
        }

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor], position: Mapping[str, int]) -> None:
        """Copy what `tensors()` and `position()` returned into the existing memory.

        Raises:
            KeyError: a tensor or number is missing.
            RuntimeError: a tensor has another shape, or is not the state of a generator.
        """
        for name, tensor in self.tensors().items():
            if name != "generator":
                tensor.copy_(tensors[name])
        self._restore_noise(tensors["generator"].cpu(), position["step"])
        self.step, self.epoch, self.done = (position[key] for key in ("step", "epoch", "done"))
        self.totals.count = position["count"]

    def _restore_noise(self, saved: Tensor, step: int) -> None:
        """Go on with the random numbers that were saved; on another kind of device, with new ones.

        Raises:
            RuntimeError: the bytes are not the state of a generator.
        """
        generator = self.noise.generator
        if len(saved) == len(self.noise.state()):
            self.noise.restore(saved)
        else:
            generator.manual_seed(derive_seed(generator.initial_seed(), "another device", step))

    def count_step(self, items: int) -> None:
        """Count a step that trained on so many items."""
        self.step, self.done = self.step + 1, self.done + 1
        self.totals.count += items

    def end_epoch(self) -> None:
        """Count the current epoch as complete."""
        self.epoch, self.done = self.epoch + 1, 0
        self.totals.clear()


def first_state(
    model: LatentModel,
    objective: Objective,
    make_optimizer: Callable[[nn.Module], Optimizer],
    noise: Noise,
    decay: float = 0.0,
) -> TrainState:
    """The state before the first step.

    Args:
        model: the network with its initial parameters.
        objective: what is minimized, on the same device.
        make_optimizer: of the parameters of a network; called for the model, and for each network
            of the objective that learns as the model does.
        noise: the source of random numbers, on the same device.
        decay: of the average of the weights; 0 means that there is none.

    Raises:
        ValueError: the objective has parameters that are in no network, so that no player has them,
            or says how a network learns that it does not have.
    """
    if alone := [name for name, _ in objective.named_parameters(recurse=False)]:
        raise ValueError(f"{alone} of the objective would not be learned: put them into a module")
    players = {"model": Player(make_optimizer(model)), **make_players(objective, make_optimizer)}
    average = WeightAverage(players["model"].parameters, decay) if decay else None
    return TrainState(
        model=model, objective=objective, players=players, noise=noise, average=average
    )


def make_players(
    objective: Objective, make_optimizer: Callable[[nn.Module], Optimizer]
) -> dict[str, Player]:
    """The networks of an objective with their optimizers, by name.

    Raises:
        ValueError: the objective says how a network learns that it does not have.
    """
    networks, own = objective.networks(), objective.learning()
    if unknown := own.keys() - networks.keys():
        raise ValueError(f"{sorted(unknown)} are not networks of the objective: {list(networks)}")
    players = {}
    for name, network in networks.items():
        if name in own:
            adam = Adam(dict(network.named_parameters()), betas=own[name].betas)
            players[name] = Player(adam, own[name].rate)
        else:
            players[name] = Player(make_optimizer(network))
    return players
