"""A study as it is written: options common to all trainings, axes of a grid, rules, tests, and what is reported.

A study is a YAML file (or the mapping that it holds) with one set of words, those of the command line's options:

    title: Accuracy over sigma_d
    question: What does the feedback add?
    base: {data: digits, model: cnn, epochs: 20}          # options of every training
    axes:                                                  # the grid is their product
      recipe:                                              # labels, each with its options
        W/: {recipe: noise}
        OVF: {recipe: ovf}
      sigma_d: [0.1, 0.2]                                  # values of the option of that name
      seed: [0, 1, 2]
    rules:                                                 # what depends on several axes
      - {when: {recipe: OVF, sigma_d: 0.2}, set: {beta: 0.01}}
    test: {sigma_d: matched, draws: 200}
    search: [{over: {beta: [0.1, 0.01]}, when: {recipe: OVF}}]   # chosen on validation images
    report: [{view: curve}]
    presets: {small: {base: {epochs: 2}}}

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from steadynet.errors import SteadyNetError, check_number, unknown
from steadynet.options.yaml_file import read_yaml
from steadynet.study.definition import SIGMA_D, Axis, Rule, Study, Test
from steadynet.study.flat import Label, checked_options, value_of
from steadynet.study.reading import as_label, as_list, as_mapping, check_keys, picked
from steadynet.study.search import searches_from
from steadynet.study.search_points import sought

KEYS = ("name", "title", "question", "base", "axes", "rules", "test", "search", "report", "presets")
# Of a name, which is that of a folder and begins the names of files.
_LONGEST = 100
PRESET_KEYS = ("title", "question", "base", "axes", "rules", "test", "search", "report", "setting")


def read_study(path: Path, preset: str | None = None) -> Study:
    """Return the study in a YAML file.

    Args:
        path: The file; its name names the study unless the file does.
        preset: Which of its presets; the first one if None.

    Raises:
        SteadyNetError: If it cannot be read, or holds what no study has; the line names the file.
    """
    written = read_yaml(path, "study ", holds="a study: base, axes, test, report")
    try:
        return study({"name": path.stem, **written}, preset)
    except SteadyNetError as error:
        raise SteadyNetError(f"study {path}: {error}") from None


def study(written: Mapping[str, Any], preset: str | None = None) -> Study:
    """Return the study that a mapping describes, as a YAML file holds it.

    Raises:
        SteadyNetError: If a key is unknown (the nearest are named), a value is none that it takes, or the grid is empty.
    """
    check_keys("key of a study", written, KEYS)
    presets = as_mapping("presets", written.get("presets", {}))
    for name in presets:
        if not isinstance(name, str):
            raise SteadyNetError(f"preset {name!r} must have a text for its name: write '{name}' in quotes")
    merged, chosen = {key: value for key, value in written.items() if key != "presets"}, ""
    if preset is not None and preset not in presets:
        raise (
            unknown("preset", preset, presets)
            if presets
            else SteadyNetError(f"preset {preset!r}: this study has no presets; leave it out")
        )
    if presets:
        chosen = next(iter(presets)) if preset is None else preset
        merged = _with_preset(merged, chosen, as_mapping(f"preset {chosen}", presets[chosen]))
    axes = _axes(as_mapping("axes", merged.get("axes", {})))
    known = _labels(axes, as_mapping("axes", written.get("axes", {})))
    name = str(merged.get("name", "study"))
    if not name or len(name) > _LONGEST or any(c in name for c in "/\\\0\n") or name.startswith("."):
        shown = name if len(name) <= _LONGEST else f"{name[:20]}…"
        raise SteadyNetError(
            f"name {shown!r} cannot name a folder: take at most {_LONGEST} letters, digits and hyphens"
        )
    made = Study(
        name=name,
        title=str(merged.get("title", name)),
        question=str(merged.get("question", "")),
        base=checked_options("base", as_mapping("base", merged.get("base", {}))),
        axes=axes,
        rules=_rules(merged.get("rules", ()), known),
        test=_test(as_mapping("test", merged.get("test", {}))),
        search=searches_from(merged.get("search", ()), known),
        report=tuple(as_mapping("report", entry) for entry in as_list("report", merged.get("report", ()))),
        preset=chosen,
        setting=tuple(str(line) for line in as_list("setting", merged.get("setting", ()))),
    )
    _check_sigma_d(made)
    sought(made)  # refuses searches that no point can use
    return made


def _check_sigma_d(made: Study) -> None:
    """Refuse an axis sigma_d of trainings beside several of tests: what a row calls sigma_d is that of its test."""
    trained = next((axis.labels for axis in made.axes if axis.name == SIGMA_D), ())
    if made.test.sigma_d != "matched" and len(trained) > 1:
        one = f"{trained[0]:g}" if isinstance(trained[0], float) else trained[0]
        raise SteadyNetError(
            f"axis sigma_d has {len(trained)} labels and test.sigma_d is a list: a row's sigma_d is its test's, so these would "
            f"be mixed; give the axis another name, as in trained: {{at {one}: {{sigma_d: {one}}}, …}}"
        )


def _with_preset(merged: dict[str, Any], name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the study with a preset's changes: options and axes by name, rules after the others, the rest replaced."""
    check_keys(f"key of preset {name}", changes, PRESET_KEYS)
    result = dict(merged)
    for key, value in changes.items():
        if key in ("base", "test"):
            result[key] = {
                **as_mapping(key, merged.get(key, {})),
                **as_mapping(f"preset {name}: {key}", value),
            }
        elif key == "rules":
            result[key] = [*as_list("rules", merged.get(key, ())), *as_list(f"preset {name}: rules", value)]
        elif key == "axes":
            result[key] = _preset_axes(
                as_mapping("axes", merged.get("axes", {})), as_mapping(f"preset {name}: axes", value)
            )
        else:
            result[key] = value
    return result


