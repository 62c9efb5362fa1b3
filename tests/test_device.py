"""The device to compute on: which one is chosen, and how it is described."""

from dataclasses import replace

import pytest
import torch

from vae_cli.device import available_devices, describe_device, resolve_device, take_own_gpu
from vae_cli.errors import UsageError
from vae_cli.processes import first_place


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> list[str]:
    """As if torch found only these devices, and the processor."""
    found: list[str] = request.param
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in found)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in found)
    return [*found, "cpu"]


@pytest.mark.parametrize("only", [[], ["cuda"], ["mps"], ["cuda", "mps"]], indirect=True)
def test_auto_is_the_fastest_available_device(only: list[str]) -> None:
    assert available_devices() == only
    assert resolve_device("auto") == torch.device(only[0])
    for name in only:
        assert resolve_device(name) == torch.device(name)


@pytest.mark.parametrize(
    ("only", "name", "message"),
    [
        ([], "cuda", "found cpu; use device=cpu or auto"),
        ([], "mps", "found cpu; use device=cpu or auto"),
        (["cuda"], "mps", "found cuda and cpu; use device=cuda or auto"),
    ],
    indirect=["only"],
)
def test_a_device_that_is_not_available_is_refused_with_those_that_are(
    only: list[str], name: str, message: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        resolve_device(name)
    expected = f"device {name} is not available: torch {torch.__version__} {message}"
    assert str(refusal.value) == expected


def test_denormal_numbers_are_treated_as_zero_on_the_processor() -> None:
    if not torch.set_flush_denormal(False):
        pytest.skip("this processor does not support it")
    tiny = torch.full((4,), 2e-38)
    assert (tiny / 16 > 0).all()
    resolve_device("cpu")
    assert (tiny / 16 == 0).all()


@pytest.mark.parametrize(("threads", "expected"), [(1, "cpu (1 thread)"), (3, "cpu (3 threads)")])
def test_the_processor_is_described_with_its_threads(
    monkeypatch: pytest.MonkeyPatch, threads: int, expected: str
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert describe_device(torch.device("cpu")) == expected


def test_a_gpu_is_described_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA Test")
    assert describe_device(torch.device("cuda")) == "cuda (NVIDIA Test)"
    assert describe_device(torch.device("mps")) == "mps"


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    take_own_gpu(replace(first_place(2), local_rank=1))
    assert taken == [1]
    with pytest.raises(UsageError, match=r"3 processes .* found 2: use training.processes=2"):
        take_own_gpu(first_place(3))
    monkeypatch.setenv("SLURM_GPUS_PER_TASK", "1")  # this one is the only one that it sees
    take_own_gpu(replace(first_place(3), local_rank=2))
    assert taken == [1]
