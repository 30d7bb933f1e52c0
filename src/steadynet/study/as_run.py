"""A cell's folder as that of any other training: what commands on a finished run, and teachers, read there."""

from __future__ import annotations

import yaml

from steadynet.errors import SteadyNetError
from steadynet.files import write_text_atomically
from steadynet.options.trained import CONFIG_NAME
from steadynet.study.flat import DEFAULT_SIGMA_D, INIT_FROM
from steadynet.study.store import Place


def write_options(place: Place) -> None:
    """Write the options of a cell's training into its folder, as `steadynet train --config` takes them.

    What it starts from is another cell, and no option of a run.

    Raises:
        SteadyNetError: If the file cannot be written.
    """
    path = place.folder / CONFIG_NAME
    if path.is_file():
        return
    # What a study may leave out is written all the same: commands on a run ask it for the sigma_d that it was trained for.
    always = {"sigma_d": DEFAULT_SIGMA_D, "seed": place.cell.training.seed}
    options = {**always, **{name: value for name, value in place.cell.options.items() if name != INIT_FROM}}
    try:
        text = yaml.safe_dump(options, sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:  # pragma: no cover (options come from YAML)
        raise SteadyNetError(f"cannot write {path}: {error}") from error
    write_text_atomically(path, f"# steadynet train --config {CONFIG_NAME}\n{text}")
