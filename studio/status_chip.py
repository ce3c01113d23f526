"""A job's status as a chip: always a word and an icon, never colour alone."""

from core.jobs.status import Status

CHIPS: dict[Status, tuple[str, str, str]] = {  # status -> word, colour, icon
    Status.STARTING: ("Starting", "blue", "hourglass_top"),
    Status.QUEUED: ("Queued", "violet", "schedule"),
    Status.PREPARING: ("Preparing", "blue", "progress_activity"),
    Status.RUNNING: ("Running", "blue", "progress_activity"),
    Status.STOPPING: ("Stopping", "violet", "progress_activity"),
    Status.FINISHED: ("Finished", "green", "check_circle"),
    Status.STOPPED: ("Stopped", "gray", "stop_circle"),
    Status.FAILED: ("Failed", "red", "error"),
    Status.INTERRUPTED: ("Interrupted", "orange", "power_off"),
    Status.DAMAGED: ("Damaged", "orange", "broken_image"),
}
WORDS = [word for word, _, _ in CHIPS.values()]
COLOURS = [colour for _, colour, _ in CHIPS.values()]


def word(status: Status) -> str:
    return CHIPS[status][0]


def badge(status: Status) -> str:
    """The chip as Markdown."""
    said, colour, icon = CHIPS[status]
    return f":{colour}-badge[:material/{icon}: {said}]"
