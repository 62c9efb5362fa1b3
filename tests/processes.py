"""Trainings that several processes can do together: `python processes.py RANK SIZE FOLDER NAMES`.

A case is a training with an objective, a prior, a network and a likelihood; some priors come with
another posterior than the default. `FEW` are those whose objective or likelihood compares the items
of a batch, and one that does not; `COVER` has every possible pair of an objective, a prior and a
network.
"""

import math
import os
import sys
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import combinations, cycle, product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from covers import cover
from models import label_rows, labelled_spec_of, make_state, mlp_vae, spec_of
from torch import Generator, Tensor, distributed
from torch.distributed import FileStore

from vae_cli.data.batch import Batch
from vae_cli.data.dataset import Spec
from vae_cli.data.split import InMemory
from vae_cli.errors import LostProcessError, NonFiniteLossError, UsageError
from vae_cli.model import Context, Inference, Loss, NegativeELBO, Objective
from vae_cli.processes import first_place
from vae_cli.settings import Plan, choose, merge
from vae_cli.training import (
    ALONE,
    EpochReport,
    Processes,
    TracedEpoch,
    TrainState,
    World,
    constant,
    evaluate,
    fit,
    optimizers,
)
from vae_cli.training.world import connect

IMAGE, ROW = (1, 16, 16), (4,)
ITEMS, BATCH, TESTED, EPOCHS = 19, 9, 7, 2  # no batch divides, and the last one is a single item
CPU = torch.device("cpu")
# Of Adam, which with its own 1e-8 makes a whole step of a gradient that is 0 up to rounding: in one
# or the other direction, whatever the sign of the rounding is.
EPSILON = 1e-3

OBJECTIVES: dict[str, dict[str, Any]] = {
    "elbo": {},
    "beta": {"beta": 4.0, "warmup_epochs": 2},
    "free bits": {"free_bits": 0.05},
    "free bits by level": {"free_bits": 0.3, "free_bits_by": "level"},
    "capacity": {"name": "capacity", "capacity": 2.0},
    "iwae": {"name": "iwae", "samples": 3},
    "miwae": {"name": "miwae", "samples": 2, "groups": 2},
    "dreg": {"name": "dreg", "samples": 3},
    "ciwae": {"name": "ciwae", "samples": 3},
    "piwae": {"name": "piwae", "samples": 2, "groups": 2},
    "tc": {"name": "tc", "beta": 3.0},
    "mmd": {"name": "mmd", "alpha": 0.5, "mmd_weight": 20.0},
    "dip": {"name": "dip"},
    "factor": {"name": "factor", "critic_hidden": [8]},
    "adversarial": {"name": "adversarial", "critic_hidden": [8], "kl_weight": 0.5},
    "m2": {"name": "m2"},
}
PRIORS: dict[str, dict[str, Any]] = {
    "normal": {},
    "mog": {"name": "mog", "components": 3},
    "vamp": {"name": "vamp", "components": 3},
    "realnvp": {"name": "realnvp"},
    "full": {"name": "mog", "components": 3},
    "iaf": {"name": "normal"},
    "vmf": {},
}
# The posteriors in the place of a prior, which is the uniform one then, or stands above.
CODES: dict[str, dict[str, Any]] = {
    "vq": {"name": "vq", "codebook": 8, "code_dim": 1},
    "rvq": {"name": "rvq", "codebook": 4, "code_dim": 1, "stages": 2, "gradient": "rotation"},
    "fsq": {"name": "fsq", "levels": [4]},
}
POSTERIORS = CODES | {name: {"name": name} for name in ("full", "iaf", "vmf")}
HIDDEN = {"hidden": [16], "latent_dim": 3}
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"network": "mlp", **HIDDEN},
    "conv": {"network": "conv", "preset": "small", "latent_dim": 3},
    "two-level": {"network": "two-level", **HIDDEN},
    "hierarchical": {"network": "hierarchical", "preset": "small", "latent_dim": 3, "levels": 2},
    "table": {"network": "mlp", **HIDDEN},
    "grid": {"network": "conv", "preset": "small", "latent_dim": 2, "grid": True},
}
LIKELIHOODS: dict[str, dict[str, Any]] = {
    "mse": {},
    "optimal": {"name": "gaussian", "scale": "optimal"},
    "binarized": {"name": "binarized"},
    "bernoulli": {"name": "bernoulli"},
    "learned": {"name": "gaussian"},
    "logistic": {"name": "logistic"},
    "laplace": {"name": "laplace"},
}
Case = tuple[str, str, str, str]  # an objective, a prior, a network and a likelihood
FEW: list[Case] = [
    ("piwae", "vmf", "mlp", "bernoulli"),
    ("tc", "mog", "mlp", "mse"),
    ("mmd", "vamp", "mlp", "binarized"),
    ("capacity", "normal", "conv", "optimal"),
    ("factor", "normal", "mlp", "laplace"),
    ("free bits", "normal", "two-level", "mse"),
    ("elbo", "vq", "mlp", "mse"),
]
DIVIDED: Case = ("miwae", "realnvp", "mlp", "binarized")  # it compares nothing


