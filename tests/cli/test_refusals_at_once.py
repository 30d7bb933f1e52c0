"""What can be refused without torch is refused without it: one line, exit 2, and nothing is made or lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# (command line, what the one line must say). `old` is a folder that holds something, `file` a file.
CASES: list[tuple[str, str]] = [
    # The devices.
    ("train --weight-bits 8 --device-bits 3", "device_bits (K) = 3 does not divide weight_bits (M) = 8: take K from"),
    ("compare --device-bits 16", "device_bits (K) = 16 does not divide weight_bits (M) = 8"),
    ("train --weight-bits 0", "weight_bits (M) must be an integer from 1 to 16, got 0"),
    ("train --weight-bits 17", "weight_bits (M) must be an integer from 1 to 16, got 17"),
    ("train --device-bits -2", "device_bits (K) must be an integer from 1 to 16, got -2"),
    ("train --weight-bits 7.5", "option --weight-bits takes an integer, got '7.5'"),
    ("train --device rram5", "unknown device 'rram5': did you mean 'rram4'"),
    ("demo --device Gaussian", "unknown device 'Gaussian': did you mean 'gaussian'"),
    # The errors' size.
    ("train --sigma-d -0.1", "--sigma-d must be a finite number ≥ 0, got -0.1"),
    ("train --sigma-d nan", "option --sigma-d takes a number or 'own', got 'nan'"),
    ("train --sigma-d .nan", "--sigma-d must be a finite number ≥ 0, got nan"),
    ("train --sigma-d 1e400", "--sigma-d must be a finite number ≥ 0, got inf"),
    ("train --sigma-d 0,1", "option --sigma-d takes a number or 'own', got '0,1'"),
    ("train --sigma-d 0.1 0.2", "unexpected word '0.2'"),
    ("compare --sigma-d 0.1 nan", "option --sigma-d takes a number or 'own', one or more, got 'nan'"),
    ("compare --sigma-d 0.1 -0.2", "--sigma-d must be a finite number ≥ 0, got -0.2"),
    ("compare --sigma-d 0.2 0.2", "--sigma-d names a value twice"),
    ("compare --sigma-d 0.1 --sigma-d 0.2 --sigma-d 0.3", "--sigma-d is given more than once: give all its values"),
    ("compare --train-sigma-d -1", "--train-sigma-d must be a finite number ≥ 0"),
    ("compare --train-sigma-d match", "option --train-sigma-d takes a number or 'matched' or 'own', got 'match'"),
    ("train --recipe noise --train-sigma-d inf", "option --train-sigma-d takes a number or 'own', got 'inf'"),
    # Recipes.
    ("compare --devices 2", "a comparison trains each network in one process: leave out --devices"),
    ("demo --nodes 2", "a comparison trains each network in one process"),
    ("train --recipe ovff", "unknown recipe 'ovff': did you mean 'ovf'?"),
    ("train --recipe OVF", "unknown recipe 'OVF': known: asam,"),
    ("train --recipe ''", "unknown recipe ''"),
    ("compare --recipes noise ovf irss", "unknown recipe 'irss': did you mean 'irs'?"),
    ("compare --recipes", "option --recipes needs at least one value"),
    ("train --recipe ovf --beta -.inf", "beta must be a finite number, got -inf"),
    ("train --recipe irs --beta nan", "option --beta takes a number, got 'nan'"),
    ("compare --recipe.ovf.beta -1e400", "option --recipe.ovf.beta takes a number, got '-Infinity'"),
    ("compare --recipe.ovf.beta nan", "option --recipe.ovf.beta takes a number, got 'nan'"),
    ("train --recipe ovf --feedback-layers []", "--feedback-layers needs at least one name"),
    ("train --recipe noise --feedback-layers fc.weight", "feedback_layers is an option of ovf, which recipe 'noise'"),
    ("train --recipe ovf --n 0", "n must be an integer ≥ 1"),
    ("train --recipe irs --n -1", "n must be an integer ≥ 1"),
    ("compare --recipe.irs.n 0", "n must be an integer ≥ 1"),
    ("train --recipe ovf --n 1e9", "option --n takes an integer, got"),
    ("train --recipe ovf --sigma-d 0.1 --delta-sigma -0.05", "-0.05 is negative: raise delta_sigma, or lower n"),
    ("train --recipe noise --temperature 0", "temperature must be a finite number > 0"),
    ("train --recipe noise --clip -1", "clip (alpha) must be a finite number"),
    ("train --recipe irs --taps []", "--taps needs at least one module"),
    ("train --recipe vanilla --train-sigma-d 0.1", "trains without the device's variation"),
    # Names.
    ("train --model vgg9", "unknown model 'vgg9': did you mean 'vgg8'?"),
    ("train --model.depth 3", "unknown option of model vgg8 'depth'"),
    ("train --data minst", "unknown data set 'minst': did you mean 'mnist'?"),
    ("train --data folder:none", "/none: there is no such folder"),
    ("train --data folder:file", "/file: there is no such folder"),
    ("train --data folder:", "option --data folder:PATH takes a path, got ''"),
    ("train --epoch 3", "unknown option '--epoch': did you mean --epochs"),
    ("train --EPOCHS 3", "unknown option '--EPOCHS': see --help"),
    ("evaluate file --epochs 3", "unknown option '--epochs'"),
    ("trian", "unknown command 'trian': did you mean 'train'?"),
    ("''", "unknown command ''"),
    ("--verison", "unknown option '--verison': did you mean '--version'?"),
    # Numbers and values.
    ("evaluate file --draws 0", "--draws must be an integer ≥ 1, got 0"),
    ("compare --draws 0", "--draws must be an integer ≥ 1, got 0"),
    ("compare --draws nan", "option --draws takes an integer, got 'nan'"),
    ("train --epochs 1e400", "option --epochs takes an integer, got"),
    ("train --epochs", "option --epochs needs a value"),
    ("train --epochs=", "option --epochs takes an integer, got ''"),
    ("train --epochs --lr 1", "option --epochs needs a value"),
    ("train --lr 0", "--lr must be a finite number > 0"),
    ("train --seed -1", "--seed must be an integer ≥ 0"),
    ("compare --seeds 99999999999999999999", "--seeds must be an integer ≥ 1 and ≤ 10000"),
    ("train --augment", "--augment does nothing for digits, whose images are taken as they are: leave it out"),
    ("train --data mnist --augment", "--augment does nothing for mnist"),
    ("compare --augment", "--augment does nothing for digits"),
    ("train --augment=maybe", "option --augment takes true or false, got 'maybe'"),
    ("train --precision fp8", "unknown --precision 'fp8'"),
    ("evaluate file --target-accuracy 90", "--target-accuracy must be a finite number > 0 and ≤ 1, got 90"),
    ("train naïve", "unexpected word 'naïve'"),
    # Files.
    ("train --config none.yaml", "option --config: none.yaml: there is no such file"),
    ("train --config old", "option --config: old: it is a folder"),
    ("train --config twice.yaml", "twice.yaml: 'epochs' stands twice in it: name it once"),
    ("train --config unknown.yaml", "unknown option in the configuration file 'epoch': did you mean epochs"),
    ("train --config latin.yaml", "option --config: latin.yaml is no text in UTF-8"),
    ("train --config file", "option --config: file must hold options, one a line"),
    ("train --init none", "there is no none: name the folder of a finished training, or a file of weights"),
    ("train --init old", "old holds no backbone.safetensors"),
    ("evaluate", "name what to evaluate"),
    ("evaluate none", "there is no none"),
    ("evaluate ''", "option --run takes a path, got ''"),
    ("evaluate old", "old holds no backbone.safetensors, so it is no run: name the folder of one"),
    ("evaluate damaged", "the config.yaml of damaged is damaged: size takes an integer, got 'large'"),
    ("export", "name what to export"),
    ("export none", "there is no none"),
    # Folders.
    ("train --out old", "output folder old is not empty; give another, or --overwrite"),
    ("compare --out old", "output folder old is not empty; give another, or --overwrite"),
    ("demo --out old", "output folder old is not empty; give another, or --overwrite"),
    ("evaluate file --out old", "output folder old is not empty; give another, or --overwrite"),
    ("export file --out old", "output folder old is not empty; give another, or --overwrite"),
    ("train --out file", "output folder file is a file; give another"),
    ("train --out file/run", "file is a file); give another"),
    ("train --out . --overwrite", "output folder . is no folder of results; --overwrite does not empty it"),
    ("train --out / --overwrite", "output folder / is no folder of results; --overwrite does not empty it"),
    ("train --out ''", "option --out takes a path, got ''"),
    (f"train --out {'x' * 300}", "is no usable path"),
    ("train --out ~nobody-of-this-name/x", "is no usable path"),
    ("train --out none --resume", "none holds no run to resume: start it without --resume"),
    ("compare --out none --resume", "none holds no comparison to resume: start it without --resume"),
    ("train --resume --overwrite", "--resume keeps what --overwrite would remove: give one of them"),
]  # fmt: skip
PROBE = """
import contextlib, io, json, shlex, sys
from steadynet.cli.main import main
answers = []
for line in json.load(sys.stdin):
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        code = main(shlex.split(line))
    heavy = [m for m in ("torch", "pytorch_lightning", "matplotlib", "sklearn", "scipy") if m in sys.modules]
    answers.append([code, out.getvalue(), error.getvalue(), heavy])
