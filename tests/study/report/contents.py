"""Made-up studies for the report's page: every kind of chart, six panels, what is missing, and names that try to be HTML."""

from __future__ import annotations

import math

import numpy as np

from steadynet.study.report.content import Chart, Entry, Grid, Panel, Point, Series, StudyContent

NAN = float("nan")
HOSTILE = '<b>"bold"</b> & <script>window.harmed = 1</script> \'x\' </script><img src=x onerror="window.harmed=1"> $a_b$ %{y}'
RECIPES = ("W/O", "W/", "W/, T = 5", "OVF", "IRS", "UDF", "worst-case", "SWA", "CorrectNet")
PANELS = (
    "VGG-8 MNIST",
    "VGG-8 Fashion-MNIST",
    "VGG-8 CIFAR-10",
    "ResNet-18 CIFAR-10",
    "ResNet-18 CIFAR-100",
    "ResNet-18 Tiny ImageNet",
)
SIGMAS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)


def command(**labels: object) -> str:
    only = " ".join(f"'{axis}={label}'" for axis, label in labels.items())
    return f"steadynet study run studies/figure3.yaml --preset paper --only {only}"


def _detail(**labels: object) -> str:
    return (
        f"5 trainings (seeds 0, 1, 2, 3, 4), 200 simulated chips each: {command(**labels, seed='0|1|2|3|4')}"
    )


def curve() -> Chart:
    """Six frames of nine lines, with published numbers, a gap, a lone interval, and trainings that are too short."""
    panels: list[Panel] = []
    for number, panel in enumerate(PANELS):
        lines: list[Series] = []
        for index, name in enumerate(RECIPES):
            points: list[Point] = []
            for at, sigma in enumerate(SIGMAS):
                y = 99.3 - 6 * number - (170 - 12 * index) * sigma**2 * (1 + 0.15 * number) - 0.3 * index
                half = 0.2 + 4 * sigma * (1 + index % 3)
                if number == 1 and name == "OVF" and at == 4:
                    y, half = NAN, NAN
                if number == 1 and name == "IRS" and at in (3, 5):
                    half = NAN
                converged = not (name == "worst-case" and number > 2)
                detail = (
                    _detail(panel=panel, recipe=name, sigma_d=sigma) if math.isfinite(y) else "not finished"
                )
                points.append(Point(sigma, y, y - half, y + half, converged, detail=detail))
            lines.append(Series(name, tuple(points)))
            if name in ("W/", "OVF") and number == 0:
                theirs = tuple(Point(s, 98.9 - 150 * s**2, detail="published: Table 2") for s in SIGMAS[1:])
                lines.append(Series(name, theirs, published=True))
        panels.append(Panel(panel, tuple(lines)))
    return Chart(
        key="figure3-1-curve-accuracy",
        title="Accuracy over sigma_d",
        kind="curve",
        x_label="sigma_d: std of a device's conductance error ÷ its largest conductance",
        y_label="accuracy, %",
        panels=tuple(panels),
        notes=(
            "bands: 95 % interval over 5 trainings (Student's t), each the mean of 200 simulated chips",
            "hollow: not converged (clean accuracy more than 2 points under vanilla's, which sees no noise, in as many steps)",
        ),
        alternative="VGG-8 MNIST: OVF 99.3 at sigma_d 0, 87.0 at 0.4; W/ 98.9 at 0, 73.8 at 0.4.",
    )


def violin() -> Chart:
    """Two frames of violins: many draws, two draws, draws that are all equal, none."""
    random = np.random.default_rng(7)
    panels: list[Panel] = []
    for sigma in (0.2, 0.4):
        lines: list[Series] = []
        for index, name in enumerate(RECIPES[:6]):
            spread = (2.5 + index) * (1 + 3 * sigma)
            values = [float(v) for v in 92 - 30 * sigma - index + spread * random.standard_normal(150)]
            values = {3: values[:2], 4: [88.0] * 20, 5: []}.get(index, values)
            mean = float(np.mean(values)) if values else NAN
            half = 0.8 if values else NAN
            lines.append(
                Series(
                    name,
                    (
                        Point(
                            name,
                            mean,
                            mean - half,
                            mean + half,
                            index != 2,
                            tuple(values),
                            _detail(recipe=name),
                        ),
                    ),
                )
            )
        panels.append(Panel(f"VGG-8 MNIST, sigma_d {sigma:g}", tuple(lines)))
    return Chart(
        "figure3-2-violin",
        "Spread of accuracy over simulated chips",
        "violin",
        "recipe",
        "accuracy, %",
        tuple(panels),
        (
            "violins: accuracies of single simulated chips, all trainings together; the mark is the mean of the trainings",
        ),
        "At sigma_d 0.4, OVF spreads from 60 to 95 %.",
    )