def plan_of(case: Case) -> Plan:
    objective, prior, network, likelihood = case
    settings = {
        "objective": OBJECTIVES[objective],
        "prior": PRIORS.get(prior, {}),
        "posterior": POSTERIORS.get(prior, {}),
        "model": NETWORKS[network],
        "likelihood": {} if network == "table" else LIKELIHOODS[likelihood],
    }
    return choose(merge(("", settings)), spec_for(case))


def spec_for(case: Case) -> Spec:
    """What the items are: those of m2 have a class."""
    return (labelled_spec_of if case[0] == "m2" else spec_of)(shape_of(case))


def shape_of(case: Case) -> tuple[int, ...]:
    return ROW if case[2] == "table" else IMAGE


def pairs() -> Iterator[Case]:
    """Cases with every possible pair of an objective, a prior and a network."""
    possible = []
    likelihoods = cycle(LIKELIHOODS)
    for three in product(OBJECTIVES, PRIORS | CODES, NETWORKS):
        case = (*three, next(likelihoods))
        try:
            plan_of(case).check(spec_for(case))
        except UsageError:
            continue
        possible.append(case)
    yield from cover(possible, lambda case: [*combinations(case[:3], 2), case[3]])


def cases_of(names: str) -> list[Case]:
    """The cases with these names: `few`, one of each `objective`, or `all`."""
    if names == "few":
        return FEW
    every = list(pairs())
    return every if names == "all" else list({case[0]: case for case in every}.values())


def items(count: int, shape: Sequence[int], seed: int) -> InMemory:
    return InMemory.whole(torch.rand(count, *shape, generator=Generator().manual_seed(seed)))


def train(
    case: Case, world: World = ALONE, accumulate: int = 1
) -> tuple[TrainState, list[EpochReport]]:
    """Train a small model, and return its state and the metrics of each epoch."""
    plan, shape, reports = plan_of(case), shape_of(case), list[EpochReport]()
    spec, train, test = spec_for(case), items(ITEMS, shape, 0), items(TESTED, shape, 1)
    codec = plan.likelihood.build_codec(spec, train)
    condition = plan.build_condition(spec, InMemory.whole(label_rows(len(train))))
    if condition is not None:
        train, test = (
            condition.encode_split(replace(part, condition=label_rows(len(part))))
            for part in (train, test)
        )
    train = codec.encode_split(train, fixed=False)  # drawn anew at every step, if they are drawn
    test = codec.encode_split(test)
    state = plan.build_state(spec, CPU, codec, train, condition)
    with patch.object(optimizers, "EPSILON", EPSILON):
        fit(
            state,
            train,
            test,
            epochs=EPOCHS,
            batch_size=BATCH,
            seed=0,
            learning_rate=constant(1e-3, 1),
            warmup=plan.objective.build_warmup(3),
            report=reports.append,
            world=world,
            accumulate=accumulate,
        )
    return state, reports


