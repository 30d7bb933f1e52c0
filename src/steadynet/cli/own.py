"""`own` in place of a number: the size that a device's error was measured or published at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Union, get_args, get_origin

from steadynet.errors import SteadyNetError

SIZES = ("sigma_d", "train_sigma_d")
OWN = "own"


def with_own(hint: Any) -> Any:
    """Return the type of a size's option as the command line takes it, with `own` beside numbers."""
    if get_origin(hint) is list:
        return list[with_own(get_args(hint)[0])]
    return Union[hint, Literal["own"]]  # noqa: UP007 (a type that is made as the program runs)


def own_sizes(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with numbers in place of `own`.

    Raises:
        SteadyNetError: If the device has no size of its own, or the command knows no device.
    """
    found = dict(values)
    for name in SIZES:
        given = values.get(name)
        if given == OWN:
            found[name] = _own(values, name)
        elif isinstance(given, list) and OWN in given:
            found[name] = [_own(values, name) if one == OWN else one for one in given]  # pyright: ignore[reportUnknownVariableType] (a list of numbers and words)
    return found


def _own(values: Mapping[str, Any], name: str) -> float:
    from steadynet.nvm.device_file import named_device

    told = values.get("device")
    option = "--" + name.replace("_", "-")
    if not isinstance(told, str):
        raise SteadyNetError(f"{option} own needs a --device with an error of its own size")
    size = named_device(told).own_sigma_d
    if size is None:
        raise SteadyNetError(
            f"{option} own: device {told} is given at any size and has none of its own; give a number"
        )
    return size
