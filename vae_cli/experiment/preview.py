"""The previews of a finished run: reconstructions of test items, and samples from the prior."""

from torch import Generator

from vae_cli.experiment.resolve import Resolved
from vae_cli.items.choice import kind_of
from vae_cli.latent.reconstruction import reconstruct
from vae_cli.latent.sampling import sample
from vae_cli.model import LatentModel
from vae_cli.runs.directory import Run

COLUMNS = 8  # tiles per row


def write_previews(model: LatentModel, run: Run, resolved: Resolved) -> None:
    """Write the previews of a run with its best weights, which are in a model in evaluation mode.

    Raises:
        VAEError: a file cannot be written.
    """
    kind = kind_of(resolved.spec)
    reconstructions, samples = run.previews(kind.suffix)
    test = resolved.test
    originals = test.network_input(test.rows[: kind.preview_items])
    decoded = reconstruct(model, originals).items
    before, after = (model.restore(tensor).cpu() for tensor in (originals, decoded))
    kind.write_reconstructions(
        before, after, reconstructions, columns=COLUMNS, texts=resolved.texts
    )
    generator = Generator(resolved.device).manual_seed(resolved.config.training.seed)
    drawn = sample(model, kind.preview_samples, noise=kind.samples_noise, generator=generator)
    kind.write(model.restore(drawn).cpu(), samples, columns=COLUMNS)
