"""What exported files are called. No torch."""

import re

from core.ascii_name import spelt
from core.export.asked import Export, precision_of_gguf
from core.jobs.folder import Job

# What Ollama reads beside a GGUF file.
MODELFILE = "Modelfile"
# As others look for them in a name: https://huggingface.co/docs/hub/gguf
OF_PRECISION = {"fp32": "F32", "fp16": "F16"}


def file_name(run: Job) -> str:
    """The run's name, as every system takes it."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", spelt(run.name)).strip("-.") or run.id


def gguf_name(run: Job, asked: Export) -> str:
    """support-bot-Q8_0.gguf"""
    precision = precision_of_gguf(asked)
    return f"{file_name(run)}-{OF_PRECISION.get(precision, precision.upper())}.gguf"
