"""A training improves the net, ends with its best epoch, and leaves everything else as it was."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from steadynet.chip import program, run
from steadynet.errors import SteadyNetError
from steadynet.recipes import RECIPES, recipe
from steadynet.training import Hardware, Settings, fit
from steadynet.training.batchnorm import own_batchnorm
from training.small import CPU, DEVICE, SmallNet, differences, images, kept, small_net


def accuracy(net: nn.Module, count: int = 60, seed: int = 9) -> float:
    inputs, labels = images(count, seed=seed).batch(torch.arange(count), augment_key=None)
    with torch.no_grad():
        return float((net.eval()(inputs).argmax(1) == labels).double().mean())


@pytest.mark.parametrize("name", RECIPES)
def test_every_named_recipe_learns(name: str) -> None:
    net = small_net()
    # By chance a third is right; 60 test images put 5 std at 0.64, so 0.8 is no luck.
    result = fit(
        net,
        recipe(name),
        DEVICE,
        images(96),
        images(30, seed=1),
        hardware=CPU,
        # Weights that are held at their size turn by their stride, not by lr: 64 steps are too few.
        epochs=24 if name == "steady" else 8,
        batch_size=12,
        lr=1e-2,
        val_draws=2,
    )
    assert result.model is net
    assert accuracy(net) > 0.8
    assert result.best_accuracy > 0.6
    losses = [row["loss"] for row in result.history]
    assert losses[-1] < losses[0]
    assert not result.interrupted
    assert result.seconds > 0
    rates = [row["lr"] for row in result.history]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-9), "the cosine ends at 0"


def noisy_accuracy(net: nn.Module, draws: int, seed: int) -> float:
    """Mean accuracy over the validation chips, programmed one by one."""
    inputs, labels = images(30, seed=1).batch(torch.arange(30), augment_key=None)
    shares: list[float] = []
    for draw in range(draws):
        made = program(net, DEVICE.at(0.3), seed=seed, draw=draw, stream="validation")
        with torch.no_grad():
            shares.append(float((run(net.eval(), made, inputs).argmax(1) == labels).double().mean()))
    return sum(shares) / draws


def test_the_model_ends_with_the_epoch_that_is_best_on_noisy_chips(tmp_path: Path) -> None:
    # Without noise in training the noisy accuracy rises and falls again, while the clean one stays at its best.
    net = small_net()
    result = fit(
        net,
        recipe("vanilla"),
        DEVICE.at(0.3),
        images(48),
        images(30, seed=1),
        hardware=CPU,
        out=tmp_path / "run",
        epochs=8,
        batch_size=12,
        lr=5e-3,
        val_draws=3,
        seed=6,
    )
    noisy = [row["val_accuracy_noisy"] for row in result.history]
    clean = [row["val_accuracy"] for row in result.history]
    assert result.best_epoch == noisy.index(max(noisy)), "the first of equals"
    assert result.best_accuracy == max(noisy)
    assert result.best_epoch != len(noisy) - 1, "or the test would say nothing: choose another seed"
    assert result.best_epoch != clean.index(max(clean)), "or the test would say nothing: choose another seed"
    assert noisy_accuracy(net, draws=3, seed=6) == pytest.approx(max(noisy))
    inputs, labels = images(30, seed=1).batch(torch.arange(30), augment_key=None)
    with torch.no_grad():
        share = float((net.eval()(inputs).argmax(1) == labels).double().mean())
    assert share == pytest.approx(clean[result.best_epoch])


def test_a_training_repeats_and_depends_on_its_seed() -> None:
    def train(seed: int) -> Any:
        return fit(
            small_net(),
            recipe("ovf"),
            DEVICE,
            images(24, augmented=True),
            images(12),
            hardware=CPU,
            epochs=2,
            batch_size=8,
            seed=seed,
        )

    first = train(0)
    torch.manual_seed(123)
    again, other = train(0), train(1)
    assert kept(first) == kept(again)
    assert differences(dict(first.model.state_dict()), dict(again.model.state_dict())) == []
    assert differences(dict(first.model.state_dict()), dict(other.model.state_dict())) != []


@pytest.mark.parametrize("name", ["noise", "irs"])
def test_the_global_generators_are_left_alone(name: str) -> None:
    def states() -> list[Any]:
        numpy = np.random.get_state(legacy=False)  # noqa: NPY002 (the global one is meant)
        return [torch.random.get_rng_state().tolist(), random.getstate(), str(numpy)]

    before = states()
    fit(small_net(), recipe(name), DEVICE, images(16), images(8), hardware=CPU, epochs=1, batch_size=8)
    assert states() == before


@pytest.mark.parametrize("name", RECIPES)
def test_the_model_keeps_class_hooks_names_and_mode(name: str) -> None:
    net = small_net().eval()
    calls: list[bool] = []
    handle = net.conv2.register_forward_hook(lambda *_: calls.append(net.conv2.training))
    names, parameters = list(net.state_dict()), list(net.parameters())
    fit(net, recipe(name), DEVICE, images(16), images(8), hardware=CPU, epochs=1, batch_size=8)
    assert type(net) is SmallNet
    assert list(net.state_dict()) == names
    assert all(one is other for one, other in zip(parameters, net.parameters(), strict=True))
    assert True in calls, "the user's hook ran in training"
    assert False in calls, "and in validation"
    assert handle.id in net.conv2._forward_hooks
    assert len(net.conv2._forward_hooks) == 1
    assert not net.training
    assert not any(type(m).__name__ == "SyncBatchNorm" for m in net.modules())


def test_initial_weights_come_from_a_state_or_a_file(tmp_path: Path) -> None:
    start = small_net(seed=4)
    path = tmp_path / "start.pt"
    torch.save(start.state_dict(), path)
    results = [
        fit(
            net,
            recipe("noise"),
            DEVICE,
            images(16),
            images(8),
            hardware=CPU,
            epochs=1,
            batch_size=8,
            init=init,
        ).model.state_dict()
        for net, init in (
            (small_net(seed=4), None),
            (small_net(), dict(start.state_dict())),
            (small_net(), path),
            (small_net(), str(path)),
        )
    ]
    for result in results[1:]:
        assert differences(dict(results[0]), dict(result)) == []
    with pytest.raises(SteadyNetError, match=r"missing .*conv1.weight.*unexpected x"):
        fit(
            small_net(),
            recipe("noise"),
            DEVICE,
            images(16),
            images(8),
            hardware=CPU,
            init={"x": torch.ones(1)},
        )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Settings(epochs=0), "epochs must be an integer ≥ 1, got 0"),
        (lambda: Settings(lr=0), "lr must be a finite number > 0, got 0"),
        (lambda: Settings(optimizer="adm"), "unknown optimizer 'adm': did you mean 'adam'"),  # type: ignore[arg-type]
        (lambda: Settings(val_draws=0), "val_draws must be an integer ≥ 1"),
        (lambda: Settings(seed=-1), "seed must be an integer ≥ 0"),
        (lambda: Settings(gradient_clip=-1), "gradient_clip must be a finite number ≥ 0"),
        (lambda: Hardware(strategy="fsdp"), "strategy 'fsdp' is refused: a sharded parameter"),
        (lambda: Hardware(accelerator="gpuu"), "unknown accelerator 'gpuu': did you mean 'gpu'"),
        (lambda: Hardware(devices=0), "devices must be an integer ≥ 1, got 0"),
        (lambda: Hardware(devices="many"), "devices must be 'auto' or a number, got 'many'"),
    ],
)
def test_settings_out_of_range_are_refused(make: Any, message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        make()


def test_an_unknown_setting_names_those_there_are() -> None:
    with pytest.raises(
        SteadyNetError, match=r"unexpected keyword argument 'epoch'.*its settings are epochs, batch_size"
    ):
        fit(small_net(), recipe("noise"), DEVICE, images(16), images(8), hardware=CPU, epoch=3)


def test_a_layer_under_two_names_stays_a_layer() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(8, 8)
            self.again = self.first
            self.last = nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.last(torch.relu(self.again(torch.relu(self.first(x)))))
            return result

    generator = torch.Generator().manual_seed(0)
    data = torch.randn(32, 8, generator=generator), torch.randint(0, 3, (32,), generator=generator)
    network = Shared()
    first = network.first.weight
    before = first.detach().clone()
    fit(network, recipe("noise"), DEVICE, data, data, hardware=CPU, epochs=2, batch_size=8)
    assert network.first.weight is first is network.again.weight
    assert isinstance(first, nn.Parameter)
    assert not torch.equal(first.detach(), before), "it was trained"


@pytest.mark.parametrize("changes", [{"optimizer": "sgd"}, {"batch_size": 3}, {"workers": -1}])
def test_what_a_training_refuses_costs_nothing_that_was_there(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    old = tmp_path / "result.json"
    old.write_text("{}")
    with pytest.raises(SteadyNetError):
        fit(
            small_net(), recipe("steady"), DEVICE, images(16), images(8), hardware=CPU, epochs=1,
            out=tmp_path, overwrite=True, **changes,
        )  # fmt: skip
    assert old.read_text() == "{}"
    assert list(tmp_path.iterdir()) == [old]


def test_layers_that_the_user_put_into_evaluation_mode_stay_there() -> None:
    net = small_net().train()
    net.bn.eval()
    seen: list[bool] = []
    net.bn.register_forward_hook(lambda *_: seen.append(net.bn.training))
    mean = cast("Tensor", net.bn.running_mean).clone()
    fit(net, recipe("noise"), DEVICE, images(16), images(8), hardware=CPU, epochs=2, batch_size=8)
    assert seen
    assert not any(seen)
    assert torch.equal(cast("Tensor", net.bn.running_mean), mean), "its statistics are frozen"
    assert net.training
    assert net.fc.training
    assert not net.bn.training


def test_batchnorm_layers_come_back_from_being_synchronised() -> None:
    net = small_net()
    own, calls = net.bn, list[int]()
    own.register_forward_hook(lambda *_: calls.append(1))
    with own_batchnorm(net):
        torch.nn.SyncBatchNorm.convert_sync_batchnorm(net)
        assert isinstance(net.bn, torch.nn.SyncBatchNorm)
        with torch.no_grad():
            cast("Tensor", net.bn.weight).fill_(3.0)
            net.bn.running_mean = torch.full((4,), 2.0)
    assert net.bn is own
    assert type(own) is torch.nn.BatchNorm2d
    assert own.weight.tolist() == [3.0] * 4
    assert cast("Tensor", own.running_mean).tolist() == [2.0] * 4
    net.eval()(torch.zeros(1, 1, 8, 8))
    assert calls == [1]


def test_the_deployed_weights_are_of_an_epoch_whose_clip_is_what_it_is_to_be() -> None:
    # Without the rule these trainings end with an epoch before the last: there the clip is still wide, and noise is large.
    for seed in range(3):
        net = small_net()
        result = fit(
            net, recipe("noise", clip=1.2, clip_start=5.0, clip_until=1.0), DEVICE, images(96), images(30, seed=1), hardware=CPU,
            epochs=4, batch_size=12, lr=1e-2, val_draws=2, seed=seed,
        )  # fmt: skip
        assert result.best_epoch == 3
        for name in ("conv1.weight", "fc.weight"):
            weight = dict(net.named_parameters())[name].detach()
            # The clip shrinks the std that defines it, and later steps of Adam are small, as the cosine ends at 0.
            assert float(weight.abs().max() / weight.std(correction=0)) < 1.35, name


def test_until_a_constraint_has_settled_the_best_epoch_so_far_is_kept() -> None:
    half = recipe("noise", clip=1.2, clip_start=5.0, clip_until=0.5)
    found = fit(
        small_net(), half, DEVICE, images(96), images(30, seed=1), hardware=CPU, epochs=4, batch_size=12, lr=1e-2, val_draws=2,
    )  # fmt: skip
    # Epochs 1 to 3 end at half of the steps and later.
    noisy = [row["val_accuracy_noisy"] for row in found.history]
    assert found.best_epoch == 1 + max(range(3), key=lambda epoch: noisy[1 + epoch])


def test_embeddings_that_change_their_weights_or_give_sparse_gradients_are_refused() -> None:
    class Words(nn.Module):
        def __init__(self, **options: Any) -> None:
            super().__init__()
            self.embed = nn.Embedding(10, 4, **options)
            self.fc = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return cast("Tensor", self.fc(self.embed(x.long()).mean(1)))

    words = (torch.arange(40).reshape(20, 2) % 10, torch.arange(20) % 3)
    for options, told in (
        ({"max_norm": 1.0}, "let it have max_norm=None, or exclude it"),
        ({"sparse": True}, "let it have sparse=False"),
    ):
        with pytest.raises(SteadyNetError, match=told):
            fit(Words(**options), recipe("noise"), DEVICE, words, words, hardware=CPU, epochs=1)
    fit(Words(), recipe("noise"), DEVICE, words, words, hardware=CPU, epochs=1)
