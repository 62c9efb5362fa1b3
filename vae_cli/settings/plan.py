"""The plan of a training: its settings with every choice made, and what they build.

>>> from vae_cli.settings import merge
>>> from vae_cli.data.dataset import Spec
>>> spec = Spec("digits", (1, 28, 28))
>>> plan = choose(merge(("", {"model": {"latent_dim": 2}})), spec)
>>> plan.model.network, plan.likelihood.name
('mlp', 'mse')
>>> plan.check(spec)
>>> plan.build_model(spec).latent_dim
2
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, final

from vae_cli.errors import UsageError, mark
from vae_cli.settings.data import DataConfig
from vae_cli.settings.entries import keep_fields, sections
from vae_cli.settings.likelihoods import AutoLikelihood, ChosenLikelihood
from vae_cli.settings.networks import AutoNetwork, ChosenNetwork, Parts
from vae_cli.settings.objectives import ObjectiveConfig
from vae_cli.settings.optimizers import OptimizerConfig
from vae_cli.settings.posteriors import PosteriorConfig
from vae_cli.settings.priors import AutoPrior, ChosenPrior
from vae_cli.settings.schema import Config
from vae_cli.settings.training import TrainingConfig
from vae_cli.settings.variant import section

if TYPE_CHECKING:
    import torch

    from vae_cli.data.dataset import Spec
    from vae_cli.data.split import InMemory
    from vae_cli.data.streamed import AnySplit
    from vae_cli.model import Codec, Condition, LatentModel, Objective, TableCodec
    from vae_cli.noise import Noise
    from vae_cli.training import Schedule, TrainState

START_VECTORS = 32  # of each code, for the clusters that a codebook starts from
MAX_MEAN_ITEMS = 10_000  # of the training set, for the mean that the output bias starts from


@final
@section
class Plan:
    """The settings of a run without `auto` for what depends on the items."""

    data: DataConfig
    model: ChosenNetwork
    objective: ObjectiveConfig
    likelihood: ChosenLikelihood
    posterior: PosteriorConfig
    prior: ChosenPrior
    optimizer: OptimizerConfig
    training: TrainingConfig

    def check(self, spec: "Spec") -> None:
        """Check that the settings fit the items and each other.

        Raises:
            UsageError: they do not; the message is one line.
        """
        self.model.check(spec, self.posterior, self.prior)
        self.likelihood.check(spec)
        self.posterior.check(self.model.latent_dim)
        self.prior.check(self.posterior, self.model.latent_dim, spec)
        self.objective.check(self.model, self.posterior, self.prior)
        self.objective.check_condition(spec.condition)
        if self.data.labelled != 1 and not spec.condition:
            labelled = mark(f"data.labelled={self.data.labelled:g}")
            raise UsageError(f"{labelled} needs {mark('data.condition')}")
        if self.training.accumulate > 1 and self.comparison:
            raise UsageError(
                f"{mark(f'training.accumulate={self.training.accumulate}')} computes a batch in "
                f"parts, but {self.comparison} compares its items: leave one of them out, or share "
                f"the batch by {mark('training.processes')}"
            )

    def check_items(self, spec: "Spec", count: int) -> None:
        """Check that the training set has enough items for what starts from them.

        Raises:
            UsageError: it has not.
        """
        self.posterior.check_items(self.model.event_shape(spec), count)
        self.prior.check_items(count)

    @property
    def comparison(self) -> str | None:
        """What compares the items of a batch, for a message; None if they are independent."""
        return self.objective.comparison or self.likelihood.comparison

    def build_model(
        self,
        spec: "Spec",
        codec: "Codec | None" = None,
        condition: "Condition | None" = None,
    ) -> "LatentModel":
        """An untrained model, with weights from torch's global random numbers.

        Args:
            spec: what the items are.
            codec: of the items; None is one whose numbers are loaded afterwards.
            condition: of a conditional model; the same.
        """
        codec = codec or self.likelihood.build_codec(spec)
        parts = Parts(
            likelihood=self.likelihood.build(codec),
            posterior=self.posterior,
            prior=self.prior,
            codec=codec,
            condition=condition or self.build_condition(spec),
            classes=self.objective.classes(spec),
        )
        return self.model.build(spec, parts)

    def build_condition(self, spec: "Spec", train: "InMemory | None" = None) -> "Condition | None":
        """What the model is conditioned on; None if it is not.

        Args:
            spec: what the items are.
            train: the conditions of the training set, one row for each item; None is for one whose
                numbers are loaded afterwards.

        Raises:
            UsageError: it is known of no item, and the objective learns nothing about that.
        """
        from vae_cli.model import Condition
        from vae_cli.model.table_codec import RowLayout, fit_codec, unfitted_codec

        if not spec.condition:
            return None
        layout = RowLayout(spec.condition, has_indicators=True)
        codec = (
            unfitted_codec(layout, "quantile")
            if train is None
            else fit_codec(layout, train, "quantile")
        )
        known = None if train is None else train.items_at(slice(None))
        if known is not None and not self.objective.hides_condition:
            known = known[~known.isnan().any(1)]  # what the model knows nothing about is not drawn
            if not len(known):
                names = ",".join(column.name for column in spec.condition)
                raise UsageError(
                    f"{mark(f'objective.name={self.objective.name}')} learns from labels, and no "
                    f"training item has one: {mark(f'data.condition={names}')} is missing in all"
                )
        return Condition(codec, self.model.condition_dropout, known)

    def build_on_meta(self, spec: "Spec") -> "LatentModel":
        """The same model without memory for its weights, to check or measure its shapes."""
        import torch

        with torch.device("meta"):
            return self.build_model(spec)

    def build_schedule(self, total_steps: int) -> "Schedule":
        """The learning rate as a function of the step."""
        return self.optimizer.build_schedule(total_steps, self.model.min_warmup)

    def build_state(
        self,
        spec: "Spec",
        device: "torch.device",
        codec: "Codec | None" = None,
        train: "AnySplit | None" = None,
        condition: "Condition | None" = None,
        weights: "Mapping[str, torch.Tensor] | None" = None,
    ) -> "TrainState":
        """A state before its first step, on the device; the seed decides every number in it.

        Args:
            spec: what the items are.
            device: where to train.
            codec: of the items; the model has the same one.
            train: the training set on the device, for what starts from the data.
            condition: what the model is conditioned on; the model has the same one.
            weights: of another run, to start from instead.
        """
        import torch

        from vae_cli.noise import Noise, derive_seed

        seed = self.training.seed
        with torch.random.fork_rng(devices=[]):  # the weights are the same on every device
            torch.default_generator.manual_seed(derive_seed(seed, "weights"))
            model = self.build_model(spec, codec, condition)
            torch.default_generator.manual_seed(derive_seed(seed, "objective"))
            objective = self.objective.build(model).to(device)
        model.to(device).to(memory_format=torch.channels_last)  # convolutions are 1.5 times as fast
        if weights is not None:
            model.load_state_dict(weights, strict=False)  # the columns' scaling is that of the data
        elif train is not None:
            self._initialize(model, train, is_image=spec.is_image)
        return self._make_state(model, objective, Noise(derive_seed(seed, "noise"), device))

    def build_state_on_meta(self, spec: "Spec") -> "TrainState":
        """The same state without memory, to know the names, shapes and types of its tensors."""
        import torch

        from vae_cli.noise import Noise

        with torch.device("meta"):
            model = self.build_model(spec)
            objective = self.objective.build(model)
        return self._make_state(model, objective, Noise(None))

    def _make_state(
        self, model: "LatentModel", objective: "Objective", noise: "Noise"
    ) -> "TrainState":
        from vae_cli.training import first_state

        return first_state(model, objective, self.optimizer.build, noise, self.optimizer.ema)

    def _initialize(self, model: "LatentModel", train: "AnySplit", *, is_image: bool) -> None:
        """Set what starts from the training set: the output bias, and the pseudo-inputs."""
        import torch

        from vae_cli.model import (
            ConvDecoder,
            JointDecoder,
            MLPDecoder,
            TableCodec,
            VampPrior,
        )
        from vae_cli.noise import Noise, derive_seed

        start = derive_seed(self.training.seed, "start")
        with torch.no_grad():
            decoder: object = getattr(model, "decoder", None)  # one from outside starts as it is
            at_mean = self.model.output_bias == "data" or self.posterior.starts_at_mean
            if isinstance(decoder, MLPDecoder | ConvDecoder | JointDecoder) and (
                at_mean or not is_image
            ):
                mean = _mean_item(train, train.sample(MAX_MEAN_ITEMS, start), model.device)
                decoder.set_output_bias(model.likelihood.outputs_for(mean))
            if isinstance(model.codec, TableCodec):
                ignore_indicators(model, model.codec)
            if isinstance(model.prior, VampPrior):
                inputs = model.prior.pseudo_inputs
                places = train.sample(len(inputs), start)
                inputs.copy_(next(train.batches(places, len(places), model.device)).x)
            self._start_codebook(model, train, Noise(start, model.device))

    def _start_codebook(self, model: "LatentModel", train: "AnySplit", noise: "Noise") -> None:
        """Start a codebook from what the untrained encoder makes of training items."""
        import torch

        from vae_cli.data.batches import chunk_length
        from vae_cli.model import VAE, Codes, CodesHead

        if self.posterior.kind != "codes":
            return
        assert isinstance(model, VAE)
        head = model.encoder.head
        assert isinstance(head, CodesHead)
        per_item = head.latent_dim // head.quantizer.dim
        count = min(len(train), -(-START_VECTORS * head.codebook_size // per_item))
        found = []
        for batch in train.batches(
            train.sample(count, noise.generator.initial_seed()),
            chunk_length(train.shape),
            model.device,
        ):
            posterior = model.posterior(batch)
            assert isinstance(posterior, Codes)
            found.append(posterior.vectors.flatten(0, 1))
        per_step = per_item * min(self.training.batch_size, len(train))
        head.quantizer.start(torch.cat(found), per_step, noise)


def ignore_indicators(model: "LatentModel", codec: "TableCodec") -> None:
    """Let the encoders and a classifier start without a weight for what is missing.

    What an encoder is told of a condition is beside the columns, and keeps its weights.

    If nothing is missing in the training set, these weights never get a gradient. At random, they
    would move the latents of a row with a missing value to anywhere.
    """
    from torch import nn

    from vae_cli.model import JointEncoder, MLPEncoder

    values, categories, count = codec.layout.parts
    first_place = values + categories
    for name, encoder in model.named_children():
        is_ours = isinstance(encoder, MLPEncoder | JointEncoder)
        if is_ours and name in {"encoder", "lower_encoder", "classifier"}:
            first = next(layer for layer in encoder.modules() if isinstance(layer, nn.Linear))
            first.weight[:, first_place : first_place + count] = 0


def _mean_item(split: "AnySplit", places: "torch.Tensor", device: "torch.device") -> "torch.Tensor":
    """The mean of some items as a network takes them."""
    import torch

    from vae_cli.data.batches import chunk_length

    batches = split.batches(places, chunk_length(split.shape), device)
    return torch.stack([batch.x.sum(0) for batch in batches]).sum(0) / len(places)


def choose(config: Config, spec: "Spec") -> Plan:
    """The plan of some settings for such items; `Plan.check` says whether it makes sense.

    Raises:
        UsageError: a setting has no effect with what is chosen.
    """
    network, likelihood = config.model, config.likelihood
    if isinstance(network, AutoNetwork):
        chosen, given = network.choose(spec), dataclasses.asdict(network)
        network = chosen(**_keep("model", chosen, given))
    if isinstance(likelihood, AutoLikelihood):
        likelihood = likelihood.choose(spec)()
    prior = config.prior
    if isinstance(prior, AutoPrior):
        prior = prior.choose(config.posterior)()
    objective = config.objective.fill_in(spec)
    if not objective.hides_condition:
        network = dataclasses.replace(network, condition_dropout=0.0)
    return make_plan(dataclasses.replace(config, objective=objective), network, likelihood, prior)


def make_plan(
    config: Config, network: ChosenNetwork, likelihood: ChosenLikelihood, prior: ChosenPrior
) -> Plan:
    """The plan of some settings with the components that were chosen."""
    return Plan(
        data=config.data,
        model=network,
        objective=config.objective,
        likelihood=likelihood,
        posterior=config.posterior,
        prior=prior,
        optimizer=config.optimizer,
        training=config.training,
    )


def _keep(name: str, variant: type, given: Mapping[str, Any]) -> dict[str, Any]:
    part = next(one for one in sections() if one.name == name)
    return keep_fields(part, variant, given)