def losses_of(reports: list[EpochReport]) -> Tensor:
    """All metrics that are averages over items, in float64."""
    return torch.tensor(
        [
            number
            for report in reports
            for found in (report.train, report.test)
            for number in (
                found.loss,
                *found.terms.values(),
                *([] if found.kl_by_dim is None else found.kl_by_dim.tolist()),
            )
        ],
        dtype=torch.float64,
    )


def summarize(case: Case, world: World = ALONE, accumulate: int = 1) -> dict[str, Tensor]:
    """All tensors of the state after a training, and its metrics."""
    state, reports = train(case, world, accumulate)
    return {**state.tensors(), "losses": losses_of(reports)}


def meet_a_loss_that_is_not_finite(world: World = ALONE) -> dict[str, Tensor]:
    """The state after a step whose loss is not a number because of the last item of the batch."""
    split, state = items(ITEMS, IMAGE, 0), make_state(mlp_vae(IMAGE))
    split.items[2 * BATCH - 1] = math.nan
    epoch = TracedEpoch(state, split, BATCH, world)
    epoch.interval = 1
    with suppress(NonFiniteLossError):
        epoch.run(torch.arange(ITEMS), torch.full((3,), 0.1), torch.ones(3))
        raise AssertionError("nobody has noticed the loss that is not finite")
    kept = {name: one for name, one in state.tensors().items() if not name.startswith("totals.")}
    return {**kept, "step": torch.tensor(state.step)}


class FullInOne(Objective):
    """−ELBO that needs too much memory in the last process, when it is first called."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.elbo, self.is_full = NegativeELBO(free_bits=0.05), world.rank == world.size - 1

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        if self.is_full:
            self.is_full = False
            raise MemoryError
        loss: Loss = self.elbo(batch, inference, context)
        return loss


def evaluate_with_little_memory(world: World = ALONE) -> dict[str, Tensor]:
    """The averages over the items, which were evaluated in two batches after one has failed."""
    model, split = mlp_vae(IMAGE), items(ITEMS, IMAGE, 0)
    objective = FullInOne(world)
    found = evaluate(model, objective, split, data_size=ITEMS, seed=0, world=world)
    return {"losses": torch.tensor([found.loss, *found.terms.values(), found.elbo])}


def meet_a_late_process(world: World) -> dict[str, Tensor]:
    """Whether the others are waited for when that was asked for, and are missed otherwise.

    Afterwards the processes have lost each other.
    """
    is_late = world.rank == world.size - 1
    with patch("vae_cli.training.world.ANSWER_SECONDS", 0.5):
        world.wait(60)
        time.sleep(is_late)
        world.wait(60)
        time.sleep(2 * is_late)
        with suppress(LostProcessError):
            world.any(False)
            return {"missed": torch.tensor(False)}
    return {"missed": torch.tensor(True)}


def main(rank: int, size: int, folder: Path, names: str) -> None:
    """Train as one of several processes on this machine, and leave what was found in a folder."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    place = replace(first_place(size), rank=rank, local_rank=rank)
    store = FileStore(str(folder / "store"), size)
    connect(place, store, timedelta(seconds=120))
    group, world = weakref.ref(distributed.group.WORLD), Processes()
    cases = cases_of(names)
    found: dict[object, dict[str, Tensor]] = {case: summarize(case, world) for case in cases}
    found["again"] = summarize(cases[0], world)
    found["in pieces"] = summarize(DIVIDED, world, accumulate=3)
    found["not finite"] = meet_a_loss_that_is_not_finite(world)
    found["little memory"] = evaluate_with_little_memory(world)
    if names == "objective":
        found["late"] = meet_a_late_process(world)
    torch.save(found, folder / f"{rank}.pt")
    distributed.destroy_process_group()
    assert group() is None, "its threads run on, and may abort the process at its end"


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4])
