"""From options to what is run: networks that return more than logits, and processes that torchrun started."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

from steadynet.data import load
from steadynet.errors import SteadyNetError
from steadynet.options.build import check_model, training_hardware
from steadynet.options.groups import TrainingOptions


class Named(nn.Module):
    """Returns its logits beside other things, as networks of Hugging Face do."""

    def __init__(self, outputs: int = 10) -> None:
        super().__init__()
        self.fc = nn.Linear(64, outputs)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"loss": x.sum(), "logits": self.fc(x.flatten(1))}


def test_logits_among_other_things_are_found_and_counted() -> None:
    data = load("digits", train_images=100, test_images=20)
    check_model(Named(), data)
    with pytest.raises(SteadyNetError, match="Named gives 3 logits, but digits has 10 classes"):
        check_model(Named(3), data)


def started(monkeypatch: pytest.MonkeyPatch, here: int, whole: int) -> None:
    for name, value in (("TORCHELASTIC_RUN_ID", "x"), ("LOCAL_WORLD_SIZE", here), ("WORLD_SIZE", whole)):
        monkeypatch.setenv(name, str(value))


def test_torchruns_processes_are_all_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    started(monkeypatch, 2, 6)
    found = training_hardware(TrainingOptions())
    assert (found.devices, found.num_nodes) == (2, 3)
    assert training_hardware(TrainingOptions(devices=2, nodes=3)) == found
    with pytest.raises(
        SteadyNetError, match="torchrun started 2 processes on each of 3 machines, and --devices 4"
    ):
        training_hardware(TrainingOptions(devices=4))
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    alone = training_hardware(TrainingOptions())
    assert (alone.devices, alone.num_nodes) == (1, 1), "another launcher's variables mean something else"
