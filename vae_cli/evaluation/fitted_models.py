"""What is fitted once for a run and kept in its folder: samplers of its latents, a classifier.

The samplers are fitted to the latents of the training set, for samples after the training. A fit
of the flow, or of a prior over codes, that is stopped is kept too, and goes on the next time.
"""

import hashlib
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from vae_cli.data.batch import Batch
from vae_cli.data.dataset import Progress, Stage, ignore_stage
from vae_cli.data.split import InMemory, in_order
from vae_cli.errors import UsageError, VAEError
from vae_cli.evaluation.likelihood import encode
from vae_cli.files import exists, require_writable_folder
from vae_cli.latent.code_prior import CodePrior, CodeSampler
from vae_cli.latent.flow_matching import FittedFlow
from vae_cli.latent.mixture import COMPONENTS, FittedMixture, fit_mixture
from vae_cli.model import VAE, Codes, CodesHead, LatentModel, Posterior
from vae_cli.noise import Noise, derive_seed
from vae_cli.runs.checkpoint import Checkpoint, load_checkpoint, matches, save_checkpoint
from vae_cli.runs.directory import require_written_inside
from vae_cli.training.code_fit import CodeFit
from vae_cli.training.fitting import Fit
from vae_cli.training.flow_fit import FlowFit

ModuleT = TypeVar("ModuleT", bound=nn.Module)
DIGEST_ITEMS = 100  # of a data set, whose contents are in its digest


def recall(path: Path, module: ModuleT, digest: str) -> ModuleT | None:
    """The module with the tensors that were kept for this digest; None if there are none."""
    tensors = recall_tensors(path, module.state_dict(), digest)
    if tensors is None:
        return None
    module.load_state_dict(tensors)
    return module


def recall_tensors(
    path: Path, expected: Mapping[str, Tensor], digest: str
) -> dict[str, Tensor] | None:
    """The tensors that were kept for this digest, if they are like the expected ones.

    A file that is damaged counts as none: what it held can be fitted again.
    """
    if not exists(path):
        return None
    try:
        checkpoint = load_checkpoint(path)
    except VAEError:
        return None
    tensors = checkpoint.tensors
    if checkpoint.facts.get("made_from") != digest or not matches(tensors, expected):
        return None
    return tensors if all(tensor.isfinite().all() for tensor in tensors.values()) else None


def keep(path: Path, tensors: Mapping[str, Tensor], digest: str) -> None:
    """Keep the tensors of what was fitted to what the digest is of, if it is possible."""
    checkpoint = Checkpoint(
        {name: tensor.cpu() for name, tensor in tensors.items()}, {"made_from": digest}
    )
    keep_if_possible(path, lambda: save_checkpoint(path, checkpoint))


def keep_if_possible(path: Path, write: Callable[[], None]) -> bool:
    """Write a file of the folder of a run that can be made again; if it fails, a warning says so.

    What was computed is of use all the same. The warning does not name the file, so that the same
    one about several files of a folder is shown once.
    """
    try:
        require_written_inside(path.parent)
        require_writable_folder(path.parent)  # which a write would make again if it was removed
        write()
    except VAEError as error:
        reason = getattr(error.__cause__, "strerror", None) or error
        warnings.warn(
            f"{path.parent} cannot be written: {reason}; what is computed is used, but not kept",
            stacklevel=1,
        )
        return False
    return True


def check_folder(folder: Path) -> None:
    """Warn at once, and not after a long computation, if a folder cannot be written."""
    keep_if_possible(folder / "new", lambda: None)


def digest_weights(model: nn.Module) -> str:
    """SHA-256 of the weights of a model."""
    return digest_tensors(*model.state_dict().values())


def digest_split(split: InMemory) -> str:
    """SHA-256 of which items of a set these are, of their labels, and of the first items."""
    first = split.network_input(split.rows[:DIGEST_ITEMS])
    return digest_tensors(split.rows, split.labels, first)


def digest_tensors(*tensors: Tensor) -> str:
    """SHA-256 of some tensors, of their shapes and of their types."""
    sha256 = hashlib.sha256()
    for tensor in tensors:
        sha256.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().view(-1)
        sha256.update(flat.view(torch.uint8).numpy().data)
    return sha256.hexdigest()


SEED = 0
MIXTURE_FILE, FLOW_FILE = "sampler-gmm.safetensors", "sampler-flow.safetensors"
CODES_FILE = "sampler-codes.safetensors"
SAVE_SECONDS = 30.0  # between two saves of a fit
MAX_POINTS = 60_000  # of a larger training set, a random part is used


