"""Whether samples of a conditional model are what it was asked for: figures of each class.

    accuracy      the share of the samples of a class that a classifier takes for that class
    distance      the Frechet distance of the samples of a class from the test items of that class

The classifier (features.py) has learned the items and the classes of the data, and knows nothing of
the model. It is wrong about real items too, so its accuracy on those stands beside the other. Every
class counts as much as any other in the mean (class-conditional generation is judged like this by
Shmelkov, Schmid & Alahari, 2018, https://arxiv.org/abs/1807.09499, as GAN-test). Accuracy alone
says nothing about variety: a model with one perfect sample of each class has it. The distance does.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import torch
from torch import Tensor

from vae_cli.data.conditioning import class_place
from vae_cli.data.dataset import Spec
from vae_cli.evaluation.features import (
    BY_CLASSIFIER,
    Comparison,
    Extractor,
    FeatureName,
    classifier_extractor,
    classifier_of,
)
from vae_cli.evaluation.figures import (
    Absent,
    Figure,
    Figures,
    all_absent,
    figures_of_first,
    make_figure,
    share,
)
from vae_cli.evaluation.fitted_models import find_codes
from vae_cli.evaluation.samples import (
    DISTANCES,
    distance,
    sample_absence,
    sampled_features,
    shared_items,
    test_order,
)
from vae_cli.evaluation.subject import Subject
from vae_cli.model.condition import Condition
from vae_cli.noise import derive_seed
from vae_cli.training.world import ALONE, World

MIN_SAMPLES = 100  # of a class
MIN_ITEMS = 20  # of a class, from which its samples have a distance
MAX_CLASSES = 100
DISTANCE_NAMES: dict[FeatureName, str] = {
    "classifier": "frechet_classes",
    "inception": "fid_classes",
}
JUDGE = "by a classifier that has learned the data without the model"


@final
class ByClass(NamedTuple):
    """Figures of the samples of each class.

    Attributes:
        figures: the means over the classes.
        classes: `accuracy` and `frechet` of each class, by its name.
    """

    figures: Figures
    classes: dict[str, Figures]


NO_CLASSES = ByClass({}, {})


@final
@dataclass(frozen=True, kw_only=True)
class Seen:
    """Samples and items as a classifier sees them: features `(N, D)`, and then the label it finds.

    Attributes:
        samples: of each class, `(C, N, D + 1)`.
        items: test items, `(M, D + 1)`.
        labels: of the items, int64 `(M,)`.
        classes: the label of each class, int64 `(C,)`.
        what: says where the samples are from.
        label: whose features they are.
    """

    samples: Tensor
    items: Tensor
    labels: Tensor
    classes: Tensor
    what: str
    label: str


@torch.no_grad()
def class_figures(
    subject: Subject, seed: int, comparison: Comparison = BY_CLASSIFIER, world: World = ALONE
) -> ByClass:
    """The figures of samples of each class; none if the model is not told the class.

    Args:
        subject: the model and the data.
        seed: of the samples, and of which items they are compared with.
        comparison: by which features, and of how many items.
        world: the processes that share the items and the samples.
    """
    condition, names = subject.model.condition, class_names(subject.test.spec)
    if condition is None or not names:
        return NO_CLASSES
    titles = ("class_accuracy", "class_accuracy_real", DISTANCE_NAMES[comparison.features])
    reason = sample_absence(subject, needs_labels=True)
    if reason is None and len(names) > MAX_CLASSES:
        reason = f"the samples of {len(names):,} classes are too many to be compared"
    if reason is not None:
        return ByClass(all_absent(titles, reason), {})
    seen = look_at(subject, condition, names, seed, comparison, world)
    found = figures_of_first(lambda: compare_classes(seen), world)
    classes = {
        name: {title: found[f"{title} {place}"] for title in ("accuracy", "frechet")}
        for place, name in enumerate(names)
    }
    means = average_of(classes, "accuracy"), found["real"], average_of(classes, "frechet")
    return ByClass(dict(zip(titles, means, strict=True)), classes)


def class_names(spec: Spec) -> tuple[str, ...]:
    """The classes that a model is told, as far as its items have them."""
    place = class_place(spec)
    return () if place is None else spec.condition[place].categories


def look_at(
    subject: Subject,
    condition: Condition,
    names: Sequence[str],
    seed: int,
    comparison: Comparison,
    world: World,
) -> Seen:
    """Samples of each class, and test items; of several processes, the first has them all."""
    spec, test, device = subject.test.spec, subject.test.split, subject.model.device
    classifier = classifier_of(subject, world)
    extractor = comparison.extractor or classifier_extractor(classifier)

    def see(x: Tensor) -> Tensor:
        return torch.cat([extractor.extract(x), classifier(x).argmax(1, keepdim=True)], 1)

    order = test_order(subject, min(comparison.images, len(test)), seed)
    each, place = max(MIN_SAMPLES, len(order) // len(names)), class_place(spec)
    y = condition.encode(condition.of_categories(place or 0, len(names), each))
    judge = Extractor(extractor.name, extractor.label, see)
    stream = derive_seed(seed, "classes")
    codes = find_codes(subject.model, subject.folder)  # uniform ones say little about the model
    samples = sampled_features(subject, judge, codes, len(y), stream, world, y=y)
    shares = shared_items(test.take(order), device, world)
    return Seen(
        samples=samples.unflatten(0, (len(names), -1)) if len(samples) else samples,
        items=torch.cat([own.collect(see(batch.x).cpu()) for batch, own in shares]),
        labels=test.labels[order],
        classes=torch.tensor([spec.classes.index(name) for name in names]),
        what=DISTANCES["samples" if codes is None else "codes"],
        label=extractor.label,
    )


def compare_classes(seen: Seen) -> Figures:
    """The figures of each class by its place, such as `accuracy 0`, and `real` of the items."""
    figures: Figures = {"real": real_accuracy(seen)}
    for place, label in enumerate(seen.classes.tolist()):
        samples, items = seen.samples[place], seen.items[seen.labels == label]
        figures[f"accuracy {place}"] = share(
            samples[:, -1] == label,
            f"share {seen.what} of a class ({len(samples):,}) taken for it {JUDGE}",
        )
        figures[f"frechet {place}"] = (
            distance(items[:, :-1], samples[:, :-1], f"{seen.what} of a class", seen.label)
            if len(items) >= MIN_ITEMS
            else Absent(f"fewer than {MIN_ITEMS} test items")
        )
    return figures


def real_accuracy(seen: Seen) -> Figure | Absent:
    """What the classifier is right about among test items, the mean over their classes."""
    of_classes = [
        share(seen.items[seen.labels == label, -1] == label, "")
        for label in seen.classes.tolist()
        if (seen.labels == label).any()
    ]
    return average_figures(of_classes, f"accuracy on test items {JUDGE}, mean of the classes")


def average_of(classes: dict[str, Figures], title: str) -> Figure | Absent:
    """The mean of one figure over the classes that have it."""
    found = [figures[title] for figures in classes.values()]
    if not any(isinstance(one, Figure) for one in found):
        return found[0]
    first = next(one for one in found if isinstance(one, Figure))
    return average_figures(found, f"mean of the classes: {first.definition}")


def average_figures(found: Sequence[Figure | Absent], definition: str) -> Figure | Absent:
    """The mean of independent figures, of those that there are."""
    known = [one for one in found if isinstance(one, Figure)]
    if not known:
        return Absent("no class has enough items")
    errors = [one.error for one in known if one.error is not None]
    error = math.hypot(*errors) / len(known) if len(errors) == len(known) else None
    return make_figure(sum(one.value for one in known) / len(known), error, definition)
