"""A network's state goes to disk and comes back as it was, and what is not its state is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from steadynet.deploy import load_state, read_state, save_backbone, save_state_dict
from steadynet.errors import SteadyNetError
from steadynet.recipes import recipe
from steadynet.training import Settings, fit
from training.small import CPU, DEVICE, images, small_net

Save = Callable[[nn.Module, Path], None]
WRITERS: dict[str, Save] = {"net.safetensors": save_backbone, "net.pt": save_state_dict}


class Tied(nn.Module):
    """An embedding whose weight is the output layer's too, a buffer, and a weight that is no contiguous memory."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.embedding = nn.Embedding(5, 3)
        self.output = nn.Linear(3, 5)
        self.output.weight = self.embedding.weight
        self.turned = nn.Parameter(torch.randn(3, 4, generator=generator).t())
        self.register_buffer("counts", torch.arange(4) + seed)
        with torch.no_grad():
            for parameter in (self.embedding.weight, self.output.bias):
                parameter.copy_(torch.randn(parameter.shape, generator=generator))


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(
        torch.equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in one
    )


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("make", [Tied, small_net])
def test_a_state_comes_back_as_it_was(name: str, make: Callable[[int], nn.Module], tmp_path: Path) -> None:
    model, other = make(1), make(2)
    before = snapshot(model)
    WRITERS[name](model, tmp_path / name)
    assert same(snapshot(model), before), "writing changes nothing"
    assert {key: tuple(t.shape) for key, t in read_state(tmp_path / name).items()} == {
        key: tuple(t.shape) for key, t in before.items()
    }
    load_state(other, tmp_path / name)
    assert same(snapshot(other), before)
    # Loading is by value: another copy may read the file while the first is trained on.
    with torch.no_grad():
        next(other.parameters()).zero_()
    load_state(model, tmp_path / name)
    assert same(snapshot(model), before)


@pytest.mark.parametrize("name", WRITERS)
def test_tied_weights_stay_tied_and_stand_under_both_names(name: str, tmp_path: Path) -> None:
    model, other = Tied(1), Tied(2)
    WRITERS[name](model, tmp_path / name)
    assert {"embedding.weight", "output.weight"} <= read_state(tmp_path / name).keys()
    load_state(other, str(tmp_path / name))
    assert other.output.weight is other.embedding.weight
    assert torch.equal(other.output.weight, model.embedding.weight)


def test_other_tools_read_the_files_without_steadynet(tmp_path: Path) -> None:
    model = small_net(3)
    save_backbone(model, tmp_path / "net.safetensors", {"format": "pt"})
    save_state_dict(model, tmp_path / "net.pt")
    assert same(
        dict(sorted(load_file(tmp_path / "net.safetensors").items())), dict(sorted(snapshot(model).items()))
    )
    assert same(dict(torch.load(tmp_path / "net.pt", weights_only=True)), snapshot(model))


