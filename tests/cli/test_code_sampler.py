"""`vae sample` of a model whose latents are codes: their prior, by default, and what is refused."""

from pathlib import Path

import pytest
from pictures import table
from support import Refused, Use

from vae_cli.training import code_fit

KEPT = Path("runs/codes/sampler-codes.safetensors")
WORDS = ("sample", "--run", "codes", "-n", 20, "--seed", 1)


@pytest.fixture
def codes(here: Path, use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run on a table whose latents are two codes, with a short fit of their prior."""
    short = {"MIN_STEPS": 30, "MAX_STEPS": 30, "CHECK": 10, "BATCH_CODES": 32}
    for name, value in short.items():
        monkeypatch.setattr(code_fit, name, value)
    table(here / "wine.csv", "wine")
    train = ("train", "--data", "wine.csv", "--epochs", 2, "-q")
    use(*train, "--name", "codes", "--posterior", "fsq", "--latent-dim", 8)
    use(*train, "--name", "normal", "--latent-dim", 2)


@pytest.mark.slow
@pytest.mark.usefixtures("codes")
def test_codes_are_drawn_from_the_fitted_prior_and_other_samplers_are_refused(
    use: Use, refused: Refused
) -> None:
    use(*WORDS, "-o", "auto.csv")
    assert KEPT.exists()
    use(*WORDS, "-o", "codes.csv", "--sampler", "codes")
    use(*WORDS, "-o", "prior.csv", "--sampler", "prior")
    auto, codes, prior = (Path(f"{name}.csv").read_bytes() for name in ("auto", "codes", "prior"))
    assert auto == codes != prior
    for words in (("codes", "gmm"), ("codes", "flow"), ("normal", "codes")):
        run, sampler = words
        said = refused("sample", "--run", run, "--sampler", sampler, "-o", "x.csv")
        found = "are codes" if run == "codes" else "are not codes"
        assert f"--sampler {sampler}: the latents of run {run} {found}: --sampler auto" in said
