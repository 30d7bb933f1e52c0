"""A comparison so small that a cell takes a fraction of a second; picklable, for processes of their own."""

from __future__ import annotations

from steadynet.comparison import Problem
from steadynet.data import DataSplits
from steadynet.nvm.device import Device
from steadynet.training import Hardware, Settings
from training.small import CPU, SmallNet, images, small_net

HARDWARE: Hardware = CPU
SETTINGS = Settings(epochs=2, batch_size=12, lr=0.02, val_draws=2)


def load_data() -> DataSplits:
    return DataSplits("small", images(36, 0, augmented=True), images(12, 1), images(30, 2))


def make_model(seed: int) -> SmallNet:
    return small_net(seed)


def problem(name: str = "small") -> Problem:
    return Problem(make_model, load_data, Device(weight_bits=4, device_bits=2), name)
