"""From a plan to what a report says of each study: rows through views, settings, what is missing, and the commands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from steadynet.errors import SteadyNetError
from steadynet.report.rows import order
from steadynet.study.cells import written
from steadynet.study.definition import Study
from steadynet.study.estimate import Estimates, duration
from steadynet.study.flat import Label
from steadynet.study.plan import Plan
from steadynet.study.report.content import Block, StudyContent
from steadynet.study.report.findings import findings
from steadynet.study.report.views import View, view_from
from steadynet.study.report.views.claims import ClaimsView
from steadynet.study.rows import Row, rows_of, study_command
from steadynet.study.search_store import Planned, told_searches
from steadynet.study.store import Place


def views_of(study: Study) -> tuple[View, ...]:
    """Return the views that a study asks for.

    Raises:
        SteadyNetError: If one cannot be used, or names an axis that the study does not have.
    """
    views = tuple(view_from(written) for written in study.report)
    for view in views:
        for axis in view.axes_used:
            if axis != "sigma_d":  # every row has one, whatever the axes
                study.axis(axis)
        if isinstance(view, ClaimsView):
            labels: dict[str, Sequence[Label]] = {axis.name: axis.labels for axis in study.axes}
            if study.test.sigma_d != "matched":  # a row's is that of its test
                labels["sigma_d"] = study.test.sigma_d
            view.check_labels(labels)
    return views


def content_of(whole: Plan, study: Study, file: str, estimates: Estimates) -> tuple[StudyContent, list[Row]]:
    """Return what a report says of one study, and the rows behind it.

    Args:
        whole: The plan.
        study: One of its studies.
        file: Its file, as a command names it.
        estimates: What is known of cells' cost, for those that are not finished.

    Raises:
        SteadyNetError: If results cannot be read, or a view cannot be used.
    """
    views = views_of(study)
    rows, missing = rows_of(whole, study, file)
    waiting = [(point, search) for point, search in whole.waiting if point.study == study.name]
    expected = [
        {**point.labels, "sigma_d": sigma_d}
        for point in (*(point for _, point in whole.of(study)), *(point for point, _ in waiting))
        for sigma_d in point.sigma_d
    ]
    published = is_whole([place for place, _ in whole.of(study)])
    blocks: list[Block] = []
    if rows:
        for number, view in enumerate(views, 1):
            try:
                blocks += view.blocks(
                    rows,
                    key_prefix=f"{study.name}-{number}",
                    published_allowed=published,
                    expected=expected,
                )
            except SteadyNetError as error:
                raise SteadyNetError(f"view {number} of its report ({view.kind}): {error}") from None
    return (
        StudyContent(
            name=study.name,
            title=study.title,
            question=study.question,
            preset=study.preset,
            setting=(*study.setting, *_setting(rows), *told_searches(whole.searches, study.name)),
            blocks=tuple(blocks),
            findings=findings(rows, views, published_allowed=published) if rows else (),
            missing=(
                *(_missing(place, point.labels, estimates) for place, point in missing),
                *(_waiting(point.labels, search) for point, search in waiting),
            ),
            commands=(
                (f"all of {study.name}", study_command(study, file, whole.words)),
                *dict.fromkeys((_named(row), str(row["command"])) for row in rows),
            ),
            facts=_facts(rows),
        ),
        rows,
    )


def is_whole(places: Sequence[Place]) -> bool:
    """Return whether a study's cells are the paper's nets on whole data sets, so that published numbers may stand beside them."""
    return all(
        place.cell.training.data.train_images is None
        and place.cell.training.data.test_images is None
        and place.cell.training.data.size in (None, 32)
        and not place.cell.training.data.data.startswith("folder:")
        and place.cell.training.model.model in ("vgg8", "resnet18")
        and place.cell.training.model.model_options.get("width", 1) == 1
        for place in places
    )


def _setting(rows: Sequence[Row]) -> tuple[str, ...]:
    """Return lines on what all rows share: device, chips, images, seeds."""
    if not rows:
        return ()
    draws = order(row["draws"] for row in rows if row["sigma_d"] > 0) or [1]
    images = order(row["images"] for row in rows)
    seeds = sorted({row["seed"] for row in rows})
    steps = order(row["steps"] for row in rows)
    told = (
        f"Tested on {_several(images)} test images and {_several(draws)} simulated chips for each network and sigma_d (one at "
        f"sigma_d 0, where all are alike; seed {_several(order(row['evaluation_seed'] for row in rows))}), the same for all; "
        f"trainings of {_several(steps)} steps with seed{'s' if len(seeds) > 1 else ''} {_several(seeds)}."
    )
    images_told = tuple(_images(n) for n in images)
    if all("logits_temperature" in row for row in rows):
        return (
            told,
            *images_told,
            "Logits are divided by the temperature that validation images and other chips ask for, at each sigma_d, which "
            "changes no prediction.",
        )
    return (told, *images_told)


def _images(count: int) -> str:
    """Return the line on what no interval over trainings or chips covers: that other images would be another sample."""
    high, low = (100 * 1.96 * math.sqrt(p * (1 - p) / count) for p in (0.99, 0.8))
    return (
        f"Intervals are for these test images. Other {count:,} of them would shift an accuracy near 99 % by up to {high:.1f} "
        f"points and one near 80 % by {low:.1f} (95 %, binomial), differences by less, as all networks see the same."
    )


def _facts(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    facts: dict[str, list[str]] = {}
    for row in rows:
        for name, value in row["versions"].items():
            facts.setdefault(name, []).append(str(value))
    told = [(name, ", ".join(order(values))) for name, values in facts.items()]
    dates = sorted(str(row["finished"])[:10] for row in rows if row["finished"])
    if dates:
        told.append(("trained", dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"))
    old = sorted({name for row in rows for name in row["other_code"]})
    if old:
        told.append(
            (
                "by other code",
                f"{sum(bool(row['other_code']) for row in rows)} rows, as {', '.join(old)} was then",
            )
        )
    return tuple(told)


def _missing(place: Place, labels: Mapping[str, Any], estimates: Estimates) -> str:
    pace = estimates.pace(place)
    state = place.state()
    why = f" ({place.failure()})" if state == "failed" else ""
    left = (
        "its time is not known"
        if pace is None
        else f"about {duration(pace.seconds(place, whole=False))} left"
    )
    return f"{_labels(labels)}: {state}{why}, {left}"


def _labels(labels: Mapping[str, Any]) -> str:
    return ", ".join(f"{axis} {written(label)}" for axis, label in labels.items())


def _waiting(labels: Mapping[str, Any], search: Planned) -> str:
    """Return the line of a point whose options a search has not found yet."""
    over = ", ".join(search.sought.search.over)
    return f"{_labels(labels)}: waits for the search for {over} ({search.failure() or search.told()})"


def _named(row: Row) -> str:
    return _labels(row["axes"])


def _several(values: Sequence[Any]) -> str:
    texts = [f"{value:,}" if isinstance(value, int) else str(value) for value in values]
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
