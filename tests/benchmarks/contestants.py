"""Programs that train the 784-400-20 network on Fashion-MNIST with batches of 128 images.

Each contestant is an iterator, and every `next` trains on `TURN` further batches. A benchmark lets
them take turns, so that a computer that slows down slows all of them.
"""

import gzip
import itertools
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_cli.data.batch import Batch
from vae_cli.data.dataset import Spec
from vae_cli.data.fashion_mnist import FashionMNIST
from vae_cli.data.split import InMemory
from vae_cli.model import Context
from vae_cli.noise import Noise
from vae_cli.settings import choose, merge
from vae_cli.training import prepare_epoch

BATCH, TURN = 128, 47  # ten turns of 47 batches are one epoch of 469 (and one batch more)
EPOCH = 469


def ours(
    device: str = "cpu",
    copies: int = 1,
    dtype: torch.dtype = torch.float32,
    network: str = "mlp",
    objective: str = "elbo",
) -> Iterator[None]:
    """The code of `vae train`, on `copies` times as many images as a turn takes."""
    where = torch.device(device)
    images = FashionMNIST().train().items[: BATCH * TURN].to(where).repeat(copies, 1, 1, 1)
    settings = merge(("", {"model": {"network": network}, "objective": {"name": objective}}))
    shape = FashionMNIST.spec.shape
    spec = Spec("images", tuple(shape))
    state = choose(settings, spec).build_state(spec, where)
    state.dtype = dtype
    epoch = prepare_epoch(state, InMemory.whole(images), BATCH)
    while True:
        order = torch.randperm(len(images), device=where)[: BATCH * TURN]
        epoch.run(order, torch.full((TURN,), 1e-3), torch.ones(TURN))
        yield


def by_hand(network: str = "mlp", objective: str = "elbo") -> Iterator[None]:
    """Network and objective of `ours` in a plain training loop, with its data in memory."""
    settings = merge(("", {"model": {"network": network}, "objective": {"name": objective}}))
    shape = FashionMNIST.spec.shape
    spec = Spec("images", tuple(shape))
    plan = choose(settings, spec)
    model = plan.build_model(spec)
    images = FashionMNIST().train().items[: BATCH * TURN].float() / 255
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    minimized, context = plan.objective.build(model), Context(1.0, len(images), Noise(0))
    while True:
        for rows in torch.randperm(len(images)).split(BATCH):
            x = images[rows]
            adam.zero_grad()
            minimized(Batch(x), model(x, minimized.samples), context).losses["model"].backward()
            adam.step()
        yield


