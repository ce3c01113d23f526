"""This very process, speaking to a local Hub: what the client reads once, at import, is set anew."""

from pathlib import Path

import pytest
from huggingface_hub import constants, set_client_factory

from core.hub import patience
from tests.local_hub import Hub


def speak_to(hub: Hub, folder: Path, token: str | None, patch: pytest.MonkeyPatch) -> None:
    """From here to the end of `patch`; `folder` holds what is downloaded. Processes that are started do the same."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE"):
        patch.delenv(name, raising=False)
    for name, value in hub.environment(folder, token).items():
        if name.startswith(("HF_", "NO_PROXY")):
            patch.setenv(name, value)
    patch.setattr(constants, "ENDPOINT", hub.url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}")
    patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hub"))
    patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "token"))
    patch.setattr(constants, "AGENT_HARNESSES_PATH", str(folder / "agent_harnesses.json"))
    patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    set_client_factory(patience.client)
