"""The likelihoods: what a decoder's outputs say about an item; docs/objectives.md has equations."""

from abc import ABC, abstractmethod
from dataclasses import field
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, assert_never, final

from annotated_types import Interval

from vae_cli.errors import UsageError, mark
from vae_cli.settings.variant import Setting, section, variant

if TYPE_CHECKING:
    from vae_cli.data.dataset import Spec
    from vae_cli.data.streamed import AnySplit
    from vae_cli.model import Codec, likelihoods


@section
class LikelihoodFields:
    """What the settings of all likelihoods have."""

    name: Annotated[
        str,
        Setting(
            "Distribution of an item around the decoder's output; auto is mse for images and "
            "columns for tables.",
            "likelihood",
        ),
    ] = field(init=False)


@final
@variant("auto")
class AutoLikelihood(LikelihoodFields):
    """The likelihood that suits the items."""

    def choose(self, spec: "Spec") -> "type[SquaredError | Columns]":
        """The one for images or for rows of a table."""
        return SquaredError if spec.is_image else Columns


@section
class Likelihood(LikelihoodFields, ABC):
    """Settings of a likelihood."""

    is_for_rows: ClassVar[bool] = False

    def check(self, spec: "Spec") -> None:
        """Check that the likelihood is for such items.

        Raises:
            UsageError: it is for other items.
        """
        if self.is_for_rows == spec.is_image:
            mine, theirs = ("images", "tables") if spec.is_image else ("tables", "images")
            raise UsageError(
                f"{mark(f'likelihood.name={self.name}')} is for {theirs}: leave it out for {mine}"
            )

    def build_codec(self, spec: "Spec", train: "AnySplit | None" = None) -> "Codec":  # noqa: ARG002
        """The way from items to what the network takes.

        Args:
            spec: what the items are.
            train: the training set, on which the columns of a table are measured; None is for a
                codec whose numbers are loaded afterwards.
        """
        from vae_cli.model import ImageCodec

        return ImageCodec()

    @property
    def draws_every_step(self) -> bool:
        """Whether a step of the training draws what it is given from the items."""
        return False

    @property
    def comparison(self) -> str | None:
        """What compares the items of a batch, as in `Objective.comparison`."""
        return None

    @abstractmethod
    def build(self, codec: "Codec") -> "likelihoods.Likelihood":
        """The likelihood of items that a codec encodes."""


@final
@variant("mse")
class SquaredError(Likelihood):
    """A normal distribution with variance 1/2, so that the loss is the squared error."""

    def build(self, codec: "Codec") -> "likelihoods.Likelihood":  # noqa: ARG002
        """Without parameters."""
        from vae_cli.model import likelihoods

        return likelihoods.SquaredError()


@final
@variant("gaussian")
class Gaussian(Likelihood):
    """A normal distribution with one standard deviation for all pixels (Rybkin et al., 2021)."""

    scale: Annotated[
        Literal["learned", "optimal", "fixed"],
        Setting(
            "The standard deviation: learned with the weights, optimal per batch, or fixed.",
        ),
    ] = "learned"
    sigma: Annotated[
        float, Interval(ge=0.0025, le=100), Setting("The standard deviation if it is fixed.")
    ] = 1.0

    @property
    def comparison(self) -> str | None:
        """The optimal standard deviation is that of the batch."""
        return mark("likelihood.scale=optimal") if self.scale == "optimal" else None

    def check(self, spec: "Spec") -> None:
        """Check the items, and that a standard deviation is only given if it is fixed.

        Raises:
            UsageError: one of them does not hold.
        """
        super().check(spec)
        if self.scale != "fixed" and self.sigma != type(self).sigma:
            raise UsageError(
                f"{mark('likelihood.sigma')} is for {mark('likelihood.scale=fixed')}, "
                f"not {self.scale}: leave it out"
            )

    def build(self, codec: "Codec") -> "likelihoods.Likelihood":  # noqa: ARG002
        """With a standard deviation of one of three kinds."""
        from vae_cli.model import likelihoods

        match self.scale:
            case "learned":
                return likelihoods.SharedGaussian(is_optimal=False)
            case "optimal":
                return likelihoods.SharedGaussian(is_optimal=True)
            case "fixed":
                return likelihoods.SharedGaussian(is_optimal=False, sigma=self.sigma)
            case _:
                assert_never(self.scale)


