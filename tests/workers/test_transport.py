"""What travels between processes arrives as it was, or is refused by one line."""

from __future__ import annotations

import io
import pickle
import sys
import threading
import types
from pathlib import Path

import pytest
import torch
from torch import nn

from steadynet.errors import DivergenceError, SteadyNetError
from steadynet.workers.transport import attempt, dump_job, failure, load_bundle, outcome, save_bundle
from workers import jobs


def test_an_exception_arrives_with_its_type_its_words_and_where_it_arose(tmp_path: Path) -> None:
    content = attempt(jobs.build_raiser(tmp_path), pickle.dumps("bug"))
    with pytest.raises(ZeroDivisionError) as raised:
        outcome(content)
    assert raised.value.args == ("by job 1",)
    assert "in fail\n" in raised.value.__notes__[0]


def test_a_refusal_stays_one_line() -> None:
    with pytest.raises(DivergenceError) as raised:
        outcome(failure(DivergenceError("the loss is not finite")))
    assert type(raised.value) is DivergenceError
    assert str(raised.value) == "the loss is not finite"
    assert not hasattr(raised.value, "__notes__")


def test_an_exception_that_cannot_be_read_again_arrives_by_name_and_place(tmp_path: Path) -> None:
    content = attempt(jobs.build_raiser(tmp_path), pickle.dumps("awkward"))
    with pytest.raises(RuntimeError, match=r"^AwkwardError in a worker process:") as raised:
        outcome(content)
    assert "in fail\n" in str(raised.value)
    assert "a fault in a job" in str(raised.value)


def test_a_result_that_cannot_be_sent_is_an_error_of_its_job() -> None:
    with pytest.raises((TypeError, pickle.PicklingError, AttributeError), match="lambda"):
        outcome(attempt(lambda job: lambda: job, pickle.dumps(1)))


def test_results_with_tensors_arrive_without_sharing_memory() -> None:
    sums = torch.arange(3.0)
    found = outcome(attempt(lambda job: (job, sums), pickle.dumps(7)))
    assert found[0] == 7
    assert torch.equal(found[1], sums)
    assert not sums.is_shared()


@pytest.mark.parametrize("mapped", [True, False])
def test_a_bundle_keeps_ties_and_is_private_to_its_reader(tmp_path: Path, mapped: bool) -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    images = torch.randn(6, 4)
    file = tmp_path / "bundle" if mapped else io.BytesIO()
    save_bundle((model, images, images[2:]), file)

    def read() -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
        return load_bundle(file if isinstance(file, Path) else io.BytesIO(file.getvalue()))

    one, other = read(), read()
    assert one[0][0].weight is one[0][1].weight
    assert torch.equal(one[0](one[1]), model(images))
    one[1][2] = 5.0
    assert torch.equal(one[2][0], torch.full((4,), 5.0))
    # Neither the file nor what another reader has of it changed.
    assert torch.equal(other[1], images)
    assert torch.equal(read()[1], images)


def test_what_cannot_be_sent_is_refused_by_one_line(tmp_path: Path) -> None:
    for what in (lambda: None, threading.Lock()):
        with pytest.raises(
            SteadyNetError, match=r"^what the workers need cannot be sent to another"
        ) as raised:
            save_bundle((nn.Linear(2, 2), what), tmp_path / "bundle")
        assert "\n" not in str(raised.value)
        with pytest.raises(SteadyNetError, match=r"^job 4 cannot be sent to another process") as raised:
            dump_job(4, what)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kept", ["the module", "nothing"])
def test_what_another_process_does_not_find_is_told_by_one_line(
    kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("of_a_notebook")
    monkeypatch.setitem(sys.modules, "of_a_notebook", module)
    net = type("Net", (nn.Linear,), {"__module__": "of_a_notebook"})
    vars(module)["Net"] = net
    save_bundle(net(2, 2), tmp_path / "bundle")
    if kept == "nothing":
        monkeypatch.delitem(sys.modules, "of_a_notebook")
    else:
        del vars(module)["Net"]
    with pytest.raises(
        SteadyNetError,
        match=r"^what the workers need cannot be read in another process \(.*of_a_notebook.*into a module",
    ) as raised:
        load_bundle(tmp_path / "bundle")
    assert "\n" not in str(raised.value)


def test_a_full_disk_is_told_with_its_mend() -> None:
    # Enough to overflow any buffer, into a file that is always full.
    with pytest.raises(
        SteadyNetError, match=r"^what the workers need cannot be written \(.*let TMPDIR name"
    ) as raised:
        save_bundle(torch.zeros(10**6), Path("/dev/full"))
    assert "\n" not in str(raised.value)
