"""The figures of a model of codes: log p(x|c) + log p(c) of each item, usage, bits and scores."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Generator

from vae_cli.data.batch import Batch
from vae_cli.data.dataset import NamedSplit, Progress, Spec
from vae_cli.data.split import InMemory
from vae_cli.evaluation.codes import COUNTING, bound_figures
from vae_cli.evaluation.figures import Absent, Figure
from vae_cli.evaluation.fitted_models import CODES_FILE, find_codes, fitted_codes
from vae_cli.evaluation.latents import latent_figures
from vae_cli.evaluation.likelihood import estimate_likelihoods
from vae_cli.evaluation.samples import distances_of
from vae_cli.evaluation.scores import measure
from vae_cli.evaluation.subject import Subject
from vae_cli.model import (
    VAE,
    Codes,
    CodesHead,
    FiniteScalarQuantizer,
    MLPDecoder,
    MLPEncoder,
    SquaredError,
    VectorQuantizer,
)
from vae_cli.noise import Noise
from vae_cli.runs.checkpoint import load_checkpoint
from vae_cli.training import code_fit

SHAPE, DIM, LEVELS = (1, 4, 4), 4, (5, 3)
UNIFORM = DIM / len(LEVELS) * math.log(math.prod(LEVELS))


def code_vae() -> VAE:
    """A model whose items have two codes of fifteen."""
    torch.manual_seed(0)
    head = CodesHead(DIM, quantizer=FiniteScalarQuantizer(LEVELS))
    encoder, decoder = MLPEncoder(SHAPE, (16,), head), MLPDecoder(SHAPE, (16,), DIM)
    torch.nn.init.normal_(encoder.project.weight)
    return VAE(encoder, decoder, SquaredError(), head.uniform()).eval()


def some_images(count: int, seed: int) -> InMemory:
    """Images of three kinds, so that few of all codes occur."""
    generator = Generator().manual_seed(seed)
    kinds = torch.rand(3, *SHAPE, generator=Generator().manual_seed(0))
    noise = 0.05 * torch.rand(count, *SHAPE, generator=generator)
    return InMemory.whole(kinds[torch.randint(3, (count,), generator=generator)] + noise)


def subject_of(model: VAE, folder: Path) -> Subject:
    spec, test = Spec("kinds", SHAPE), some_images(50, 1)
    named = NamedSplit(split=test, names=[str(n) for n in range(50)], spec=spec)
    return Subject(model=model, train=some_images(300, 0), test=named, folder=folder, epoch=1)


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    short = {"MIN_STEPS": 40, "MAX_STEPS": 40, "CHECK": 10, "BATCH_CODES": 64}
    for name, value in short.items():
        monkeypatch.setattr(code_fit, name, value)


def test_the_bound_counts_the_fitted_prior_if_there_is_one(tmp_path: Path) -> None:
    model = code_vae()
    subject = subject_of(model, tmp_path)
    test = subject.test.split
    batch = Batch(test.items)
    with torch.no_grad():
        log_px = model.decode(model.posterior(batch).mode()).log_prob(test.items).double()
        items = estimate_likelihoods(model, test, 20, seed=0)
    lengths = {"uniform": torch.full((50,), UNIFORM, dtype=torch.float64)}
    found = {"uniform": bound_figures(subject, items)}
    sampler = fitted_codes(model, lambda: subject.train, tmp_path)
    lengths["fitted"] = sampler.prior.code_lengths(model.posterior(batch).codes).double()
    found["fitted"] = bound_figures(subject, items)
    assert lengths["fitted"].mean() < UNIFORM - 1
    for name, figures in found.items():
        expected = {
            "elbo": log_px - lengths[name],
            "log_likelihood": log_px - lengths[name],
            "kl": lengths[name],
            "uniform_code_length": lengths["uniform"],
            "bits": lengths["uniform"] / math.log(2),
            **({"bits_fitted": lengths["fitted"] / math.log(2)} if name == "fitted" else {}),
        }
        assert isinstance(figures["bits_fitted"], Figure) == (name == "fitted")
        for key in ("effective_samples", "log_likelihood_rise"):
            assert isinstance(figures[key], Absent), "one point has no samples that differ"
        for key, values in expected.items():
            one = figures[key]
            assert isinstance(one, Figure)
            assert one.value == pytest.approx(values.mean().item(), rel=1e-5), (name, key)
            if key in COUNTING:
                assert ("fitted to the codes" in one.definition) == (name == "fitted")


def test_the_usage_of_codes_stands_for_the_figures_of_continuous_latents() -> None:
    """Four codes of eight occur in each of two stages, half of the time the first of them."""
    quantizer = VectorQuantizer(8, 2, stages=2)
    head = CodesHead(4, quantizer=quantizer)
    model = VAE(
        MLPEncoder(SHAPE, (4,), head), MLPDecoder(SHAPE, (4,), 4), SquaredError(), head.uniform()
    )
    first = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 3])  # shares 1/2, 1/3, 1/12 and 1/12
    codes = first.view(6, 2, 1).expand(6, 2, 2)
    posterior = Codes(
        quantized=torch.zeros(6, 4),
        codes=codes,
        commitment=None,
        vectors=torch.zeros(6, 2, 2),
        rests=None,
        size=8,
    )
    figures = latent_figures(model, posterior, seed=0)
    used, perplexity = figures["codes_used"], figures["perplexity"]
    assert isinstance(used, Figure)
    assert isinstance(perplexity, Figure)
    assert used.value == 0.5
    assert perplexity.value == pytest.approx(2**0.5 * 3 ** (1 / 3) * 12 ** (1 / 6))
    for name in ("active_units", "mutual_information", "aggregate_kl"):
        one = figures[name]
        assert isinstance(one, Absent)
        assert "codes" in one.reason


def test_a_score_counts_the_codes_as_the_bound_does(tmp_path: Path) -> None:
    model = code_vae()
    subject = subject_of(model, tmp_path)
    test, train = subject.test.split, torch.zeros(1, DIM)
    prior = fitted_codes(model, lambda: subject.train, tmp_path).prior
    uniform = measure(model, test, train, 2, 0)
    fitted = measure(model, test, train, 2, 0, code_prior=prior)
    lengths = prior.code_lengths(model.posterior(Batch(test.items)).codes).double()
    torch.testing.assert_close(uniform.kl, torch.full_like(lengths, UNIFORM))
    torch.testing.assert_close(fitted.kl, lengths)
    for found in (uniform, fitted):
        torch.testing.assert_close(found.bound, -(found.distortion + found.kl))
    assert fitted.distortion.equal(uniform.distortion)


def test_a_prior_over_codes_is_kept_for_its_weights(tmp_path: Path) -> None:
    model, train = code_vae(), some_images(300, 0)
    assert find_codes(model, tmp_path) is None
    first = fitted_codes(model, lambda: train, tmp_path)

    def missing() -> InMemory:
        raise AssertionError("the training set is read although the prior was fitted")

    again = fitted_codes(model, missing, tmp_path)
    z = first.sample(30, Noise(0))
    assert z.equal(again.sample(30, Noise(0)))
    assert z.shape == (30, DIM)
    occurring = model.posterior(Batch(train.items)).mode().unique(dim=0)
    is_known = (z[:, None] == occurring).all(2).any(1)
    assert is_known.double().mean() > 0.3  # of uniform codes, 0.01
    with torch.no_grad():
        model.encoder.project.bias[0] += 1
    assert find_codes(model, tmp_path) is None


def test_a_fit_goes_on_from_any_file_that_it_has_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether an exception has ended it, or, between two saves, a signal that nobody can catch."""
    monkeypatch.setattr("vae_cli.evaluation.fitted_models.SAVE_SECONDS", -1.0)
    model, train, kept = code_vae(), some_images(300, 0), tmp_path / CODES_FILE

    @contextmanager
    def stage(name: str) -> Iterator[Progress]:
        def progress(done: int, total: int) -> None:
            if name == "fitting" and done == 30:
                raise KeyboardInterrupt
            if name == "fitting" and done == 11:
                files.append(kept.read_bytes())

        yield progress

    files: list[bytes] = []
    with pytest.raises(KeyboardInterrupt):
        fitted_codes(model, lambda: train, tmp_path, stage)
    files.append(kept.read_bytes())
    kept.unlink()
    fitted_codes(model, lambda: train, tmp_path)
    whole = load_checkpoint(kept).tensors
    for content in files:
        kept.write_bytes(content)
        fitted_codes(model, lambda: train, tmp_path)
        again = load_checkpoint(kept).tensors
        assert all(again[name].equal(tensor) for name, tensor in whole.items())


def test_samplers_are_compared_where_they_can_be_fitted() -> None:
    assert {"gmm", "flow"}.isdisjoint(distances_of(code_vae()))
    assert "codes" in distances_of(code_vae())