def find_mixture(model: LatentModel, folder: Path) -> FittedMixture | None:
    """The mixture that was kept in the folder of a run, if it was fitted to these weights."""
    path, digest = folder / MIXTURE_FILE, digest_weights(model)
    for components in range(COMPONENTS, 0, -1):
        found = recall(path, FittedMixture(model.latent_dim, components), digest)
        if found is not None:
            return found.to(model.device)
    return None


def fitted_mixture(
    model: LatentModel,
    train: Callable[[], InMemory],
    folder: Path,
    posterior: Posterior | None = None,
    stage: Stage = ignore_stage,
) -> FittedMixture:
    """The mixture of a run, which is fitted and kept in its folder if it is not there yet.

    It is fitted to one sample of the posterior of each training item. Fitted to the means, its
    samples vary less: on Fashion-MNIST their recall was 0.09 instead of 0.16.

    Args:
        model: the model.
        train: opens the training set, which is needed only to fit.
        folder: of the run.
        posterior: of all training items, if it is known already.
        stage: shows the progress of a part of the work with a name.
    """
    found = find_mixture(model, folder)
    if found is None:
        check_folder(folder)
        noise = Noise(SEED)
        latents = posteriors_to_fit(model, train(), noise, posterior, stage).rsample(1, noise)[0]
        found = fit_mixture(latents, SEED)
        keep(folder / MIXTURE_FILE, found.state_dict(), digest_weights(model))
    return found.to(model.device)


def find_flow(model: LatentModel, folder: Path) -> FittedFlow | None:
    """The flow that was kept in the folder of a run, if it was fitted to these weights."""
    found = recall(folder / FLOW_FILE, FittedFlow(model.latent_dim), digest_weights(model))
    return None if found is None else found.to(model.device)


def fitted_flow(
    model: LatentModel,
    train: Callable[[], InMemory],
    folder: Path,
    posterior: Posterior | None = None,
    stage: Stage = ignore_stage,
) -> FittedFlow:
    """The flow of a run, which is fitted and kept in its folder if it is not there yet.

    A fit that an exception of the progress ends is kept as far as it is, and so is one that takes
    longer. The next call goes on with it, and finds bit for bit what it would have found at once.

    The arguments are those of `fitted_mixture`.
    """
    found = find_flow(model, folder)
    if found is None:
        check_folder(folder)
        chosen = posteriors_to_fit(model, train(), Noise(SEED), posterior, stage)
        found = fit_flow(model, chosen, folder / FLOW_FILE, stage)
    return found.to(model.device)


def fit_flow(
    model: LatentModel, posterior: Posterior, path: Path, stage: Stage = ignore_stage
) -> FittedFlow:
    """Fit the flow, from where an earlier call was stopped, and keep it in a file."""
    digest = digest_weights(model)
    fit = FlowFit(model.latent_dim, len(posterior), derive_seed(SEED, "flow"))
    resume(fit, path, digest)
    with stage("fitting") as progress:
        found = fit.run(posterior, saving(fit, path, digest, progress))
    keep(path, found.state_dict(), digest)
    return found


def resume(fit: Fit, path: Path, digest: str) -> None:
    """Let a new fit go on from the one that was stopped, if there is one."""
    kept = recall_tensors(path, fit.tensors(), digest)
    if kept is not None and 0 <= int(kept["step"]) <= fit.steps:
        with suppress(RuntimeError):  # the bytes are not the state of a generator
            fit.restore(kept)


def saving(fit: Fit, path: Path, digest: str, progress: Progress) -> Progress:
    """The same progress callback, but the fit is kept now and then, and if it raises an error."""
    saved = time.monotonic()

    def checked(done: int, total: int) -> None:
        nonlocal saved
        try:
            progress(done, total)
        except BaseException:
            keep(path, fit.tensors(), digest)
            raise
        if time.monotonic() > saved + SAVE_SECONDS:
            keep(path, fit.tensors(), digest)
            saved = time.monotonic()

    return checked


def posteriors_to_fit(
    model: LatentModel,
    split: InMemory,
    noise: Noise,
    posterior: Posterior | None = None,
    stage: Stage = ignore_stage,
) -> Posterior:
    """The posteriors of the training items, `(N, D)` on the CPU, of which a part if there are many.

    Args:
        model: the model.
        split: the training set.
        noise: chooses the part, and their order.
        posterior: of all its items, if it is known already.
        stage: shows the progress of the encoding.
    """
    order = torch.randperm(len(split), generator=noise.generator)[:MAX_POINTS]
    if posterior is not None:
        return posterior[order]
    with stage("encoding") as progress:
        return encode(model, split.take(order), progress)


