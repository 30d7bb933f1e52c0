"""The command as its users run it: exit codes, one line of error, and no torch before it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import steadynet
from steadynet.cli import main as entry
from steadynet.cli.main import COMMANDS, main
from steadynet.cli.parser import CONFIG_NAME
from steadynet.cli.runs import resumable
from steadynet.nvm.presets import PRESETS
from steadynet.recipes import RECIPES

MODULE = [sys.executable, "-m", "steadynet"]
PROBE = """
import sys
from steadynet.cli.main import main
code = main(sys.argv[1:])
heavy = [m for m in ("torch", "pytorch_lightning", "matplotlib", "sklearn", "scipy") if m in sys.modules]
print(code, *heavy, sep=",", file=sys.stderr)
"""


def probe(*words: str) -> tuple[str, list[str], str]:
    """Run the command in a fresh Python: exit code, heavy modules that it loaded, output."""
    done = subprocess.run([sys.executable, "-c", PROBE, *words], capture_output=True, text=True, check=True)
    code, *heavy = done.stderr.strip().splitlines()[-1].split(",")
    return code, heavy, done.stdout


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_of_everything_is_answered_without_torch(command: str) -> None:
    code, heavy, printed = probe(*command.split(), "--help")
    assert (code, heavy) == ("0", [])
    assert printed.startswith(f"usage: steadynet {command}".rstrip())


@pytest.mark.parametrize(
    "command", [[sys.executable, "-m", "steadynet"], [str(Path(sys.executable).parent / "steadynet")]]
)
def test_the_process(command: list[str]) -> None:
    if not Path(command[0]).exists():
        pytest.skip("the console script is not installed beside this Python")
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"steadynet {steadynet.__version__}\n", "")
    done = subprocess.run([*command, "trian"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("steadynet: error: unknown command 'trian': did you mean 'train'?")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_leaves_is_no_traceback() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "steadynet", "--help"],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write)
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_devices_lists_every_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    printed = capsys.readouterr().out
    for name, preset in PRESETS.items():
        (line,) = [line for line in printed.splitlines() if line.split()[:1] == [name]]
        size = "any" if preset.own_sigma_d is None else f"{preset.own_sigma_d:.4f}"
        assert f" {size} " in line
        assert preset.source in line
    # σ' of the paper's authors at s = 4: 1/√(0.4·16 + 0.6).
    assert "0.378 sigma_d" in printed


def test_models_lists_every_model(capsys: pytest.CaptureFixture[str]) -> None:
    from steadynet.models.names import MODELS

    assert main(["models"]) == 0
    printed = capsys.readouterr().out
    assert {"vgg8", "resnet18"} <= set(MODELS)
    for name in MODELS:
        assert any(line.split()[:1] == [name] for line in printed.splitlines())


def test_help_of_the_command_names_every_command_and_train_every_recipe(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in COMMANDS)
    assert main(["train", "--help"]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in RECIPES)


def test_ctrl_c_exits_130_and_tells_how_to_carry_on_where_one_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a b"

    def interrupted(_: list[str]) -> int:
        with resumable("train", out):
            raise KeyboardInterrupt

    monkeypatch.setattr(entry, "_dispatch", interrupted)
    assert main(["train"]) == 130
    assert capsys.readouterr().err == "\nsteadynet: interrupted: before any work was done\n"
    out.mkdir()
    (out / CONFIG_NAME).touch()
    assert main(["train"]) == 130
    assert f"to carry on: steadynet train --out '{out}' --resume" in capsys.readouterr().err


def test_an_unforeseen_error_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: list[str]) -> int:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(entry, "_dispatch", broken)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        main(["train"])
