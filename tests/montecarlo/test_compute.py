"""However it is computed, by chunks, by processes, channels-last or in bfloat16, the chips are those of the plain loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import steadynet as sn
from montecarlo.nets import DEVICE, NAMES, Locked, OnFile, Raises, grouped, pictures, recurrent
from montecarlo.slow_loop import figures_of, images, net, slow_monte_carlo
from montecarlo.test_blocks import problem
from steadynet.montecarlo import MonteCarloResult, block_monte_carlo, curve, monte_carlo, session
from steadynet.montecarlo.forward import Forward
from steadynet.workers import Pool
from steadynet.workers.serial import SerialPool


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums over threads are taken in another order; a worker has its share of this process's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def assert_close(a: MonteCarloResult, b: MonteCarloResult, rel: float = 0.0) -> None:
    for name in NAMES:
        np.testing.assert_allclose(a.values[name], b.values[name], rtol=rel, atol=rel, err_msg=name)
    for left, right in ((a.clean, b.clean), (a.quantised, b.quantised)):
        assert left == pytest.approx(right, rel=rel, abs=rel)
    assert a.mutual_information == pytest.approx(b.mutual_information, rel=rel, abs=rel)


def test_processes_give_the_very_numbers_of_one(tmp_path: Path) -> None:
    model, data = net(), images()
    model.train()
    before = {name: (tensor.data_ptr(), tensor.clone()) for name, tensor in model.state_dict().items()}
    two = sn.Compute(processes=2)
    found = curve(model, DEVICE, data, [0.0, 0.1, 0.2], draws=7, seed=3, batch_size=10, compute=two)
    expected = curve(model, DEVICE, data, [0.0, 0.1, 0.2], draws=7, seed=3, batch_size=10)
    for one, other in zip(found.results, expected.results, strict=True):
        assert_close(one, other)
    slow = slow_monte_carlo(model, DEVICE, data, draws=range(7), seed=3)
    np.testing.assert_allclose(found.results[2].nll.values, slow.nll, rtol=1e-11)
    # The caller's model is neither moved, shared, nor put into another mode.
    assert all(module.training for module in model.modules())
    for name, tensor in model.state_dict().items():
        assert (tensor.data_ptr(), tensor.is_shared()) == (before[name][0], False)
        assert torch.equal(tensor, before[name][1])


def test_processes_give_the_very_cells_of_one() -> None:
    model, data = problem(100)
    options: dict[str, Any] = {"blocks": 7, "cycles": 3, "seed": 2}
    found = block_monte_carlo(model, DEVICE, data, **options, compute=sn.Compute(processes=2))
    np.testing.assert_array_equal(found.cells, block_monte_carlo(model, DEVICE, data, **options).cells)


class Backwards(SerialPool[Any, Any]):
    """Finishes the last of each three jobs first."""

    size = 3  # pyright: ignore[reportAssignmentType, reportIncompatibleMethodOverride]

    def _run(self, jobs: Sequence[Any]) -> Iterator[tuple[int, Any]]:
        done = list(super()._run(jobs))
        for start in range(0, len(done), 3):
            yield from reversed(done[start : start + 3])


def pool_of(kind: type[Pool[Any, Any]]) -> Callable[..., Pool[Any, Any]]:
    return lambda build, arguments, *_: kind(build, arguments)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize("chunk", [1, 2])
def test_who_finishes_first_changes_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = net(), images()
    compute = sn.Compute(chunk=chunk)
    expected = monte_carlo(model, DEVICE, data, draws=8, compute=compute)
    cells = block_monte_carlo(model, DEVICE, data, blocks=5, cycles=4).cells
    monkeypatch.setattr(session, "open_workers", pool_of(Backwards))
    assert_close(monte_carlo(model, DEVICE, data, draws=8, compute=compute), expected)
    found = block_monte_carlo(model, DEVICE, data, blocks=5, cycles=4)
    np.testing.assert_array_equal(found.cells, cells)


def test_what_comes_too_soon_is_not_shown_before_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "open_workers", pool_of(Backwards))
    model, (x, y) = net(), images()
    with session.Session(model, DEVICE, (x, y), seed=0, stream="test") as held:
        accuracies = [seen.sums.nll for seen in held.draws(0.2, [4, 9, 2, 0])]
    slow = [slow_monte_carlo(model, DEVICE, (x, y), draws=range(k, k + 1)).nll[0] for k in (4, 9, 2, 0)]
    np.testing.assert_allclose(np.array(accuracies) / 37, slow, rtol=1e-11)


class Layouts(nn.Module):
    """Notes the strides in which images arrive."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.seen: set[tuple[int, ...]] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.seen.add(x.stride())
        logits: Tensor = self.inner(x)
        return logits


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_channels_last_is_how_images_lie_and_changes_nothing_else(channels: int, dtype: torch.dtype) -> None:
    model, data = Layouts(grouped(channels, dtype)), pictures(channels, dtype=dtype)
    expected = monte_carlo(model, DEVICE, data, draws=3, batch_size=10)
    assert model.seen == {(36 * channels, 36, 6, 1)}
    model.seen.clear()
    found = monte_carlo(model, DEVICE, data, draws=3, batch_size=10, compute=sn.Compute(channels_last=True))
    assert model.seen == {(36 * channels, 1, 6 * channels, channels)}
    assert_close(found, expected, rel=1e-11 if dtype == torch.float64 else 1e-4)


