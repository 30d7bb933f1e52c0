"""Networks of timm, torchvision and transformers (Hugging Face), by name."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, cast

from torch import nn

from steadynet.errors import SteadyNetError, unknown


def from_library(
    library: str, name: str, classes: int, shape: tuple[int, int, int], options: dict[str, Any]
) -> nn.Module:
    """Return a network of a library for images of `shape`, its weights drawn by torch's global generator.

    Args:
        library: timm, torchvision or transformers.
        name: What the library calls it: of transformers a type, as in vit, or a folder or name of a pretrained one.
        classes: How many it tells apart.
        shape: (C, H, W) of an image.
        options: What the library takes besides; `pretrained` (of torchvision `weights`) asks for weights that were trained.

    Raises:
        SteadyNetError: If the library is missing, has no such network, or cannot make it so.
    """
    if importlib.util.find_spec(library) is None:
        raise SteadyNetError(f"model {library}:{name} needs {library}: pip install {library}")
    make = {"timm": _timm, "torchvision": _torchvision, "transformers": _transformers}[library]
    try:
        return make(name, classes, shape, dict(options))
    except SteadyNetError:
        raise
    except (
        TypeError,
        ValueError,
        RuntimeError,
        AssertionError,
        LookupError,
        AttributeError,
        ArithmeticError,
        OSError,
    ) as error:
        raise SteadyNetError(
            f"model {library}:{name} cannot be made: {' '.join(str(error).split())}"
        ) from error


def _timm(name: str, classes: int, shape: tuple[int, int, int], options: dict[str, Any]) -> nn.Module:
    import timm

    if name.partition(".")[0] not in timm.list_models():
        raise unknown("model of timm", name, timm.list_models())
    given: dict[str, Any] = {"pretrained": False, "num_classes": classes, "in_chans": shape[0]}
    return timm.create_model(name, **given | options)


def _torchvision(name: str, classes: int, shape: tuple[int, int, int], options: dict[str, Any]) -> nn.Module:
    from torchvision import models

    if name not in models.list_models():
        raise unknown("model of torchvision", name, models.list_models())
    return models.get_model(name, **{"weights": None, "num_classes": classes, **options})


def _transformers(name: str, classes: int, shape: tuple[int, int, int], options: dict[str, Any]) -> nn.Module:
    """Return a classifier of images: of a type by its configuration, or as one that was saved is made."""
    from transformers import AutoConfig, AutoModelForImageClassification
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as TYPES

    auto, configs = cast("Any", AutoModelForImageClassification), cast("Any", AutoConfig)
    pretrained = options.pop("pretrained", False)
    saved = "/" in name or Path(name).is_dir()
    if not saved and name not in TYPES:
        raise unknown("type of transformers", name, list(TYPES))
    if pretrained and not saved:
        raise SteadyNetError(
            f"transformers:{name} is a type, without weights that were trained: name a folder or a repository (OWNER/NAME)"
        )
    if pretrained:
        return auto.from_pretrained(name, num_labels=classes, ignore_mismatched_sizes=True, **options)
    given: dict[str, Any] = {"num_labels": classes, **options}
    if saved:
        return auto.from_config(configs.from_pretrained(name, **given))
    known = set(cast("dict[str, Any]", vars(configs.for_model(name))))
    for key, value in (("image_size", shape[1]), ("num_channels", shape[0])):
        if key in known:
            given.setdefault(key, value)
    if wrong := [key for key in options if key not in known]:
        raise unknown(f"option of transformers:{name}", wrong[0], sorted(known))
    return auto.from_config(configs.for_model(name, **given))
