"""The commands that take a run elsewhere and bring one back: publish, export, space, restore."""

import json
from typing import Annotated

import typer

from core import follow
from core.command_parts import AsJson, Detach, JobName, follow_to_end, given_values, help_of, must_have_finished, watch
from core.errors import StudioError
from core.export import start as exporting
from core.hub import publication
from core.hub import restore_asked as restoring
from core.hub.publication import Publication
from core.hub.published import look
from core.hub.restore_asked import Restore
from core.hub.space_asked import Space, may_be_replaced
from core.hub.space_asked import start as start_space
from core.hub.space_files import files
from core.hub.space_hardware import DEFAULT
from core.jobs import ending
from core.jobs.asked import filled
from core.jobs.listing import find_job, find_run

app = typer.Typer()

What = Annotated[str | None, typer.Option(help=help_of("what", Publication))]
Precision = Annotated[str | None, typer.Option(help=help_of("precision", Publication))]
OfCheckpoint = Annotated[int | None, typer.Option("--checkpoint", help=help_of("step", Publication))]


@app.command()
def restore(
    repository: Annotated[str, typer.Argument(help=Restore.model_fields["repository"].description)],
    no_resume: Annotated[bool, typer.Option("--no-resume", help="Only bring it here; `resume` goes on later.")] = False,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Bring a run back from its backup on the Hub, go on with it, and follow until it is over."""
    job = restoring.start(repository, resume=not no_resume)
    if detach:
        watch(job, detach, as_json)
        return
    follow_to_end(job, quiet=as_json)
    must_have_finished(job)
    run = find_job(job.result["run"])
    if run.status.live:
        watch(run, detach, as_json)
    elif as_json:
        print(json.dumps(follow.details(run)))
    elif ending.can_resume(run) and not no_resume:
        raise StudioError(f"It was not resumed. `python -m core resume {run.id}` tries again.")


@app.command()
def publish(
    job: JobName,
    repository: Annotated[str, typer.Argument(help=help_of("repository", Publication))],
    checkpoint: OfCheckpoint = None,
    what: What = None,
    precision: Precision = None,
    public: Annotated[
        bool | None,
        typer.Option(
            "--public/--private", help="Everybody can see it, or only you. Else as it is there; at first private."
        ),
    ] = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Bring what was trained to the Hub, with a model card."""
    private = None if public is None else not public
    given = given_values(step=checkpoint, what=what, precision=precision, private=private)
    watch(publication.start(find_run(job).id, given | {"repository": repository}), detach, as_json)


@app.command()
def export(
    job: JobName,
    checkpoint: OfCheckpoint = None,
    what: What = None,
    precision: Precision = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Pack the adapter, merge it into its base, or make a GGUF file of it, for use elsewhere."""
    given = given_values(step=checkpoint, what=what, precision=precision)
    watch(exporting.start(find_run(job).id, given), detach, as_json)


@app.command()
def space(
    model: Annotated[str, typer.Argument(help=help_of("model", Space))],
    name: Annotated[str | None, typer.Option(help=f"{help_of('space', Space)} Empty: the model's, with -chat.")] = None,
    hardware: Annotated[str, typer.Option(help=help_of("hardware", Space))] = DEFAULT,
    public: Annotated[bool, typer.Option("--public", help="Everybody may open it; else only you.")] = False,
    secret: Annotated[bool, typer.Option("--secret", help=help_of("secret", Space))] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace what the last push found changed in the Space.")
    ] = False,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Make a chat page for a published model, a Space on the Hub, or bring the one that is there up to date."""
    name = name or f"{model}-chat"
    asked = {"space": name, "model": model, "hardware": hardware, "private": not public, "secret": secret}
    asked["replace"] = may_be_replaced(name) if replace else {}
    filled(Space, asked)  # before the files are made of it, which ask no further
    texts = files(look(model), name.partition("/")[2], hardware)
    watch(start_space(asked, texts), detach, as_json)