def test_channels_last_leaves_what_is_no_image_as_it_is() -> None:
    model, data = problem(30)
    found = monte_carlo(model, DEVICE, data, draws=2, compute=sn.Compute(channels_last=True))
    assert_close(found, monte_carlo(model, DEVICE, data, draws=2))


def test_bf16_is_autocast_with_the_chip_cast_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, y) = grouped(dtype=torch.float32), pictures(dtype=torch.float32)
    given: set[torch.dtype] = set()
    one = Forward.one

    def note(self: Forward, chip: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
        given.update(weight.dtype for weight in chip.values())
        return one(self, chip, inputs)

    monkeypatch.setattr(Forward, "one", note)
    found = monte_carlo(model, DEVICE, (x, y), draws=3, seed=5, compute=sn.Compute(precision="bf16"))
    assert given == {torch.bfloat16}, "cast as it is programmed, not at each batch"
    model.eval()
    for draw in range(3):
        chip = {
            name: weight.bfloat16() for name, weight in sn.program(model, DEVICE, seed=5, draw=draw).items()
        }
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            logits = sn.run(model, chip, x)
        assert logits.dtype == torch.bfloat16
        accuracy, nll, brier, _, _ = figures_of(logits, y)
        figures = [found.values[name][draw] for name in ("accuracy", "nll", "brier")]
        assert figures == pytest.approx([accuracy, nll, brier], rel=1e-11)


def test_bf16_keeps_accuracies_where_classes_are_apart() -> None:
    model, data = problem(500)
    exact = monte_carlo(model, DEVICE, data, draws=20)
    found = monte_carlo(model, DEVICE, data, draws=20, compute=sn.Compute(precision="bf16"))
    # Logits of up to 20 are rounded by 2⁻⁹ of themselves: only images whose best two classes lie within 0.1 can change,
    # fewer than 1 in 100 here. A chip of another draw differs by several points.
    np.testing.assert_allclose(found.accuracy.values, exact.accuracy.values, atol=0.01)
    assert not np.array_equal(found.nll.values, exact.nll.values)
    assert exact.accuracy.std > 0.005


def test_networks_in_float64_are_refused_in_bf16_and_stay_in_it_by_auto() -> None:
    model, data = net(), images()
    with pytest.raises(sn.SteadyNetError, match=r"cannot compute 0\.weight of Sequential, which is float64"):
        monte_carlo(model, DEVICE, data, draws=1, compute=sn.Compute(precision="bf16"))
    found = monte_carlo(model, DEVICE, data, draws=2, compute=sn.Compute(precision="auto"))
    assert_close(found, monte_carlo(model, DEVICE, data, draws=2))


@pytest.mark.parametrize("fast", [True, False])
def test_auto_precision_follows_the_hardware(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steadynet.montecarlo.forward.fast_bf16", lambda device: fast)
    model, data = problem(50)
    auto, told = (
        monte_carlo(model, DEVICE, data, draws=2, compute=sn.Compute(precision=precision))
        for precision in ("auto", "bf16" if fast else "32")
    )
    assert_close(auto, told)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "16"}, "unknown precision '16'"),
        ({"precision": 32}, "unknown precision 32"),
        ({"chunk": 0}, "chunk must be an integer ≥ 1, got 0"),
        ({"chunk": 2.5}, r"chunk must be an integer ≥ 1, got 2\.5"),
        ({"chunk": True}, "chunk must be an integer ≥ 1, got True"),
        ({"chunk": "all"}, "unknown chunk 'all'"),
        ({"processes": 0}, "processes must be an integer ≥ 1, got 0"),
        ({"processes": -2}, "processes must be an integer ≥ 1, got -2"),
        ({"compile": True, "chunk": 2}, "compile and chunk do not go together"),
        ({"compile": True, "chunk": "auto"}, "compile and chunk do not go together"),
        ({"ray": " "}, "ray must be 'local' or the HOST:PORT"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_made(options: dict[str, Any], message: str) -> None:
    with pytest.raises(sn.SteadyNetError, match=message) as raised:
        sn.Compute(**options)
    assert "\n" not in str(raised.value)


def failing(tmp_path: Path) -> dict[str, tuple[nn.Module, Any, sn.Compute, str]]:
    """Evaluations that fail: network, data, how, and what is told."""
    model, data = net(), images()
    (tmp_path / "file").write_bytes(b"")
    recurrent_net, recurrent_data = recurrent()
    many = sn.Compute(processes=2)
    return {
        "no such device": (model, data, sn.Compute(device="gpu"), "^device 'gpu' cannot be used here"),
        "no GPU": (model, data, sn.Compute(device="cuda:77"), "^device 'cuda:77' cannot be used here .*take 'cpu'"),
        "no batching rule": (
            recurrent_net,
            recurrent_data,
            sn.Compute(chunk=2),
            r"^one of draws 0 to 1 at sigma_d 0\.2: Recurrent cannot be run for several chips at once .*set chunk to 1$",
        ),
        "no copy": (Locked(), data, many, r"^Locked cannot be copied for other processes \(.*lock.*set processes to 1"),
        "no data to send": (
            model,
            OnFile(str(tmp_path / "file")),
            many,
            r"^what the workers need cannot be sent to another process \(.*BufferedReader.*no open files$",
        ),
        "in a worker": (
            nn.Sequential(nn.Flatten(), nn.Linear(36, 4).double(), nn.Linear(4, 2).double()),
            data,
            many,
            "labels run from 0 to 3, the network has classes 0 to 1",
        ),
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["no such device", "no GPU", "no batching rule", "no copy", "no data to send", "in a worker"],
)
@pytest.mark.filterwarnings("ignore:.*batching rule.*:UserWarning")
def test_a_failure_is_one_line_and_the_model_is_as_before(name: str, tmp_path: Path) -> None:
    model, data, compute, message = failing(tmp_path)[name]
    model.train()
    list(model.modules())[-1].eval()
    modes = [module.training for module in model.modules()]
    before = [(p.data_ptr(), p.device, p.clone()) for p in model.parameters()]
    with pytest.raises(sn.SteadyNetError, match=message) as raised:
        monte_carlo(model, DEVICE, data, draws=4, compute=compute)
    assert "\n" not in str(raised.value)
    assert [module.training for module in model.modules()] == modes
    for parameter, (place, device, value) in zip(model.parameters(), before, strict=True):
        assert (parameter.data_ptr(), parameter.device) == (place, device)
        assert torch.equal(parameter, value)


@pytest.mark.parametrize("chunk", [1, 3, "auto"])
def test_an_error_of_the_networks_own_comes_as_itself(chunk: Any) -> None:
    model = nn.Sequential(nn.Flatten(), Raises(36, 4).double())
    with pytest.raises(ZeroDivisionError, match="the network's own"):
        monte_carlo(model, DEVICE, images(), draws=4, compute=sn.Compute(chunk=chunk))
    assert model.training


@pytest.mark.parametrize("device", ["cpu", "auto", None])
def test_a_device_that_is_here_gives_the_same(device: str | None) -> None:
    model, data = net(), images()
    found = monte_carlo(model, DEVICE, data, draws=2, compute=sn.Compute(device=device))
    # A GPU, if there is one, rounds in its own way.
    assert_close(found, monte_carlo(model, DEVICE, data, draws=2), rel=1e-9)
    assert next(model.parameters()).device.type == "cpu"


def test_a_session_is_used_as_a_context() -> None:
    held = session.Session(net(), DEVICE, images(), seed=0, stream="test")
    with pytest.raises(RuntimeError, match="use it in a with statement"):
        held.trial(0.1)
