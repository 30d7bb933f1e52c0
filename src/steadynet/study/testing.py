"""A trained network put to one of its cell's tests, and what that found written down."""

from __future__ import annotations

import platform
import time

import torch
from torch import nn

from steadynet import __version__
from steadynet.compute import Compute
from steadynet.data import DataSplits, ImageSet
from steadynet.deploy.temperature import fit_temperature, with_temperature
from steadynet.files import write_json_atomically
from steadynet.montecarlo.engine import full
from steadynet.montecarlo.session import Session
from steadynet.options.build import training_hardware
from steadynet.study.code_version import testing_code
from steadynet.study.store import Place
from steadynet.study.wanted import Wanted


def put_to_test(place: Place, model: nn.Module, wanted: Wanted, data: DataSplits) -> None:
    """Test a network as wanted, and write the file of that test."""
    since, made = time.monotonic(), place.cell.training
    device = wanted.device or made.device
    seen: ImageSet = data.test if wanted.split == "test" else data.validation
    # Where it was trained; Lightning has brought the network back to the CPU.
    compute = Compute(device=training_hardware(made.training).compute_device)
    temperature = None
    if wanted.calibrated:
        temperature = fit_temperature(
            model,
            device.at(wanted.sigma_d),
            data.validation,
            draws=wanted.draws,
            seed=wanted.seed,
            batch_size=wanted.batch_size,
            compute=compute,
        )
    with Session(
        model if temperature is None else with_temperature(model, temperature),
        device,
        seen,
        seed=wanted.seed,
        stream=wanted.split,
        batch_size=wanted.batch_size,
        compute=compute,
    ) as session:
        result = full(session, wanted.sigma_d, draws=wanted.draws)
    write_json_atomically(
        place.tests[wanted],
        {
            "test": wanted.plain(),
            **({} if temperature is None else {"temperature": temperature}),
            "weights": place.result().get("weights"),
            "images": place.images.seen_by(wanted),
            "code": dict(testing_code(made.model.model, calibrated=wanted.calibrated)),
            "result": result.to_dict(),
            "seconds": round(time.monotonic() - since, 2),
            "versions": versions(),
        },
    )


def versions() -> dict[str, str]:
    """Return what computes here: versions and machine."""
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
    return {
        "steadynet": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "system": platform.system(),
        "hardware": where,
        "threads": str(torch.get_num_threads()),
    }
