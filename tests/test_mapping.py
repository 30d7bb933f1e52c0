"""Which parameters lie on devices: the rule layer by layer, patterns, ties, and the printed report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from steadynet.chip import program
from steadynet.deploy import levels_of
from steadynet.errors import SteadyNetError
from steadynet.mapping import check_finite, layout
from steadynet.models import build
from steadynet.montecarlo import monte_carlo
from steadynet.nvm.device import Device
from steadynet.nvm.effects.stuck import Stuck
from steadynet.nvm.variation import Gaussian
from steadynet.recipes import recipe
from steadynet.training import fit
from zoo import ZOO, make


@pytest.mark.parametrize("name", ZOO)
def test_each_layers_weights_are_mapped_and_nothing_else(name: str) -> None:
    model = make(name)
    found = layout(model)
    assert {t.name: t.kind for t in found} == ZOO[name].mapped
    assert sorted(t.name for t in found.digital) == sorted(ZOO[name].digital)
    # Nothing is forgotten: mapped and digital together are the model's parameters, once each.
    parameters = dict(model.named_parameters())
    assert sorted([*found.names, *(t.name for t in found.digital)]) == sorted(parameters)
    for tensor in (*found.mapped, *found.digital):
        assert tensor.shape == tuple(parameters[tensor.name].shape)
        assert tensor.weights == parameters[tensor.name].numel()


def test_reasons_tell_why_a_parameter_stays_digital() -> None:
    norms = {t.name: t.reason for t in layout(make("norms")).digital}
    assert norms["1.weight"] == "norm (BatchNorm2d)"
    assert norms["1.bias"] == "bias of BatchNorm2d"
    assert norms["5.weight"] == "norm (RMSNorm)"
    assert norms["6.weight"] == "PReLU has no rule for 'weight'"
    odd = {t.name: t.reason for t in layout(make("no rule")).digital}
    assert odd["gain"] == "Odd has no rule for 'gain'"
    assert odd["linear.bias"] == "bias of Linear"
    attention = {t.name: t.reason for t in layout(make("attention with other keys")).digital}
    assert attention["bias_k"] == "bias of MultiheadAttention"


def test_projected_recurrent_weights_are_mapped() -> None:
    assert layout(nn.LSTM(3, 4, proj_size=2)).names == ("weight_ih_l0", "weight_hh_l0", "weight_hr_l0")


def test_a_subclass_follows_its_base_but_not_by_what_it_adds() -> None:
    class Scaled(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 2)
            self.weight_scale = nn.Parameter(torch.ones(1))

    class NormedLinear(nn.Linear):
        pass

    found = layout(Scaled())
    assert found.names == ("weight",)
    assert {t.name: t.reason for t in found.digital}[
        "weight_scale"
    ] == "Scaled has no rule for 'weight_scale'"
    assert layout(NormedLinear(3, 2)).names == ("weight",)


def test_any_norm_by_its_name_stays_digital() -> None:
    class MyNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))

    found = layout(nn.Sequential(nn.Linear(2, 2), MyNorm()))
    assert {t.name: t.reason for t in found.digital}["1.weight"] == "norm (MyNorm)"


def test_a_frozen_weight_lies_on_devices_all_the_same() -> None:
    model = nn.Linear(2, 2).requires_grad_(False)
    assert layout(model).names == ("weight",)


@pytest.mark.parametrize(
    ("name", "first", "aliases"),
    [
        ("tied", "embedding.weight", ("output.weight",)),
        ("shared", "first.weight", ("second.weight",)),
    ],
)
def test_tied_weights_are_one_tensor_with_aliases(name: str, first: str, aliases: tuple[str, ...]) -> None:
    tied = next(t for t in layout(make(name)) if t.aliases)
    assert (tied.name, tied.aliases) == (first, aliases)


def test_patterns_override_the_rule() -> None:
    model = make("no rule")
    assert layout(model, include=["mix.*"]).names == ("mix.weight", "mix.bias", "linear.weight")
    kinds = {t.name: t.kind for t in layout(model, include=["mix.weight", "linear.*"])}
    assert kinds == {"mix.weight": "named", "linear.weight": "linear", "linear.bias": "named"}
    vgg = build("vgg8", classes=10, shape=(1, 8, 8), options={"width": 0.1})
    assert layout(vgg, exclude=["fc*"]).names == tuple(f"conv{i}.weight" for i in range(1, 7))
    some = layout(vgg, exclude=["conv1.*", "fc2.weight"])
    reasons = {t.name: t.reason for t in some.digital}
    assert reasons["conv1.weight"] == reasons["fc2.weight"] == "excluded by name"


def test_exclude_wins_over_include() -> None:
    found = layout(make("no rule"), include=["*"], exclude=["*bias"])
    assert found.names == ("gain", "mix.weight", "linear.weight")


@pytest.mark.parametrize("alias", ["embedding.weight", "output.weight"])
def test_a_pattern_of_any_alias_speaks_for_the_tied_tensor(alias: str) -> None:
    assert layout(make("tied"), exclude=[alias]).names == ("hidden.weight",)


class Own(nn.Module):
    """Has a parameter that no rule knows."""

    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.w = weight


@pytest.mark.parametrize("name", ["0.w", "1.w"])
def test_any_name_of_a_tied_tensor_includes_it(name: str) -> None:
    weight = nn.Parameter(torch.ones(3, 3))
    assert layout(nn.Sequential(Own(weight), Own(weight)), include=[name]).names == ("0.w",)


def test_a_tied_tensor_stays_digital_for_the_reason_of_its_first_place() -> None:
    norm = nn.LayerNorm(4)
    found = layout(nn.Sequential(nn.Linear(4, 4), norm, Own(norm.weight)))
    assert {t.name: t.reason for t in found.digital}["1.weight"] == "norm (LayerNorm)"


def test_a_number_that_cannot_err_stays_digital_even_when_named() -> None:
    model = make("linear")
    model.register_parameter("count", nn.Parameter(torch.tensor([1, 2]), requires_grad=False))
    model.register_parameter("phase", nn.Parameter(torch.zeros(2, dtype=torch.complex64)))
    found = layout(model, include=["count", "phase"])
    assert found.names == ("weight",)
    reasons = {t.name: t.reason for t in found.digital}
    assert reasons["count"] == "its dtype torch.int64 is no floating point"
    assert reasons["phase"] == "its dtype torch.complex64 is no floating point"


def test_a_pattern_that_matches_nothing_is_refused() -> None:
    for patterns in ({"include": ["wieght"]}, {"exclude": ["*.weight", "fc.*"]}):
        with pytest.raises(
            SteadyNetError, match=r"pattern '(wieght|fc\.\*)' matches no parameter of Sequential"
        ):
            layout(make("norms"), **patterns)


@pytest.mark.parametrize(("bits", "slices"), [((8, 2), 4), ((8, 8), 1), ((6, 1), 6)])
def test_a_weight_takes_its_slices_in_both_crossbars(bits: tuple[int, int], slices: int) -> None:
    (tensor,) = layout(nn.Linear(5, 3), Device(*bits))
    assert tensor.devices == 2 * slices * 15


def test_the_report_has_a_line_per_parameter_and_a_sum() -> None:
    assert str(layout(make("tied"))).splitlines() == [
        "parameter                         shape  weights  devices  where",
        "embedding.weight = output.weight  7×4         28      224  embedding",
        "hidden.weight                     4×4         16      128  linear",
        "hidden.bias                       4            4        –  digital: bias of Linear",
        "44 of 48 parameters (91.67%) lie on 352 devices",
    ]


def test_what_a_computed_weight_is_made_of_is_counted_as_that_weight() -> None:
    from torch.nn.utils.parametrizations import weight_norm

    found = layout(nn.Sequential(weight_norm(nn.Linear(100, 50)), nn.ReLU(), nn.Linear(50, 2)))
    assert found.weights == 100 * 50 + 50 + 50 * 2 + 2
    assert found.made_of == {f"0.parametrizations.weight.original{i}" for i in (0, 1)}
    assert str(found).splitlines()[-1].startswith("5,100 of 5,152 parameters (98.99%)")
    whole = layout(weight_norm(nn.Linear(100, 50)))
    assert (whole.weights, len(whole.made_of)) == (5050, 2)
    kept = layout(nn.Sequential(weight_norm(nn.Linear(100, 50)), nn.Linear(50, 2)), exclude=["0.weight"])
    assert (kept.weights, kept.made_of) == (100 * 50 + 50 + 50 + 50 * 2 + 2, frozenset())


def test_the_report_counts_the_whole_of_vgg8() -> None:
    found = layout(build("vgg8", classes=10, shape=(3, 32, 32)))
    # Convolutions 4,499,136, linear layers 8192·1024 + 1024·10; biases 1,034 and BatchNorm 3,456 stay digital.
    on = 4_499_136 + 8192 * 1024 + 10_240
    last = str(found).splitlines()[-1]
    assert last == f"{on:,} of {on + 1034 + 3456:,} parameters (99.97%) lie on {8 * on:,} devices"


def test_the_layout_leaves_the_model_alone() -> None:
    model: Any = make("transformer layer")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    layout(model)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_a_buffer_may_be_infinite_as_a_mask_of_attention_is() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model.register_buffer("mask", torch.full((3, 3), -torch.inf).triu(1))
    check_finite(model)
    model.get_buffer("mask")[0, 0] = torch.nan
    with pytest.raises(SteadyNetError, match="mask of Sequential holds 1 NaN"):
        check_finite(model)


def test_a_value_that_is_not_finite_is_refused_by_name() -> None:
    model = make("norms")
    check_finite(model)
    with torch.no_grad():
        next(model.parameters())[0, 0, 0, :2] = float("nan")
    with pytest.raises(SteadyNetError, match=r"0\.weight of Sequential holds 2 NaN or infinite values"):
        check_finite(model)
    model = make("norms")
    model.get_buffer("1.running_var")[1] = float("inf")
    with pytest.raises(SteadyNetError, match=r"1\.running_var of Sequential holds 1 NaN"):
        check_finite(model)


def test_a_device_brings_its_own_exceptions_to_every_use() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    device = Device(variation=Gaussian(0.2), include=("1.weight",), exclude=["0.*"])
    assert device.exclude == ("0.*",)
    assert layout(model, device).names == ("1.weight", "2.weight")
    assert layout(model, device, exclude=["2.weight"]).names == ("1.weight",)
    assert set(program(model, device)) == {"1.weight", "2.weight"}
    data = torch.randn(16, 4, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 2
    everything_digital_but = Device(
        variation=Gaussian(0.2), exclude=("0.weight", "2.weight"), include=("1.bias",)
    )
    found = monte_carlo(model, everything_digital_but, data, draws=2)
    assert found.clean["nll"] == pytest.approx(found.nll.mean), "the included bias is zero, so nothing errs"
    fit(model, recipe("noise"), device, data, data, epochs=1, batch_size=8)
    assert set(levels_of(model, device).tensors) == {"1.weight", "2.weight"}


@pytest.mark.parametrize("wrong", ["0.*", [1], ("a", None)])
def test_patterns_of_a_device_are_a_list_of_names(wrong: Any) -> None:
    with pytest.raises(SteadyNetError, match="must be a list of name patterns"):
        Device(include=wrong)


def test_irs_heads_follow_the_rule_whatever_the_devices_patterns() -> None:
    model = build("cnn", classes=3, shape=(1, 8, 8), options={"width": 0.25})
    data = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 3
    device = Device(variation=Gaussian(0.1), exclude=("fc2.weight",))
    result = fit(model, recipe("irs", heads_hidden=4), device, data, data, epochs=1, batch_size=4)
    assert len(result.history) == 1


class Tied(nn.Module):
    """An embedding whose weight is held under another name first."""

    def __init__(self) -> None:
        super().__init__()
        e = nn.Embedding(6, 4)
        self.w = e.weight
        self.e = e
        self.out = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(self.e(x).mean(1))


def test_a_tied_weight_lies_as_the_layer_that_computes_with_it_has_it() -> None:
    (tied, _) = layout(Tied()).mapped
    assert (tied.name, tied.aliases, tied.kind) == ("w", ("e.weight",), "embedding")
    assert tied.matrix.input_major


def test_faults_of_what_does_not_lie_on_devices_are_refused(tmp_path: Path) -> None:
    def device(**arrays: np.ndarray[Any, Any]) -> Device:
        np.savez(tmp_path / "f.npz", **arrays)
        return Device(variation=Gaussian(0.0) + Stuck(map=str(tmp_path / "f.npz")))

    net, none = Tied(), np.zeros((1, 4, 3, 4), dtype=np.int8)
    assert layout(net, device(**{"out.weight": none})).names == ("w", "out.weight")
    with pytest.raises(SteadyNetError, match=r"unknown tensor in the fault map 'module.out.weight'"):
        layout(net, device(**{"module.out.weight": none}))
    with pytest.raises(SteadyNetError, match=r"the fault map tells of e.weight, which is tied to w"):
        layout(net, device(**{"e.weight": none}))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("tile", 256, "tile must be rows and columns"),
        ("include", None, "include must be a list of name patterns"),
    ],
)
def test_a_device_of_what_is_none_is_refused(field: str, value: Any, message: str) -> None:
    with pytest.raises(SteadyNetError, match=message):
        Device(**{field: value})
