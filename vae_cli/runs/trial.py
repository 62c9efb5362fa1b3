"""One step with components from outside, before anything is trained with them."""

import torch

from vae_cli.data.batch import Batch
from vae_cli.data.dataset import Spec
from vae_cli.data.streamed import AnySplit
from vae_cli.errors import OutsideCodeError, VAEError
from vae_cli.model import Codec, Condition
from vae_cli.settings import Plan, to_dict
from vae_cli.settings.outside import known_variants, names_of
from vae_cli.training import TrainState, loss_and_gradients
from vae_cli.training.metrics import loss_name

TRIED_ITEMS = 2


def try_outside_parts(
    plan: Plan, spec: Spec, train: AnySplit, codec: Codec, condition: Condition | None
) -> None:
    """Check that components from outside keep their contracts, with a step of two items.

    Those of this package are tested, and nothing is done if there are no others.

    Args:
        plan: the settings.
        spec: what the items are.
        train: the training set, encoded.
        codec: of the items.
        condition: what the model is conditioned on; None if it is not.

    Raises:
        OutsideCodeError: the step fails, whatever the reason, or the terms of the loss are others
            than the objective says.
    """
    known = dict(known_variants())
    names = [name for part, name in names_of(to_dict(plan)) if (part, name) in known]
    if not names:
        return
    device = torch.device("cpu")
    places = torch.arange(min(TRIED_ITEMS, len(train)))
    batch = next(train.batches(places, TRIED_ITEMS, device))
    try:
        state = plan.build_state(spec, device, codec=codec, condition=condition)
        loss, _ = loss_and_gradients(state, len(train), batch, torch.ones(()))
        require_terms(state, {*loss.terms, *map(loss_name, loss.losses)})
        require_shapes(state, batch)
    except VAEError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise OutsideCodeError(
            f"a step with {' and '.join(names)} fails for {len(batch)} items: {reason}"
        ) from error


@torch.no_grad()
def require_shapes(state: TrainState, batch: Batch) -> None:
    """Check that latents have one shape everywhere, and that samples have that of the items.

    Raises:
        ValueError: they have not.
    """
    model, noise = state.model, state.noise
    found, wanted = model.posterior(batch).event_shape, model.event_shape
    if found != wanted:
        raise ValueError(f"the encoder has latents of {found}, and the prior of {wanted}")
    y = None if batch.y is None else batch.y[:1]
    items = model.decode(model.prior.sample(1, noise, y=y), y).mean
    if items.shape[1:] != batch.x.shape[1:]:
        raise ValueError(f"samples are {tuple(items.shape[1:])}, not {tuple(batch.x.shape[1:])}")


def require_terms(state: TrainState, found: set[str]) -> None:
    """Check that a loss has the terms that are counted over an epoch.

    Raises:
        ValueError: it has not.
    """
    if missing := sorted(state.totals.sums.keys() - found):
        raise ValueError(f"the terms of the loss are without {', '.join(missing)}")