@final
@variant("bernoulli")
class Bernoulli(Likelihood):
    """A Bernoulli distribution, applied to grey pixels as if they were probabilities."""

    def build(self, codec: "Codec") -> "likelihoods.Likelihood":  # noqa: ARG002
        """Without parameters."""
        from vae_cli.model import likelihoods

        return likelihoods.Bernoulli(is_binary=False)


@final
@variant("binarized")
class Binarized(Likelihood):
    """A Bernoulli distribution of black and white pixels, drawn from the grey ones."""

    binarization: Annotated[
        Literal["dynamic", "static"],
        Setting("Draw the black and white images of the training set anew at every step, or once."),
    ] = "dynamic"

    def build_codec(self, spec: "Spec", train: "AnySplit | None" = None) -> "Codec":  # noqa: ARG002
        """One that draws black and white images."""
        from vae_cli.model import ImageCodec

        return ImageCodec(is_stochastic=True)

    @property
    def draws_every_step(self) -> bool:
        """Whether each step draws black and white images anew."""
        return self.binarization == "dynamic"

    def build(self, codec: "Codec") -> "likelihoods.Likelihood":  # noqa: ARG002
        """Without parameters."""
        from vae_cli.model import likelihoods

        return likelihoods.Bernoulli(is_binary=True)


@final
@variant("laplace")
class Laplace(Likelihood):
    """A Laplace distribution with a learned scale."""

    def build(self, codec: "Codec") -> "likelihoods.Likelihood":  # noqa: ARG002
        """With one scale."""
        from vae_cli.model import likelihoods

        return likelihoods.Laplace()


@final
@variant("logistic")
class Logistic(Likelihood):
    """A mixture of discretized logistic distributions (Salimans et al., 2017)."""

    components: Annotated[
        int, Interval(ge=1, le=100), Setting("Components of the mixture for a pixel.")
    ] = 5

    def build(self, codec: "Codec") -> "likelihoods.Likelihood":  # noqa: ARG002
        """With some components."""
        from vae_cli.model import likelihoods

        return likelihoods.DiscretizedLogistic(self.components)


@final
@variant("columns")
class Columns(Likelihood):
    """A distribution for each column of a table, of the kind of the column."""

    is_for_rows: ClassVar[bool] = True

    numbers: Annotated[
        Literal["gaussian", "student"],
        Setting(
            "Distribution of numbers, whole numbers and dates: normal, or Student's t with 4 "
            "degrees of freedom, for values that are far away where nothing says so.",
        ),
    ] = "gaussian"
    normalization: Annotated[
        Literal["quantile", "standard"],
        Setting(
            "How numbers become what the network takes: by their quantiles, to a normal "
            "distribution, or by mean and standard deviation.",
        ),
    ] = "quantile"

    def build_codec(self, spec: "Spec", train: "AnySplit | None" = None) -> "Codec":
        """One for columns of all kinds."""
        from vae_cli.data.split import InMemory
        from vae_cli.model.table_codec import RowLayout, fit_codec, unfitted_codec

        layout = RowLayout(spec.columns, has_indicators=spec.table.missing == "model")
        if train is None:
            return unfitted_codec(layout, self.normalization)
        assert isinstance(train, InMemory)  # as every table is
        return fit_codec(layout, train, self.normalization)

    def build(self, codec: "Codec") -> "likelihoods.Likelihood":
        """For the columns that a codec encodes."""
        from vae_cli.model import TableCodec, likelihoods

        assert isinstance(codec, TableCodec)  # that is what `build_codec` returns
        return likelihoods.TableLikelihood(codec, self.numbers)


ChosenLikelihood = SquaredError | Gaussian | Bernoulli | Binarized | Laplace | Logistic | Columns
LikelihoodConfig = AutoLikelihood | ChosenLikelihood