def iwae_by_hand(samples: int = 5) -> Iterator[None]:
    """IWAE of Burda et al. (2016) on the same network, written without any code of this package."""
    encoder = nn.Sequential(nn.Linear(784, 400), nn.ReLU(), nn.Linear(400, 40))
    decoder = nn.Sequential(nn.Linear(20, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())
    images = FashionMNIST().train().items[: BATCH * TURN].float().flatten(1) / 255
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    while True:
        for rows in torch.randperm(len(images)).split(BATCH):
            x = images[rows]
            mean, log_variance = encoder(x).chunk(2, 1)
            noise = torch.randn(samples, *mean.shape)
            z = mean + (0.5 * log_variance).exp() * noise
            log_posterior = -0.5 * (noise**2 + log_variance).sum(-1)
            log_prior = -0.5 * (z**2).sum(-1)
            squares = ((decoder(z) - x) ** 2).sum(-1)
            loss = -(log_prior - log_posterior - squares).logsumexp(0).mean()
            adam.zero_grad()
            loss.backward()
            adam.step()
        yield


class ArticleNet(nn.Module):
    """The article's network."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.mean, self.spread = (
            nn.Linear(784, 400),
            nn.Linear(400, 20),
            nn.Linear(400, 20),
        )
        self.up, self.out = nn.Linear(20, 400), nn.Linear(400, 784)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        hidden = F.relu(self.hidden(x))
        mean, spread = self.mean(hidden), self.spread(hidden)
        z = mean + torch.randn_like(mean) * spread.mul(0.5).exp()
        return self.out(F.relu(self.up(z))).sigmoid(), mean, spread


def article(device: str = "cpu") -> Iterator[None]:
    """The loop of the article: a DataLoader decodes torchvision's data set image by image."""
    from torchvision import datasets, transforms

    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "FashionMNIST" / "raw"
        raw.mkdir(parents=True)
        for packed in files("vae_cli.data.fashion_mnist").iterdir():
            if packed.name.endswith(".gz"):
                (raw / packed.name[:-3]).write_bytes(gzip.decompress(packed.read_bytes()))
        pictures = datasets.FashionMNIST(folder, transform=transforms.ToTensor())
    loader = torch.utils.data.DataLoader(pictures, batch_size=BATCH, shuffle=True)
    net = ArticleNet().to(device)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    batches = itertools.chain.from_iterable(loader for _ in itertools.count())
    squares = divergence = torch.zeros((), device=device)
    while True:
        for picture, _ in itertools.islice(batches, TURN):
            x = picture.view(len(picture), -1).to(device)
            adam.zero_grad()
            y, mean, spread = net(x)
            square = F.mse_loss(y, x, reduction="sum")
            kl = -0.5 * torch.sum(1 + spread - mean.pow(2) - spread.exp())
            (square + kl).backward()
            adam.step()
            squares, divergence = squares + square.detach(), divergence + kl.detach()
        yield


def pythae(device: str = "cpu") -> Iterator[None]:
    """The trainer of pythae, with its data in memory; needs `pip install pythae`."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Linear(784, 400)
            self.mean, self.spread = nn.Linear(400, 20), nn.Linear(400, 20)

        def forward(self, x: Tensor) -> ModelOutput:
            hidden = F.relu(self.hidden(x.flatten(1)))
            return ModelOutput(embedding=self.mean(hidden), log_covariance=self.spread(hidden))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.out = nn.Linear(20, 400), nn.Linear(400, 784)

        def forward(self, z: Tensor) -> ModelOutput:
            y = self.out(F.relu(self.up(z))).sigmoid()
            return ModelOutput(reconstruction=y.view(-1, 1, 28, 28))

    images = FashionMNIST().train().items[: BATCH * TURN].float() / 255
    shape = VAEConfig(input_dim=(1, 28, 28), latent_dim=20, reconstruction_loss="mse")
    trainer = BaseTrainer(
        model=VAE(shape, Encoder(), Decoder()),
        train_dataset=BaseDataset(images, torch.zeros(len(images))),
        training_config=BaseTrainerConfig(
            output_dir=tempfile.mkdtemp(),
            learning_rate=1e-3,
            per_device_train_batch_size=BATCH,
            optimizer_cls="Adam",
            no_cuda=device == "cpu",
        ),
    )
    trainer.prepare_training()
    for epoch in itertools.count(1):
        trainer.train_step(epoch)
        yield


@torch.no_grad()
def floor(dtype: torch.dtype = torch.float32, device: str = "cpu") -> Iterator[None]:
    """The matrix products of each step, forward and backward, and nothing else: a lower limit."""

    def full(*shape: int) -> Tensor:
        return torch.randn(*shape, device=device).to(dtype)

    x, h, z, g = full(BATCH, 784), full(BATCH, 400), full(BATCH, 20), full(BATCH, 400)
    into, narrow, widen, out = full(400, 784), full(40, 400), full(400, 20), full(784, 400)
    dy, dg, dq, dh = full(BATCH, 784), full(BATCH, 400), full(BATCH, 40), full(BATCH, 400)
    while True:
        for _ in range(TURN):
            _ = x @ into.T, h @ narrow.T, z @ widen.T, g @ out.T
            _ = dy.T @ g, dy @ out, dg.T @ z, dg @ widen, dq.T @ h, dq @ narrow, dh.T @ x
        yield
