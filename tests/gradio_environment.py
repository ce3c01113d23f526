"""A Python with Gradio for the Spaces that are made here: Gradio wants an older pillow than the studio, so it has its own.

All else it takes from the studio's environment, so it is made in seconds; it lies inside of that and goes with it.
"""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from filelock import FileLock

from core.hub.space_files import GRADIO, SPACES

WANTED = (f"gradio=={GRADIO}", f"spaces=={SPACES}")


def gradio_python() -> Path:
    """The interpreter, made at the first call; several tests may ask at once."""
    folder = Path(sys.prefix) / f"gradio-{GRADIO}-{SPACES}"
    ready = folder / "ready"
    with FileLock(f"{folder}.lock"):
        if not ready.exists():
            _make(folder)
            ready.touch()
    return folder / "bin" / "python"


def _make(folder: Path) -> None:
    venv.create(folder, clear=True)
    python = folder / "bin" / "python"
    here = sysconfig.get_path("purelib")
    own = sysconfig.get_path("purelib", vars={"base": str(folder)})
    (Path(own) / "studio.pth").write_text(f"{here}\n")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *WANTED], check=True)