def find_codes_head(model: LatentModel) -> CodesHead | None:
    """The end of the encoder of a model whose latents are codes; None if they are not."""
    head = getattr(model.encoder, "head", None) if isinstance(model, VAE) else None
    return head if isinstance(head, CodesHead) else None


def require_codes_head(model: LatentModel) -> CodesHead:
    """The same of a model whose latents must be codes.

    Raises:
        UsageError: they are not.
    """
    head = find_codes_head(model)
    if head is None:
        raise UsageError("this needs latents that are codes")
    return head


def find_codes(model: LatentModel, folder: Path) -> CodeSampler | None:
    """The prior over codes that was kept in the folder of a run, if it was fitted to these weights.

    It draws the latents of codes. There is none if the latents of the model are not codes.
    """
    if find_codes_head(model) is None:
        return None
    found = recall(folder / CODES_FILE, new_code_prior(model), digest_weights(model))
    return None if found is None else code_sampler(model, found)


def fitted_codes(
    model: LatentModel,
    train: Callable[[], InMemory],
    folder: Path,
    stage: Stage = ignore_stage,
) -> CodeSampler:
    """The prior over codes of a run, which is fitted and kept in its folder as a flow is.

    Args:
        model: a model whose latents are codes.
        train: opens the training set, which is needed only to fit.
        folder: of the run.
        stage: shows the progress of a part of the work with a name.

    Raises:
        UsageError: the latents are not codes.
    """
    require_codes_head(model)
    found = find_codes(model, folder)
    if found is None:
        check_folder(folder)
        prior = fit_code_prior(model, train(), folder / CODES_FILE, stage)
        found = code_sampler(model, prior)
    return found


def fit_code_prior(
    model: LatentModel, split: InMemory, path: Path, stage: Stage = ignore_stage
) -> CodePrior:
    """Fit a prior to the codes of some items, from where an earlier call was stopped."""
    digest = digest_weights(model)
    with stage("encoding") as progress:
        codes, y, copies = codes_to_fit(model, split, progress)
    items, seed = len(codes) // copies, derive_seed(SEED, "codes")
    fit = CodeFit(new_code_prior(model), items, seed, copies)
    resume(fit, path, digest)
    with stage("fitting") as progress:
        found = fit.run(codes, y, saving(fit, path, digest, progress))
    keep(path, found.state_dict(), digest)
    return found


def new_code_prior(model: LatentModel) -> CodePrior:
    """A prior over the codes of a model before its first step."""
    head, condition = require_codes_head(model), model.condition
    width = 0 if condition is None else condition.width
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(SEED, "weights of a prior over codes"))
        prior = CodePrior(head.codes_shape, head.codebook_size, head.stages, width)
    return prior.to(model.device)


def code_sampler(model: LatentModel, prior: CodePrior) -> CodeSampler:
    """The source of latents whose codes are drawn from a prior."""
    return CodeSampler(prior, require_codes_head(model).embed)


def codes_to_fit(
    model: LatentModel, split: InMemory, progress: Progress
) -> tuple[Tensor, Tensor | None, int]:
    """The codes of the training items, of which a part if there are many, and their conditions.

    Of a conditional model, each item is there twice: with its own condition, and encoded without
    one, so that the prior learns both as the model has. The last value is how often it is there.
    """
    order = torch.randperm(len(split), generator=Noise(SEED).generator)[:MAX_POINTS]
    part = split.take(order)
    has_both = model.condition is not None and model.condition.dropout > 0
    splits = [part, replace(part, condition=None)] if has_both else [part]
    found, done = [], 0
    for one in splits:
        for batch in in_order(one, model.device):
            found.append(codes_of(model, batch))
            done += len(batch)
            progress(done, len(part) * len(splits))
    codes, ys = zip(*found, strict=True)
    return torch.cat(codes), None if model.condition is None else torch.cat(ys), len(splits)


@torch.no_grad()
def codes_of(model: LatentModel, batch: Batch) -> tuple[Tensor, Tensor | None]:
    """The codes `(B, *codes_shape)` of items, and what the model is told of their conditions."""
    posterior, y = model.posterior(batch), model.condition_of(batch.y, len(batch))
    assert isinstance(posterior, Codes)
    return posterior.codes.cpu(), None if y is None else y.cpu()
