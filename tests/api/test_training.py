"""Trainings from Python with parts that the program brings: classes, and modules."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vae_cli import fit, load, resume
from vae_cli.data.batch import Batch
from vae_cli.errors import OutsideCodeError, UsageError
from vae_cli.model import (
    VAE,
    Context,
    DiagonalNormal,
    Inference,
    Loss,
    NegativeELBO,
    NormalHead,
    Objective,
    SquaredError,
    StandardNormal,
)
from vae_cli.settings import outside

SMALL = {"limit": 96, "epochs": 1, "device": "cpu", "seed": 3}
DIMS = {"latent-dim": 3}


class Doubled(Objective):
    """The ELBO with a weight, which keeps its parameter under its name."""

    def __init__(self, weight: float = 2.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, batch: Batch, inference: Inference, context: Context) -> Loss:
        loss = NegativeELBO()(batch, inference, context)
        return Loss({"model": self.weight * loss.losses["model"]}, loss.terms, loss.items)


class Hidden(Doubled):
    """The same, which keeps it under another name."""

    def __init__(self, factor: float = 2.0) -> None:
        super().__init__(factor)


class Changing(Doubled):
    """One that keeps another value than it was given, on which its tensors depend."""

    def __init__(self, size: int = 2) -> None:
        super().__init__()
        self.size = 2 * size
        self.register_buffer("scale", torch.zeros(size))


def networks() -> tuple[nn.Module, nn.Module]:
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, 6), NormalHead(3))
    return encoder, nn.Sequential(nn.Linear(3, 784), nn.Unflatten(1, (1, 28, 28)))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder, made the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def forget() -> None:
    outside._KNOWN.clear()


@pytest.mark.slow
def test_a_module_with_its_parameters_as_attributes_is_made_again_by_its_name(
    elsewhere: Path,
) -> None:
    """Also in another process, with consent, and its run goes on as with the one given."""
    one = fit("fashion-mnist", objective=Doubled(0.5), settings=SMALL, name="one")
    objective = one.settings.objective
    assert objective.name == f"{__name__}:Doubled"
    assert vars(objective)["weight"] == 0.5
    fit("fashion-mnist", objective=Doubled, settings={**SMALL, "epochs": 2}, name="class")
    fit("fashion-mnist", objective=Doubled(), settings={**SMALL, "epochs": 2}, name="module")
    weights = [load(name).model.state_dict() for name in ("class", "module")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    forget()
    with pytest.raises(OutsideCodeError, match=r"objective .*:Doubled is code from outside"):
        resume("one", {"epochs": 2})
    resume("one", {"epochs": 2}, allow_code=True)
    whole = fit("fashion-mnist", objective=Doubled(0.5), settings={**SMALL, "epochs": 2})
    assert weights_equal(load("one").model, whole.model)
    with pytest.raises(UsageError, match=r"one has the objective .*:Doubled, not .*:Changing"):
        load("one", objective=Changing)


def weights_equal(one: nn.Module, other: nn.Module) -> bool:
    own = other.state_dict()
    return all(torch.equal(tensor, own[name]) for name, tensor in one.state_dict().items())


@pytest.mark.slow
def test_an_encoder_and_a_decoder_are_copied_and_given_again(elsewhere: Path) -> None:
    torch.manual_seed(0)
    both = networks()
    before = both[0][1].weight.clone()
    settings = {**SMALL, **DIMS}
    with pytest.warns(UserWarning, match=r"run one keeps no code of its model: load it with model"):
        model = fit("fashion-mnist", model=both, settings=settings, name="one")
    assert both[0][1].weight.equal(before), "a copy was trained"
    assert not model.model.get_submodule("encoder.1").weight.equal(before)
    items = model.sample(4, seed=0)
    forget()
    with pytest.raises(
        OutsideCodeError, match=r"model <Sequential, Sequential> was given in Python"
    ):
        load("one")
    again = load("one", model=networks())
    assert np.array_equal(again.sample(4, seed=0), items)
    assert resume("one", {"epochs": 2}, model=networks()).settings.training.epochs == 2
    with pytest.warns(UserWarning, match="keeps no code"):
        whole = fit("fashion-mnist", model=both, settings={**settings, "epochs": 2}, name="two")
    assert weights_equal(load("one", model=both).model, whole.model), "bit for bit as never stopped"


def test_a_whole_model_brings_its_likelihood_and_its_prior(elsewhere: Path) -> None:
    whole = VAE(*networks(), SquaredError(), StandardNormal(3))
    with pytest.warns(UserWarning, match="run one keeps no code of its model: load it with model"):
        model = fit("fashion-mnist", model=whole, settings=SMALL, name="one")
    assert model.model.latent_dim == model.settings.model.latent_dim == 3
    assert model.settings.likelihood.name.endswith(":SquaredError")
    forget()
    assert load("one", model=whole).reconstruct(model.sample(2, seed=0)).items.shape[0] == 2
    with pytest.raises(UsageError, match="a whole model has a prior and a likelihood"):
        fit("fashion-mnist", model=whole, prior=StandardNormal(3), settings=SMALL)


class Nothing(nn.Module):
    """No posterior."""

    def forward(self, x: Tensor) -> Tensor:
        return x


def test_what_cannot_be_trained_is_one_line_before_there_is_a_run(elsewhere: Path) -> None:
    encoder, decoder = networks()
    flat = nn.Sequential(nn.Flatten(), nn.Linear(784, 3))
    for parts, message in (
        ({"objective": nn.Linear(1, 1)}, "Linear is no vae_cli.model.Objective, which objective"),
        ({"objective": Changing()}, "objective: made again from its attributes .* has another"),
        ({"model": (flat, decoder)}, "a step with <Sequential, Sequential> fails for 2 items: "),
        (
            {"model": (encoder, decoder), "settings": SMALL},
            r"the encoder has latents of \(3,\), and the prior of \(20,\)",
        ),
    ):
        with pytest.raises((OutsideCodeError, UsageError), match=message):
            fit("fashion-mnist", **{"settings": {**SMALL, **DIMS}, **parts})
    with pytest.raises(UsageError, match="data: give them once"):
        fit("fashion-mnist", settings={"data": {"name": "shapes"}})
    assert not Path("runs").exists()


@pytest.mark.slow
def test_a_module_that_hides_its_parameters_is_given_again(elsewhere: Path) -> None:
    with pytest.warns(UserWarning, match="run one keeps no code of its objective"):
        fit("fashion-mnist", objective=Hidden(3.0), settings=SMALL, name="one")
    forget()
    assert len(load("one").sample(1)) == 1, "which needs no objective"
    with pytest.raises(OutsideCodeError, match=r"<.*\.Hidden> was given in Python"):
        resume("one", {"epochs": 2})
    assert resume("one", {"epochs": 2}, objective=Hidden(3.0)).settings.training.epochs == 2


def test_a_normal_posterior_of_an_own_encoder(elsewhere: Path) -> None:
    """It makes the posterior by itself, without a head."""

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(784, 6)

        def forward(self, x: Tensor) -> DiagonalNormal:
            return DiagonalNormal(*self.layer(x.flatten(1)).chunk(2, 1))

    both, settings = (Encoder(), networks()[1]), {**SMALL, **DIMS}
    with pytest.warns(UserWarning, match="keeps no code"):
        model = fit("fashion-mnist", model=both, settings=settings)
    assert model.encode(model.sample(2, seed=0)).mean.shape == (2, 3)