def _preset_axes(own: Mapping[str, Any], changed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the axes with those of a preset: a list of labels picks among the axis's own."""
    axes = dict(own)
    for name, value in changed.items():
        had = own.get(name)
        if isinstance(had, Mapping) and isinstance(value, list):
            labelled, wanted = cast("Mapping[Any, Any]", had), cast("list[Any]", value)
            for label in wanted:
                if label not in labelled:
                    raise unknown(f"label of axis {name}", label, map(str, labelled))
            axes[name] = {label: labelled[label] for label in wanted}
        else:
            axes[name] = value
    return axes


def _axes(written: Mapping[str, Any]) -> tuple[Axis, ...]:
    axes: list[Axis] = []
    for name, entries in written.items():
        values: list[tuple[Label, Mapping[str, Any]]] = []
        if isinstance(entries, Mapping):
            for label, options in cast("Mapping[Any, Any]", entries).items():
                where = f"axis {name}, label {label}"
                values.append(
                    (as_label(where, label), checked_options(where, as_mapping(where, options or {})))
                )
        else:
            for value in as_list(f"axis {name}", entries):
                options = checked_options(f"axis {name}", {name: value})
                values.append((as_label(f"axis {name}", value_of(options, name)), options))
        labels = [label for label, _ in values]
        if not values:
            raise SteadyNetError(
                f"axis {name} has no values: the grid is empty; give at least one, or leave it out"
            )
        twice = [str(label) for label in dict.fromkeys(labels) if labels.count(label) > 1]
        if twice:
            raise SteadyNetError(f"axis {name} has {', '.join(twice)} twice: a cell would stand there twice")
        axes.append(Axis(name, tuple(values)))
    if not axes:
        raise SteadyNetError("the study has no axes: the grid is empty; give at least one, such as seed: [0]")
    return tuple(axes)


def _labels(axes: Sequence[Axis], whole: Mapping[str, Any]) -> dict[str, tuple[Label, ...]]:
    """Return the labels that rules and searches may speak of: of those that a preset leaves out, rules match nothing."""
    known = {axis.name: axis.labels for axis in axes}
    for name, entries in whole.items():
        if name in known and entries:
            [before] = _axes({name: entries})
            known[name] = tuple(dict.fromkeys((*known[name], *before.labels)))
    return known


def _rules(written: Any, labels: Mapping[str, Sequence[Label]]) -> tuple[Rule, ...]:
    rules: list[Rule] = []
    for number, entry in enumerate(as_list("rules", written), 1):
        where = f"rule {number}"
        rule = as_mapping(where, entry)
        check_keys(f"key of {where}", rule, ("when", "set", "skip"))
        if "set" not in rule and rule.get("skip") is not True:
            raise SteadyNetError(f"{where} does nothing: give set: {{…}} or skip: true")
        if "skip" in rule and ("set" in rule or rule["skip"] is not True):
            raise SteadyNetError(f"{where}: skip: true stands alone, without set")
        when: dict[str, tuple[Label, ...]] = {}
        for axis, wanted in as_mapping(f"{where}: when", rule.get("when", {})).items():
            if axis not in labels:
                raise unknown(f"axis in {where}", axis, labels)
            when[axis] = picked(f"{where}: {axis}", wanted, labels[axis])
        options = checked_options(where, as_mapping(f"{where}: set", rule.get("set", {})))
        rules.append(Rule(when, options, "skip" in rule))
    return tuple(rules)


def _test(written: Mapping[str, Any]) -> Test:
    check_keys("key of test", written, ("sigma_d", "draws", "seed", "batch_size", "calibrated"))
    values = dict(written)
    sigma_d = values.get("sigma_d", "matched")
    if isinstance(sigma_d, str):
        if sigma_d != "matched":
            raise SteadyNetError(f"test.sigma_d must be numbers or 'matched', got {sigma_d!r}")
    else:
        given = cast("list[Any]", sigma_d) if isinstance(sigma_d, list) else [sigma_d]
        for value in given:
            check_number("test.sigma_d", value, at_least=0)
        values["sigma_d"] = tuple(float(value) for value in given)
    return Test(**values)
