"""The peer does the same work as ours, in a process that works only when it is told to."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from benchmarks.peer.conversation import Worker
from benchmarks.peer.environment import REQUIREMENTS, peer_python
from benchmarks.peer.rows import architecture, check_same_work
from benchmarks.peer.worker import network as peer_network
from benchmarks.peer.worker import noise_std
from benchmarks.scale import TINY
from benchmarks.steps import CLASSES, batch, network
from steadynet.errors import SteadyNetError


def spec() -> dict[str, Any]:
    return {
        **architecture(network(TINY)),
        "size": TINY.size,
        "classes": CLASSES,
        "threads": 1,
        "std_dev": 0.16,
    }


def test_the_peers_network_is_ours() -> None:
    ours, theirs = network(TINY), peer_network(spec())
    own = list(ours.state_dict().values())
    theirs.load_state_dict(dict(zip(theirs.state_dict(), own, strict=True)))
    images, _ = batch(TINY)
    assert torch.equal(ours(images), theirs(images))


class Noisy(nn.Linear):
    """Adds normal noise of 0.3 max|W| to its weights at each forward."""

    def forward(self, input: Tensor) -> Tensor:
        noise = 0.3 * self.weight.abs().max() * torch.randn_like(self.weight)
        return nn.functional.linear(input, self.weight + noise, self.bias)


def test_the_std_of_a_layers_noise_is_found() -> None:
    # The std of 20,000 numbers has a std of 1/sqrt(40,000) = 0.5 %; the bound of 3 %, 6 std, gives a false alarm of
    # 2e-9, and finds noise that is 5 % off with a power above 0.9999.
    torch.manual_seed(0)
    assert abs(noise_std(Noisy(64, 10)) / 0.3 - 1) < 0.03


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parameters": 1}, "1 parameters"),
        ({"analog_layers": 6}, "6 analog_layers, ours 8"),
        ({"threads": 7}, "7 threads, ours 1"),
        ({"noise_std": 0.2}, "std of 0.2000"),
    ],
)
def test_a_peer_that_does_other_work_is_refused(change: dict[str, Any], message: str) -> None:
    net = network(TINY)
    told = {
        "parameters": sum(p.numel() for p in net.parameters()),
        "analog_layers": 8,
        "threads": 1,
        "noise_std": 0.161,
    }
    check_same_work(told, spec(), net)
    with pytest.raises(SteadyNetError, match=message):
        check_same_work({**told, **change}, spec(), net)


ECHO = """
import json, sys
print("a library greets")
for number, line in enumerate(sys.stdin):
    print("answer " + json.dumps({"line": line.strip(), "number": number}), flush=True)
"""


def test_a_worker_answers_each_line_once_and_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.peer.conversation.PAUSE", 0.0)
    with Worker([sys.executable, "-c", ECHO]) as worker:
        assert [worker.ask(word) for word in ("one", "two")] == [
            {"line": "one", "number": 0},
            {"line": "two", "number": 1},
        ]


@pytest.mark.parametrize(
    "code", ["raise SystemExit('no aihwkit here')", "input(); raise SystemExit('no aihwkit here')"]
)
def test_a_worker_that_ends_says_why(code: str) -> None:
    with Worker([sys.executable, "-c", code]) as worker:
        with pytest.raises(SteadyNetError, match="ended with 1: no aihwkit here"):
            worker.ask("go")
        with pytest.raises(SteadyNetError, match="ended with 1: no aihwkit here"):
            worker.ask("go")


def test_an_environment_that_is_there_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".installed").write_text("\n".join(REQUIREMENTS))
    assert peer_python(tmp_path).is_relative_to(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".installed"]


def test_a_folder_of_something_else_is_not_emptied(tmp_path: Path) -> None:
    precious = tmp_path / "thesis.txt"
    precious.write_text("words")
    with pytest.raises(SteadyNetError, match="no virtual environment"):
        peer_python(tmp_path)
    assert precious.read_text() == "words"


def test_the_worker_needs_nothing_of_steadynet() -> None:
    from benchmarks.peer.rows import WORKER

    assert "import steadynet" not in WORKER.read_text()
    assert json.dumps(spec())
