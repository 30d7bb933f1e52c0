"""Which data sets have an augmentation; what asks for one elsewhere is refused."""

from __future__ import annotations

from steadynet.errors import SteadyNetError

# Those whose training images are cropped and flipped.
AUGMENTED = ("cifar10", "cifar100", "tiny-imagenet")


def check_augment(where: str, data: str) -> None:
    """Raise `SteadyNetError` if augmentation, which `where` asks for, is none that the data set has."""
    if data not in AUGMENTED:
        raise SteadyNetError(
            f"{where} does nothing for {data}, whose images are taken as they are: leave it out; it is for "
            f"{', '.join(AUGMENTED)}"
        )
