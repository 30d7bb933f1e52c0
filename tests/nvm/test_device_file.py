"""Device files: what is saved is read back, and what cannot be is refused by one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from steadynet.errors import SteadyNetError
from steadynet.nvm.composed import Composed
from steadynet.nvm.conductance_law import Measured, Polynomial, Saturating
from steadynet.nvm.device import Device
from steadynet.nvm.device_file import EFFECTS, LAWS, named_device, read_device, save_device
from steadynet.nvm.device_law import LogNormalDevice
from steadynet.nvm.effects.bounded import Bounded
from steadynet.nvm.effects.common import Common
from steadynet.nvm.effects.drift import Drift
from steadynet.nvm.effects.read import PCMRead, Read
from steadynet.nvm.effects.stuck import Stuck
from steadynet.nvm.presets import PRESETS, Preset
from steadynet.nvm.variation import Gaussian, StateDependent
from steadynet.nvm.weight_law import Censored

MEASURED = Measured((10.0, 40.0, 100.0), (12.0, 44.0, 98.0), (3.0, 9.0, 6.0), unit="nS")
VARIATIONS: dict[str, Any] = {
    "gaussian": Gaussian(0.05),
    "state-dependent": StateDependent(0.1, 4.0, "weight"),
    "log-normal": LogNormalDevice(0.2) + Bounded(0.01, 1.1),
    "measured": MEASURED,
    "another size": MEASURED.at(0.3) + Stuck(0.01, 0.02) + Read(0.01, relative=True),
    "polynomial": Polynomial((1.0, 2.0, -0.5), g_max=30.0, g_min=1.0)
    + Drift(3600.0, 0.05, 0.01)
    + PCMRead(3600.0),
    "saturating": Saturating(1.0, 20.0, g_max=100.0) + Common(0.01, 0.02, "offset"),
}


@pytest.mark.parametrize("name", VARIATIONS)
def test_what_is_saved_is_read_back(name: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    device = Preset(name, "of test", VARIATIONS[name], "nowhere µ", 12.5 if name == "saturating" else None)
    save_device(device, path)
    assert read_device(path) == device
    assert named_device(str(path)) == device
    assert not list(tmp_path.glob("*tmp*"))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be_saved(name: str, tmp_path: Path) -> None:
    save_device(PRESETS[name], tmp_path / "own.yml")
    assert read_device(tmp_path / "own.yml") == PRESETS[name]


def test_a_law_of_its_own_size_follows_what_is_edited(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    save_device(Preset("own", "", MEASURED, "", 10.0), path)
    told = yaml.safe_load(path.read_text())
    assert "sigma_d" not in told["law"]
    before = read_device(path).law
    told["law"]["stds"] = [2 * std for std in told["law"]["stds"]]
    path.write_text(yaml.safe_dump(told))
    assert read_device(path).law.sigma_d == pytest.approx(2 * before.sigma_d)


def test_every_law_and_effect_is_saved_above() -> None:
    seen = {type(p.law) for p in PRESETS.values()}
    for variation in VARIATIONS.values():
        device = Device(variation=variation, on_off_ratio=10.0)
        seen |= {type(device.law), *(type(effect) for effect in device.effects)}
    assert seen == {*LAWS.values(), *EFFECTS.values()}


def test_a_fault_map_lies_beside_its_device(tmp_path: Path) -> None:
    np.savez(tmp_path / "faults.npz", w=np.zeros((1, 4, 2), dtype=np.int8))
    told = {"format": "steadynet-device", "version": 1, "law": {"class": "Gaussian", "sigma_d": 0.1}}
    (tmp_path / "d.yaml").write_text(
        yaml.safe_dump(told | {"effects": [{"class": "Stuck", "map": "faults.npz"}]})
    )
    device = Device(variation=read_device(tmp_path / "d.yaml").variation)
    assert device.effects == (Stuck(map=str(tmp_path / "faults.npz")),)


def test_a_relative_fault_map_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "devs").mkdir()
    np.savez("devs/faults.npz", w=np.zeros((1, 4, 2), dtype=np.int8))
    made = Preset("mine", "", Gaussian(0.1) + Stuck(map="devs/faults.npz"), "")
    save_device(made, Path("devs/a.yaml"))
    read = read_device(Path("devs/a.yaml"))
    assert isinstance(read.variation, Composed)
    (stuck,) = read.variation.effects
    assert isinstance(stuck, Stuck)
    assert stuck.digest == Stuck(map="devs/faults.npz").digest
    save_device(read, Path("b.yaml"))
    assert Device(variation=read_device(Path("b.yaml")).variation).effects


GOOD: dict[str, Any] = {
    "format": "steadynet-device", "version": 1, "name": "n", "law": {"class": "Gaussian", "sigma_d": 0.1},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, "is 'other' version 1, not 'steadynet-device' version 1"),
        ({"version": 2}, "version 2, not"),
        ({"laws": {}}, "unknown key 'laws': did you mean 'law'"),
        ({"name": 3}, "name must be text, got 3"),
        ({"on_off_ratio": 0.5}, "on_off_ratio must be a number > 1, got 0.5"),
        ({"on_off_ratio": True}, "on_off_ratio must be a number > 1, got True"),
        ({"law": "Gaussian"}, "law must be a mapping with a class"),
        ({"law": None}, "law must be a mapping with a class"),
        ({"law": {"class": "Gausian"}}, "unknown class of law 'Gausian': did you mean 'Gaussian'"),
        ({"law": {"class": "Gaussian", "sigma": 1}}, "unknown argument of Gaussian 'sigma': did you mean 'sigma_d'"),
        ({"law": {"class": "Gaussian", "sigma_d": -1}}, "law: sigma_d must be a finite number ≥ 0, got -1"),
        ({"law": {"class": "Measured", "targets": [1, 2]}}, r"law \(Measured\) lacks means, stds"),
        ({"law": {"class": "Measured", "targets": 1, "means": [1], "stds": [1]}}, "law: 'int' object is not iterable"),
        ({"law": {"class": "Polynomial", "coefficients": ["a"], "g_max": 1}}, r"law: Polynomial's coefficients\[0\]"),
        ({"effects": {"class": "Read"}}, "effects must be a list"),
        ({"law": {"class": ["Gaussian"]}}, "unknown class of law"),
        ({"effects": [{"class": "Gaussian"}]}, "unknown class of effects"),
        ({"effects": [{"class": "Read"}]}, r"effects\[0\] \(Read\) lacks sigma"),
        ({"effects": [{"class": "Read", "sigma": 0.1}, 3]}, r"effects\[1\] must be a mapping with a class"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "d.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **change}), encoding="utf-8")
    with pytest.raises(SteadyNetError, match=message) as refused:
        read_device(path)
    assert str(path) in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SteadyNetError, match=r"there is no device file .*devices fit"):
        named_device(str(tmp_path / "none.yaml"))
    for content, message in (
        (b"[1", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"- 1", "is no device file"),
    ):
        (tmp_path / "d.yaml").write_bytes(content)
        with pytest.raises(SteadyNetError, match=message):
            read_device(tmp_path / "d.yaml")
    with pytest.raises(SteadyNetError, match="unknown device 'rram5': did you mean 'rram"):
        named_device("rram5")


def test_a_law_that_no_file_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SteadyNetError, match="a device file cannot hold Censored"):
        save_device(Preset("c", "", Censored(0.1), ""), tmp_path / "c.yaml")
    assert not list(tmp_path.iterdir())
