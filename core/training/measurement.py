"""What a training is remembered by, for the plans of others on this machine."""

import time
from typing import Any

from core import home
from core.hardware import machine
from core.plan.measured import Measurement
from core.training.session import Session


def measurement(session: Session, source: str, **found: Any) -> Measurement:
    """Of a training as it was computed in the end; `found` are its batches, its peak and its time."""
    job, device = session.job, session.device
    return Measurement(
        source=source,
        job=job.id,
        time=time.time(),
        device=machine(home.home()).device_name,
        precision=device.precision,
        recipe=session.micro.as_recipe(job.recipe),
        **found,
    )
