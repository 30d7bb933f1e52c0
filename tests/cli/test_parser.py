"""Options come from words, from YAML, or are refused in one line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from steadynet.cli.command_options import CompareOptions, ExportOptions, RunOptions
from steadynet.cli.evaluate_options import EvaluateOptions
from steadynet.cli.parser import (
    CONFIG_NAME,
    Command,
    Options,
    dump,
    parse,
    saved_options,
)
from steadynet.data import load
from steadynet.data.sources import SOURCES
from steadynet.errors import SteadyNetError
from steadynet.nvm.variation import Gaussian, StateDependent
from steadynet.options.augmented import AUGMENTED
from steadynet.options.device_group import DeviceOptions
from steadynet.options.groups import (
    DATA,
    DataOptions,
    ModelOptions,
    RecipeOptions,
    TrainingOptions,
)
from steadynet.recipes import IRS, OVF, Clip, NoConstraint, SelfFeedback

SETTING = (DataOptions, ModelOptions, DeviceOptions)
TRAIN = Command("train", "Train.", (*SETTING, RecipeOptions, TrainingOptions, RunOptions))
COMPARE = Command("compare", "Compare.", (*SETTING, TrainingOptions, CompareOptions))
EVALUATE = Command("evaluate", "Evaluate.", (*SETTING, EvaluateOptions), "run", inherits=SETTING)
EXPORT = Command("export", "Export.", (*SETTING, ExportOptions), "run", inherits=SETTING)


def given(words: str, command: Command = TRAIN) -> Options:
    options = parse(command, words.split())
    assert options is not None
    return options


def test_defaults_are_those_of_the_dataclasses() -> None:
    options = given("")
    assert options[TrainingOptions] == TrainingOptions()
    assert options[DataOptions] == DataOptions()
    assert options[RunOptions] == RunOptions()
    assert given("", COMPARE)[CompareOptions] == CompareOptions()


def test_words_arrive_with_their_types() -> None:
    options = given(
        "--data mnist --size 16 --model resnet18 --model.width 0.25 --lr 1e-2 --no-augment "
        "--loggers csv tensorboard --seed 3 --threads 2"
    )
    assert options[DataOptions].size == 16
    assert options[DataOptions].augment is False
    assert options[ModelOptions] == ModelOptions("resnet18", {"width": 0.25})
    assert options[TrainingOptions].lr == 0.01
    assert options[TrainingOptions].loggers == ["csv", "tensorboard"]
    assert options[TrainingOptions].threads == 2
    assert options[RunOptions].seed == 3


def test_the_device_is_built() -> None:
    options = given("--weight-bits 6 --device-bits 3 --crossbars both --scale channel")
    device = options[DeviceOptions].build(0.3)
    assert (device.weight_bits, device.device_bits) == (6, 3)
    assert (device.crossbars, device.scale) == ("both", "channel")
    assert device.variation == Gaussian(0.3)
    device = given("--device rram4 --rule weight --no-quantize --path device")[DeviceOptions].build(0.1)
    assert device.variation == StateDependent(0.1, factor=4.0, rule="weight")
    assert (device.quantize, device.path) == (False, "device")


def test_recipe_options_change_the_named_recipe_only_where_given() -> None:
    words = "--recipe ovf --beta 0.5 --delta-sigma -0.01 --gamma reversed --rescale-draws"
    recipe = given(words)[RecipeOptions].build()
    assert recipe.objective == OVF(beta=0.5, delta_sigma=-0.01, gamma="reversed", rescale_draws=True)
    assert given("--recipe ovf --beta -0.01")[RecipeOptions].build().objective == OVF(beta=-0.01)
    assert given("--recipe irs --beta=-1e-2")[RecipeOptions].build().objective == IRS(beta=-0.01)
    words = "--recipe self-feedback --beta -0.5 --n 2 --a-b 1"
    assert given(words)[RecipeOptions].build().objective == SelfFeedback(beta=-0.5, n=2, a_b=1.0)
    recipe = given("--recipe ovf --feedback-layers conv1.weight *.fc* --beta 0.1")[RecipeOptions].build()
    assert recipe.objective == OVF(beta=0.1, feedback_layers=("conv1.weight", "*.fc*"))
    recipe = given("--recipe irs --taps a b.c --no-heads-noise --clip 2")[RecipeOptions].build()
    assert recipe.objective == IRS(taps=("a", "b.c"), heads_noise=False)
    assert recipe.constraint == Clip(2.0)
    recipe = given("--recipe noise-t16-clip1.5 --clip none")[RecipeOptions].build()
    assert recipe.constraint == NoConstraint()


def test_a_comparison_takes_lists_seeds_and_changes_to_one_recipe() -> None:
    options = given(
        "--recipes ovf noise-t16-clip1.5 --sigma-d 0.1,0.2 0.4 --seeds 3 --recipe.ovf.beta 0.1 "
        "--recipe.noise-t16-clip1.5.clip 1.3 --train-sigma-d 0.2",
        COMPARE,
    )[CompareOptions]
    assert options.sigma_d == [0.1, 0.2, 0.4]
    assert options.train_sigma_d == 0.2
    assert options.seed_list == (0, 1, 2)
    first, second = options.build_all()
    assert first.objective == OVF(beta=0.1)
    assert second.constraint == Clip(1.3)
    words = "--recipes ovf irs --recipe.ovf.feedback-layers *1.weight,fc.weight --recipe.irs.beta -0.01"
    assert [recipe.objective for recipe in given(words, COMPARE)[CompareOptions].build_all()] == [
        OVF(feedback_layers=("*1.weight", "fc.weight")),
        IRS(beta=-0.01),
    ]
    assert given("--seeds 5 9", COMPARE)[CompareOptions].seed_list == (5, 9)


def test_yaml_gives_options_and_words_after_it_come_on_top(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("lr: 1e-2\nepochs: 7\nmodel: resnet18\nmodel_options: {width: 0.5}\nsigma_d: 0\n")
    options = given(f"--config {config} --epochs 9 --model my.nets.Net --model.depth 3")
    assert options[TrainingOptions].lr == 0.01
    assert options[TrainingOptions].epochs == 9
    assert options[ModelOptions] == ModelOptions("my.nets.Net", {"width": 0.5, "depth": 3})
    assert options[RunOptions].sigma_d == 0


def test_saved_options_give_the_same_run_again(tmp_path: Path) -> None:
    words = "--recipe irs --taps a b --beta 1e-5 --model.width 0.25 --clip none --out x --no-heads-noise"
    options = given(f"{words} --overwrite")
    options.save(tmp_path)
    again = given(f"--config {tmp_path / CONFIG_NAME}")
    assert again.config() == options.config()
    assert again[RecipeOptions] == options[RecipeOptions]
    assert again[RunOptions].overwrite is False, "a saved run does not empty its folder when it is run again"
    assert "resume" not in options.config()


def test_options_of_a_run_become_the_defaults_of_its_evaluation(tmp_path: Path) -> None:
    given("--data mnist --size 16 --sigma-d 0.4 --batch-size 7 --seed 9").save(tmp_path)
    options = parse(EVALUATE, [str(tmp_path), "--size", "8"], lambda values: Path(values["run"]))
    assert options is not None
    assert (options[DataOptions].data, options[DataOptions].size) == ("mnist", 8)
    assert options[EvaluateOptions] == EvaluateOptions(run=str(tmp_path)), "but no other group's"


def test_the_options_of_a_comparison_are_found_from_its_trainings_folder(tmp_path: Path) -> None:
    given("--data mnist", COMPARE).save(tmp_path)
    cell = tmp_path / "trainings" / "cells" / "ovf-sigma0.1-seed0"
    cell.mkdir(parents=True)
    assert saved_options(cell)["data"] == "mnist"
    # A stray file above some weights is not theirs.
    elsewhere = tmp_path / "experiments" / "weights"
    elsewhere.mkdir(parents=True)
    assert saved_options(elsewhere) == {}
    (cell / CONFIG_NAME).write_text("- x\n")
    with pytest.raises(SteadyNetError, match="holds no options"):
        saved_options(cell)
    (cell / CONFIG_NAME).write_text("a: [\n")
    with pytest.raises(SteadyNetError, match="cannot be read"):
        saved_options(cell)


def test_print_config_is_yaml_that_config_takes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert parse(TRAIN, ["--epochs", "3", "--print-config"]) is None
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["epochs"] == 3
    (tmp_path / "c.yaml").write_text(printed)
    assert given(f"--config {tmp_path / 'c.yaml'}")[TrainingOptions].epochs == 3


REFUSED = [
    ("--recipe ovff", "unknown recipe 'ovff': did you mean 'ovf'?"),
    ("--recipe noise --beta 1", "beta is an option of ovf, irs, self-feedback, which recipe 'noise'"),
    ("--recipe ovf --beta 1e400", "beta must be a finite number, got inf"),
    ("--recipe ovf --feedback-layers", "option --feedback-layers needs at least one value"),
    ("--recipe ovf --feedback-layers []", "--feedback-layers needs at least one name"),
    ("--recipe irs --feedback-layers fc.weight", "feedback_layers is an option of ovf, which recipe 'irs'"),
    ("--recipe self-feedback --beta 1", "self-feedback leaves -0.0275 of the output"),
    (
        "--recipe self-feedback --delta-sigma 0.1",
        "delta_sigma is an option of ovf, which recipe 'self-feedback' (objective SelfFeedback) is not",
    ),
    ("--recipe ovf --n 0", "n must be an integer ≥ 1"),
    ("--recipe vanilla --train-sigma-d 0.1", "train_sigma_d"),
    ("--recipe irs --gamma papr", "unknown --gamma 'papr': did you mean 'paper'?"),
    ("--lr abc", "option --lr takes a number, got 'abc'"),
    ("--lr 0", "--lr must be a finite number > 0"),
    ("--epochs 2.5", "option --epochs takes an integer, got '2.5'"),
    ("--epochs 0", "--epochs must be an integer ≥ 1, got 0"),
    ("--sigma-d -0.1", "--sigma-d must be a finite number ≥ 0, got -0.1"),
    ("--sigma-d nan", "--sigma-d"),
    ("--weight-bits 8 --device-bits 3", "device_bits (K) = 3 does not divide weight_bits (M) = 8"),
    ("--weight-bits 17", "weight_bits (M) must be an integer from 1 to 16, got 17"),
    ("--device-bits 0", "device_bits (K) must be an integer"),
    ("--device rram5", "unknown device 'rram5': did you mean 'rram4'"),
    ("--scale tensr", "unknown --scale 'tensr': did you mean 'tensor'?"),
    ("--model vgg9", "unknown model 'vgg9': did you mean 'vgg8'?"),
    ("--model.widht 0.5", "unknown option of model vgg8 'widht': did you mean 'width'?"),
    ("--data minst", "unknown data set 'minst': did you mean 'mnist'?"),
    ("--validation 0", "--validation must be a finite number > 0"),
    ("--channels 2", "--channels must be 1 (grey) or 3 (colour), got 2"),
    ("--precision fp8", "unknown --precision 'fp8'"),
    ("--precision fp16 --accelerator cpu", "--precision fp16 needs a GPU"),
    ("--resume --overwrite", "--resume keeps what --overwrite would remove"),
    ("--modle vgg8", "unknown option '--modle': did you mean --model"),
    ("--config none.yaml", "option --config: none.yaml: there is no such file"),
    ("stray", "unexpected word 'stray'"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_refusals_of_train(words: str, message: str) -> None:
    with pytest.raises(SteadyNetError) as refused:
        parse(TRAIN, words.split())
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--recipes ovf irss", "unknown recipe 'irss': did you mean 'irs'?"),
        ("--recipes ovf ovf", "'ovf' more than once"),
        ("--recipe.ovf.betta 1", "unknown option of recipe 'ovf' 'betta': did you mean 'beta'?"),
        ("--recipe.fov.beta 1", "unknown recipe in --recipe.NAME.OPTION 'fov': did you mean 'ovf'"),
        (
            "--recipe.ovf.feedback-layers []",
            "option --recipe.ovf.feedback-layers takes a text, one or more, got []",
        ),
        ("--sigma-d 0.1 x", "option --sigma-d takes a number or 'own', one or more, got 'x'"),
        ("--sigma-d 0.1 0.1", "names a value twice"),
        ("--sigma-d 0.1 --sigma-d 0.2", "option --sigma-d is given more than once: give all its values"),
        ("--recipe.ovf.beta x", "option --recipe.ovf.beta takes a number, got 'x'"),
        ("--recipe.ovf.beta=", "option --recipe.ovf.beta takes a number, got ''"),
        ("--recipe.ovf.n 1.5", "option --recipe.ovf.n takes an integer, got 1.5"),
        (
            "--recipe.ovf.detach-feedback maybe",
            "--recipe.ovf.detach-feedback takes true or false, got 'maybe'",
        ),
        ("--recipe.irs.taps 3", "option --recipe.irs.taps takes a text, one or more, got 3"),
        ("--recipe.irs.taps []", "option --recipe.irs.taps takes a text, one or more, got []"),
        ("--recipe.irs.gamma 3", "option --recipe.irs.gamma takes 'paper' or 'reversed', got 3"),
        ("--train-sigma-d true", "option --train-sigma-d takes a number or 'matched' or 'own', got 'true'"),
        ("--seeds 99999999999999999999", "--seeds must be an integer ≥ 1 and ≤ 10000"),
        ("--sigma-d 0.1 -1", "--sigma-d must be a finite number ≥ 0"),
        ("--train-sigma-d match", "option --train-sigma-d takes a number or 'matched' or 'own', got 'match'"),
        ("--seeds 0", "--seeds must be an integer ≥ 1"),
        ("--seeds 1 1", "seeds that differ"),
        ("--draws 0", "--draws must be an integer ≥ 1, got 0"),
    ],
)
def test_refusals_of_compare(words: str, message: str) -> None:
    with pytest.raises(SteadyNetError) as refused:
        parse(COMPARE, words.split())
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "name what to evaluate"),
        ("a b", "unexpected word 'b'"),
        ("a --draws 0", "--draws must be an integer ≥ 1"),
        ("a --target-accuracy 90", "--target-accuracy must be a finite number > 0 and ≤ 1, got 90"),
        ("a --half-width 0", "--half-width (points) must be a finite number > 0 and ≤ 50, got 0"),
        ("a --half-width -1", "--half-width (points) must be a finite number > 0"),
        ("a --half-width 1 --max-draws 50", "--max-draws must be an integer ≥ 100"),
        ("a --half-width 1 --target-accuracy 0.9", "a yield, which needs chips that each see all images"),
    ],
)
def test_refusals_of_evaluate(words: str, message: str) -> None:
    with pytest.raises(SteadyNetError) as refused:
        parse(EVALUATE, words.split())
    assert message in str(refused.value)


@pytest.mark.parametrize("command", [TRAIN, COMPARE, EVALUATE])
def test_help_names_every_option_with_a_text(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse(command, ["--help"]) is None
    lines = capsys.readouterr().out
    for name in command.fields():
        assert f"--{name.replace('_', '-')}" in lines
    for line, following in pairwise(lines.splitlines()):
        if line.startswith("  --") and len(line) <= 30:
            assert following.startswith(" " * 20), f"{line} has no text"


def test_the_options_of_training_have_the_defaults_of_fit() -> None:
    from steadynet.training.settings import Hardware, Settings

    mine = TrainingOptions()
    for name, value in Settings().__dict__.items():
        if name not in ("seed", "precision"):
            assert getattr(mine, name) == value, name
    assert mine.precision.removeprefix("fp") == Settings().precision
    assert (mine.accelerator, mine.nodes) == (Hardware().accelerator, Hardware().num_nodes)


def test_the_names_that_need_no_torch_are_those_of_the_tables() -> None:
    from steadynet.data import SOURCES

    assert set(DATA) == set(SOURCES)


def test_dumped_values_keep_their_order_and_letters() -> None:
    assert dump({"b": "σ", "a": [1]}) == "b: σ\na:\n- 1\n"


def test_augmentation_is_asked_for_where_there_is_one_and_silent_where_it_is_the_default(
    tmp_path: Path,
) -> None:
    (tmp_path / "images").mkdir()
    folder = f"folder:{tmp_path / 'images'}"
    for data in ("digits", "mnist", folder):
        options = given(f"--data {data}")
        assert options[DataOptions].augment is True, "as it always was, so that no identity changes"
        options.save(tmp_path)
        assert given(f"--config {tmp_path / CONFIG_NAME}").config() == options.config()
        assert given(f"--data {data} --augment --no-augment")[DataOptions].augment is False
        with pytest.raises(SteadyNetError, match=rf"--augment does nothing for {data}, .*: leave it out"):
            given(f"--data {data} --augment")
    for data in AUGMENTED:
        assert given(f"--data {data} --augment")[DataOptions].augment is True
    # A run by an earlier version, whose options say so, whatever its images were.
    (tmp_path / CONFIG_NAME).write_text("data: digits\naugment: true\n")
    assert parse(EVALUATE, [str(tmp_path)], lambda values: Path(values["run"])) is not None
    given("--data cifar10 --augment").save(tmp_path)
    assert parse(EVALUATE, [str(tmp_path), "--data", folder], lambda values: Path(values["run"])) is not None


def test_the_sets_with_an_augmentation_are_those_that_are_read_with_one() -> None:
    assert load("digits").train.augment is None
    for name in ("mnist", "cifar10", "cifar100"):
        kept = dict(
            zip(SOURCES[name].read.__code__.co_freevars, SOURCES[name].read.__closure__ or (), strict=True)
        )
        assert (kept["augment"].cell_contents is not None) == (name in AUGMENTED)
    assert set(AUGMENTED) <= set(DATA)