def scatter() -> Chart:
    """One frame over a logarithmic axis, with a published point."""
    lines = tuple(
        Series(
            name,
            tuple(
                Point(
                    60.0 * 2.2 ** (index + step),
                    70 + 3 * index - step,
                    69.0 + 3 * index - step,
                    71.2 + 3 * index - step,
                    detail=_detail(recipe=name),
                )
                for step in range(3)
            ),
        )
        for index, name in enumerate(RECIPES[:5])
    )
    theirs = Series("OVF", (Point(900.0, 82.25, detail="published: section 5"),), published=True)
    return Chart(
        "figure3-3-cost-accuracy", "Accuracy against time of training", "scatter", "time of a training, s", "accuracy, %",
        (Panel("", (*lines, theirs)),), ("time: median over the trainings of a point",), "", log_x=True,
    )  # fmt: skip


def bar() -> Chart:
    """Differences from a control, around 0."""
    panels = tuple(
        Panel(
            panel,
            tuple(
                Series(
                    name,
                    (
                        Point(
                            name,
                            1.2 * index - 2.3,
                            1.2 * index - 3.5,
                            1.2 * index - 1.1,
                            index != 1,
                            (),
                            _detail(r=name),
                        ),
                    ),
                )
                for index, name in enumerate(RECIPES[2:6])
            ),
        )
        for panel in PANELS[:2]
    )
    return Chart(
        "figure3-4-ranking", "Difference from W/", "bar", "recipe", "difference in accuracy, points", panels,
        ("bars: 95 % interval of the difference, paired by seed",), "OVF is 0.1 better, from -1.1 to 1.3.",
    )  # fmt: skip


def table() -> Grid:
    rows: list[tuple[Entry, ...]] = []
    for index, name in enumerate(RECIPES[:5]):
        fields = [Entry(name)]
        for sigma in SIGMAS:
            value = 98.7654321 - 40 * sigma - index / 3
            fields.append(
                Entry(
                    f"{value:.2f} ± 0.42",
                    value,
                    value - 0.42,
                    value + 0.42,
                    index != 2,
                    detail=_detail(recipe=name, sigma_d=sigma),
                )
            )
        fields.append(
            Entry("97.10", 97.1, published=True, detail="published: Table 2") if index < 2 else Entry("–")
        )
        rows.append(tuple(fields))
    return Grid(
        "figure3-5-table-accuracy",
        "Accuracy, %",
        ("recipe", *(f"sigma_d {sigma:g}" for sigma in SIGMAS), "published"),
        tuple(rows),
        ("± is the half width of a 95 % interval over 5 trainings (Student's t)", "asterisk: not converged"),
    )


def figure3() -> StudyContent:
    return StudyContent(
        name="figure3",
        title="Figure 3: accuracy of six networks under noise",
        question="Does negative feedback keep more accuracy than training through noise, on each net and data set, as σ_d grows?",
        preset="paper",
        setting=(
            "VGG-8 at full width on MNIST; 30 epochs.",
            "Tested on 10,000 test images and 200 simulated chips.",
        ),
        blocks=(curve(), violin(), scatter(), bar(), table()),
        findings=(
            "OVF is better than W/ at sigma_d 0.4 on 4 of 6 networks.",
            "IRS: undecided on 3 of 6 networks.",
        ),
        missing=tuple(
            f"panel {panel}, recipe SWA, sigma_d 0.4, seed {seed}: not started, about {3 + seed} h left"
            for panel in PANELS[2:]
            for seed in range(4)
        ),
        commands=(
            ("all of figure3", "steadynet study run studies/figure3.yaml --preset paper"),
            *(
                (f"panel {panel}, recipe {name}, seed 0", command(panel=panel, recipe=name, seed=0))
                for panel in PANELS
                for name in RECIPES
            ),
        ),
        facts=(
            ("steadynet", "0.1.0"),
            ("torch", "2.14.0"),
            ("machine", "x86_64, 2 cores"),
            ("trained", "2026-01-02"),
        ),
    )


def hostile() -> StudyContent:
    """A study whose every text tries to be HTML, JavaScript or a format of Plotly."""
    x = HOSTILE
    points = (Point(0.1, 50.0, 49.0, 51.0, detail=x), Point(0.2, 40.0, NAN, NAN, False, detail=x))
    lying = tuple(
        Series(x, (Point(x, 1.0, 0.5, 1.5, values=(0.5, 1.0, 1.5, 2.0), detail=x),)) for _ in range(1)
    )
    return StudyContent(
        name=x,
        title=x,
        question=x,
        preset=x,
        setting=(x,),
        blocks=(
            Chart(
                "h-1",
                x,
                "curve",
                x,
                x,
                (Panel(x, (Series(x, points), Series(x, points, published=True))),),
                (x,),
                x,
            ),
            Chart("h-2", x, "violin", x, x, (Panel(x, lying),), (x,), x),
            Grid("h-3", x, (x, x), ((Entry(x, detail=x), Entry(x, 1.5, 1.0, 2.0, False, True, x)),), (x,)),
        ),
        findings=(x,),
        missing=(x,),
        commands=((x, x),),
        facts=((x, x),),
    )


def nothing() -> StudyContent:
    """A study of which nothing is finished."""
    empty = Chart("empty-1", "Accuracy over sigma_d", "curve", "sigma_d", "accuracy, %", ())
    return StudyContent(
        "empty",
        "A study that waits",
        "Is anything there?",
        "small",
        (),
        (empty,),
        missing=("all: not started",),
    )


def studies() -> tuple[StudyContent, ...]:
    return (figure3(), nothing(), hostile())
