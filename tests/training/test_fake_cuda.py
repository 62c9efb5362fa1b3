"""The body of the captured step on fake CUDA tensors, which need no GPU.

A fake tensor has a device but no memory, and mixing devices is an error. Autograd's engine refuses
fake CUDA tensors, so forward and backward are first traced to a flat list of operations, on the
processor; the list then runs on fake CUDA tensors. The rest of the step runs as it is.
"""

import pytest
import torch
from models import adam, spec_of
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from vae_cli.data.batch import Batch
from vae_cli.data.split import InMemory
from vae_cli.model import Loss, NegativeELBO
from vae_cli.noise import Noise
from vae_cli.settings import choose, merge
from vae_cli.training import CapturedEpoch, Gradients, TrainState, first_state, loss_and_gradients
from vae_cli.training.world import Share

CUDA = torch.device("cuda")
ITEMS, BATCH = 20, 8
CASES = {"mlp": ("mlp", (1, 28, 28)), "conv": ("conv", (3, 32, 32)), "table": ("mlp", (5,))}


def make_state(network: str, shape: tuple[int, ...]) -> TrainState:
    config = merge(("test", {"model": {"network": network, "latent_dim": 3}}))
    model = choose(config, spec_of(shape)).build_model(spec_of(shape))
    return first_state(model, NegativeELBO(), adam, Noise(0))  # a generator cannot be fake


def trace_on_cpu(state: TrainState, x: Tensor) -> GraphModule:
    """Forward and backward of a batch as a flat list of operations."""

    def flat(x: Tensor, warmup: Tensor) -> tuple[Tensor, ...]:
        loss, gradients = loss_and_gradients(state, ITEMS, Batch(x), warmup)
        return *loss.losses.values(), *loss.terms.values(), *gradients["model"]

    return make_fx(flat)(x, torch.ones(()))


def move_constants(graph: GraphModule, before: nn.Module, after: nn.Module) -> None:
    """Replace what is on the processor in a traced graph: parameters, buffers, the generator."""
    names = {id(tensor): name for name, tensor in before.state_dict(keep_vars=True).items()}
    moved = after.state_dict(keep_vars=True)
    for target in {node.target for node in graph.graph.nodes if node.op == "get_attr"}:
        constant = getattr(graph, target)
        delattr(graph, target)
        is_tensor = isinstance(constant, Tensor)
        setattr(graph, target, moved[names[id(constant)]].detach() if is_tensor else None)
    for node in graph.graph.nodes:
        if "device" in node.kwargs:
            node.update_kwarg("device", CUDA)
    graph.recompile()


def require_cuda(*lists: list[Tensor], **options: object) -> None:
    """Stands for the fused kernel of Adam, which has no fake version with a tensor as its rate."""
    tensors = [tensor for tensors in lists for tensor in tensors]
    tensors += [option for option in options.values() if isinstance(option, Tensor)]
    assert len(tensors) > len(lists)
    assert all(tensor.device.type == "cuda" for tensor in tensors)


@pytest.mark.parametrize("case", CASES)
def test_every_tensor_of_the_captured_step_is_on_the_gpu(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vae_cli.training.optimizers.adam", require_cuda)
    network, shape = CASES[case]
    on_cpu = make_state(network, shape)
    graph = trace_on_cpu(on_cpu, torch.rand(BATCH, *shape))
    with FakeTensorMode():
        with CUDA:
            state = make_state(network, shape)
        move_constants(graph, on_cpu.model, state.model)

        def on_gpu(batch: Batch, warmup: Tensor, share: Share) -> tuple[Loss, Gradients]:
            loss, kl, distortion, *gradients = graph(batch.x, warmup)
            terms = {"kl": kl, state.model.likelihood.distortion_name: distortion}
            return Loss({"model": loss}, terms, BATCH), {"model": gradients}

        items = torch.zeros(ITEMS, *shape, device=CUDA)
        epoch = CapturedEpoch(state, InMemory.whole(items), BATCH)
        epoch.plain = on_gpu  # type: ignore[assignment]
        epoch.step()
        tensors = {**state.tensors(), "batch": epoch.batch}
        del tensors["generator"]
        for name, tensor in tensors.items():
            assert tensor.device.type == "cuda", name


def test_a_tensor_on_the_wrong_device_is_noticed() -> None:
    with FakeTensorMode(), pytest.raises(RuntimeError, match="device"):
        torch.zeros(3, device=CUDA) + torch.zeros(3)