json.dump(answers, sys.stdout)
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str, list[str]]]:
    """What one Python answers to all command lines: exit code, output, errors, and what heavy it has loaded."""
    folder = tmp_path_factory.mktemp("odd")
    (folder / "old").mkdir()
    (folder / "old" / "kept").write_text("kept")
    (folder / "file").write_text("text")
    (folder / "damaged").mkdir()
    (folder / "damaged" / "config.yaml").write_text("size: large\n")
    (folder / "twice.yaml").write_text("epochs: 1\nepochs: 2\n")
    (folder / "unknown.yaml").write_text("epoch: 1\n")
    (folder / "latin.yaml").write_bytes("data: é\n".encode("latin-1"))
    before = tree(folder)
    lines = [line for line, _ in CASES]
    done = subprocess.run(
        [sys.executable, "-X", "utf8", "-c", PROBE],
        input=json.dumps(lines), cwd=folder, capture_output=True, text=True, check=True, encoding="utf-8",
    )  # fmt: skip
    found: Any = json.loads(done.stdout)
    assert tree(folder) == before, "nothing was made, nothing lost"
    return dict(zip(lines, map(tuple, found), strict=True))


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


@pytest.mark.parametrize(("line", "told"), CASES, ids=[line[:60] for line, _ in CASES])
def test_refused_in_one_line_without_torch(
    line: str, told: str, answers: dict[str, tuple[int, str, str, list[str]]]
) -> None:
    code, out, error, heavy = answers[line]
    assert error.startswith("steadynet: error: ")
    assert told in error
    assert error.count("\n") == 1
    assert error.endswith("\n")
    assert (code, out, heavy) == (2, "", [])


def test_a_word_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """As a process, since only the system hands over bytes."""
    command = [sys.executable, "-X", "utf8", "-m", "steadynet", "train", b"--out=\xff"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr == b"steadynet: error: '--out=\\udcff' is no text in UTF-8\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "missing", "told"),
    [
        (
            ["export", "file", "--onnx"],
            ("onnx", "onnxruntime"),
            "--onnx needs onnx, onnxruntime: pip install",
        ),
        (
            ["train", "--loggers", "tensorboard"],
            ("tensorboard",),
            "--loggers tensorboard needs tensorboard: pip",
        ),
    ],
)
def test_missing_packages_are_told(
    words: list[str], missing: tuple[str, ...], told: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    import importlib.util

    from steadynet.cli.main import main

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name in missing else real(name))
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_may_not_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever runs the test, who may be root and write anywhere: the system's answer is stood in for."""
    from steadynet.cli.main import main

    (tmp_path / "locked").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked")
    for words in (["train"], ["compare"], ["demo"]):
        assert main([*words, "--out", "locked/new"]) == 2
        error = capsys.readouterr().err
        assert "output folder locked/new cannot be written to (Permission denied); give another" in error
        assert error.count("\n") == 1
    assert not list((tmp_path / "locked").iterdir())