@pytest.mark.parametrize("name", WRITERS)
def test_the_same_state_makes_the_same_file(name: str, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        WRITERS[name](Tied(1), tmp_path / folder / name)
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert [path.name for path in (tmp_path / "a").iterdir()] == [name]


def test_a_training_checkpoint_gives_the_backbone_of_the_best_epoch(tmp_path: Path) -> None:
    settings = Settings(epochs=5, batch_size=12, lr=0.05, seed=3)
    model = small_net()
    result = fit(
        model, recipe("irs", n=1), DEVICE, images(36, 0), images(24, 1), settings=settings, hardware=CPU,
        out=tmp_path / "run",
    )  # fmt: skip
    assert result.best_epoch < 4, (
        "the best epoch must not be the last one, or this test could not tell them apart"
    )
    assert result.checkpoint is not None
    state = read_state(result.checkpoint)
    assert same(state, snapshot(model)), "without the heads of IRS, and without the last epoch's changes"
    last: dict[str, Any] = torch.load(result.checkpoint, weights_only=True)["state_dict"]
    assert any(not torch.equal(last[f"backbone.{name}"], state[name]) for name in state)
    other = small_net(7)
    load_state(other, result.checkpoint)
    assert same(snapshot(other), state)


def test_a_checkpoint_before_the_first_epochs_end_gives_the_backbone_as_it_is(tmp_path: Path) -> None:
    tensor = torch.ones(2)
    checkpoint = {
        "steadynet": {},
        "callbacks": {"other": {}, "keeper": {"best_state": {}}},
        "state_dict": {"backbone.a": tensor, "parts.head.a": tensor, "backbone.backbone.b": tensor},
    }
    torch.save(checkpoint, tmp_path / "last.ckpt")
    assert read_state(tmp_path / "last.ckpt").keys() == {"a", "backbone.b"}
    for lost in ("callbacks", "state_dict"):
        torch.save({k: v for k, v in checkpoint.items() if k != lost}, tmp_path / "lost.ckpt")
        with pytest.raises(SteadyNetError, match=f"damaged checkpoint.*'{lost}'"):
            read_state(tmp_path / "lost.ckpt")


def altered(change: Callable[[dict[str, Tensor]], object]) -> dict[str, Tensor]:
    state = snapshot(Tied(1))
    change(state)
    return state


def renamed(state: dict[str, Tensor]) -> None:
    state["output.bais"] = state.pop("output.bias")


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (altered(lambda s: s.pop("counts")), ["missing counts"]),
        (altered(lambda s: s.update(extra=torch.ones(1))), ["unexpected extra"]),
        (altered(renamed), ["missing output.bias", "unexpected output.bais"]),
        (
            altered(lambda s: s.update(turned=torch.ones(3, 4), counts=torch.ones(2))),
            ["turned is (3, 4), not (4, 3)", "counts is (2,), not (4,)"],
        ),
        ({}, ["missing counts, embedding.weight, output.bias, output.weight, turned"]),
        ({f"x{i}": torch.ones(1) for i in range(9)}, ["unexpected x0, x1, x2, x3, x4, x5 and 3 more"]),
    ],
)
@pytest.mark.parametrize("on_disk", [False, True])
def test_a_foreign_state_is_refused_by_name_and_changes_nothing(
    state: dict[str, Tensor], told: list[str], on_disk: bool, tmp_path: Path
) -> None:
    model = Tied(2)
    before = snapshot(model)
    path = tmp_path / "net.safetensors"
    if on_disk:
        # safetensors holds no two tensors in the same memory.
        save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, path)
    with pytest.raises(SteadyNetError) as refused:
        load_state(model, path if on_disk else state)
    for part in (*told, "another network than Tied", str(path) if on_disk else "the state_dict"):
        assert part in str(refused.value)
    assert "\n" not in str(refused.value)
    assert same(snapshot(model), before)


@pytest.mark.parametrize("held", [{}, [], 3, {"a": 1}, {"a": torch.ones(1), "b": "x"}, torch.ones(2)])
def test_a_file_of_anything_but_a_state_is_refused(held: object, tmp_path: Path) -> None:
    torch.save(held, tmp_path / "net.pt")
    with pytest.raises(SteadyNetError, match="holds no state_dict"):
        read_state(tmp_path / "net.pt")


class Evil:
    """What a pickle would run when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran"),))


def test_a_file_that_holds_code_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"a": Evil()}, "net.pt")
    with pytest.raises(SteadyNetError, match="damaged or holds more than tensors"):
        read_state(Path("net.pt"))
    assert not Path("ran").exists()


@pytest.mark.parametrize("name", WRITERS)
def test_a_cut_or_foreign_file_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    WRITERS[name](Tied(1), path)
    whole = path.read_bytes()
    model = Tied(2)
    before = snapshot(model)
    contents = [whole[:count] for count in (0, 1, 7, 8, 100, len(whole) // 2, len(whole) - 1)]
    contents += [b"a text\n", bytes(range(256)) * 4, b"PK\x03\x04" + whole[4:40], b"\xff" * 8 + whole[8:]]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(SteadyNetError) as refused:
            load_state(model, path)
        assert name in str(refused.value)
        assert same(snapshot(model), before)
    path.unlink()
    for missing in (path, tmp_path):
        with pytest.raises(SteadyNetError, match="there is no file"):
            load_state(model, missing)


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_cannot_be_written_leaves_nothing(name: str, tmp_path: Path) -> None:
    with pytest.raises(SteadyNetError, match="does not exist"):
        WRITERS[name](Tied(1), tmp_path / "none" / name)
    (tmp_path / name).mkdir()
    with pytest.raises(SteadyNetError, match="is a folder"):
        WRITERS[name](Tied(1), tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
