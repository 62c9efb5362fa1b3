"""The body of the captured step on fake CUDA tensors, which need no GPU.

A fake tensor has a device but no memory, and mixing devices is an error. Autograd's engine refuses
fake CUDA tensors, so forward and backward are first traced to a flat list of operations, on the
processor; the list then runs on fake CUDA tensors. The rest of the step runs as it is.
"""

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx

from vae_cli.data.split import InMemory
from vae_cli.model import Loss, Objective
from vae_cli.settings import merge
from vae_cli.settings.build import build_model, build_objective
from vae_cli.training import Adam, CapturedEpoch, TrainState, loss_and_gradients

CUDA = torch.device("cuda")
ITEMS, BATCH = 20, 8
CASES = {"mlp": ("mlp", (1, 28, 28)), "conv": ("conv", (3, 32, 32)), "table": ("mlp", (5,))}


def make_state(network: str, shape: tuple[int, ...]) -> TrainState:
    config = merge(("test", {"model": {"network": network, "latent_dim": 3}}))
    model = build_model(config, shape)
    return TrainState(model, Adam(dict(model.named_parameters())), None)  # type: ignore[arg-type]


def trace_on_cpu(state: TrainState, objective: Objective, x: Tensor) -> GraphModule:
    """Forward and backward of a batch as a flat list of operations."""

    def flat(x: Tensor, warmup: Tensor) -> tuple[Tensor, ...]:
        loss, gradients = loss_and_gradients(state, objective, ITEMS, x, warmup)
        return loss.loss, *loss.terms.values(), *gradients

    return make_fx(flat)(x, torch.ones(()))


def move_constants(graph: GraphModule, before: nn.Module, after: nn.Module) -> None:
    """Replace the parameters and buffers in a traced graph by those of another model."""
    names = {id(tensor): name for name, tensor in before.state_dict(keep_vars=True).items()}
    moved = after.state_dict(keep_vars=True)
    for target in {node.target for node in graph.graph.nodes if node.op == "get_attr"}:
        constant = getattr(graph, target)
        delattr(graph, target)
        setattr(graph, target, moved[names[id(constant)]].detach())


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
    objective = build_objective(merge().objective)
    graph = trace_on_cpu(on_cpu, objective, torch.rand(BATCH, *shape))
    with FakeTensorMode():
        with CUDA:
            state = make_state(network, shape)
        move_constants(graph, on_cpu.model, state.model)

        def on_gpu(x: Tensor, warmup: Tensor) -> tuple[Loss, list[Tensor]]:
            loss, kl, distortion, *gradients = graph(x, warmup)
            return Loss(loss, {"kl": kl, "distortion": distortion}), gradients

        items = torch.zeros(ITEMS, *shape, device=CUDA)
        epoch = CapturedEpoch(state, objective, InMemory.whole(items), BATCH)
        epoch.plain = on_gpu  # type: ignore[assignment]
        epoch.step()
        tensors = {**state.optimizer.tensors(), **state.totals.sums, "batch": epoch.batch}
        for name, tensor in tensors.items():
            assert tensor.device.type == "cuda", name


def test_a_tensor_on_the_wrong_device_is_noticed() -> None:
    with FakeTensorMode(), pytest.raises(RuntimeError, match="device"):
        torch.zeros(3, device=CUDA) + torch.zeros(3)
