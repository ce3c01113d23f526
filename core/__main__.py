"""The command line: `python -m core …`, the same jobs without a browser. Exit status 0 only when it worked."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core import follow, recipe_yaml, said_plan
from core.errors import StudioError
from core.evaluation import start as evaluation
from core.evaluation.asked import Evaluation
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
from core.inference import example
from core.jobs import ending, launcher, queue
from core.jobs.folder import Job
from core.jobs.listing import all_jobs, find_job, find_run
from core.jobs.preflight import check
from core.jobs.status import Status
from core.recipe import diff
from core.training.probe_recipe import probe_recipe

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
recipe_app = typer.Typer(help="Look at a recipe without running it.", no_args_is_help=True)
app.add_typer(recipe_app, name="recipe")

RecipeFile = Annotated[Path, typer.Argument(help="A recipe, as YAML.")]
Changes = Annotated[list[str] | None, typer.Option("--set", help="key.path=value on top of the recipe; repeatable.")]
JobName = Annotated[str, typer.Argument(help="A job's id, or the name of its run (the newest is meant).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Detach = Annotated[bool, typer.Option("--detach", help="Return at once; the job goes on in the background.")]


def _help(field: str, model: type[BaseModel] = Evaluation) -> str:
    """What a field says of itself."""
    return model.model_fields[field].description or ""


What = Annotated[str | None, typer.Option(help=_help("what", Publication))]
Precision = Annotated[str | None, typer.Option(help=_help("precision", Publication))]
OfCheckpoint = Annotated[int | None, typer.Option("--checkpoint", help=_help("step", Publication))]


@app.command()
def train(recipe: RecipeFile, changes: Changes = None, detach: Detach = False, as_json: AsJson = False) -> None:
    """Train, and follow until it is over. Ctrl-C asks it to save and stop."""
    _run(recipe, changes, "train", detach, as_json)


@app.command()
def resume(
    job: JobName,
    step: Annotated[int | None, typer.Option("--from", help="The checkpoint of this step; else the newest.")] = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Go on with a training that was stopped, failed, or interrupted, exactly where its checkpoint was made.

    With the id of a publication or an export it goes on with that.
    """
    _watch(launcher.resume(find_job(job), step), detach, as_json)


@app.command()
def prepare(recipe: RecipeFile, changes: Changes = None, detach: Detach = False, as_json: AsJson = False) -> None:
    """Make tokens and labels of the recipe's data, and count them."""
    _run(recipe, changes, "prepare", detach, as_json)


@app.command()
def probe(recipe: RecipeFile, changes: Changes = None, detach: Detach = False, as_json: AsJson = False) -> None:
    """Train a few steps to measure memory and speed; the plan of such recipes is right from then on."""
    short = probe_recipe(recipe_yaml.load(recipe, changes))
    _watch(launcher.start(short, "probe"), detach, as_json)


@app.command()
def plan(recipe: RecipeFile, changes: Changes = None, as_json: AsJson = False) -> None:
    """What a training will take: memory, time, disk. Nothing is started."""
    found = said_plan.figures(recipe_yaml.load(recipe, changes))
    print(json.dumps(found) if as_json else said_plan.page(found))


@app.command()
def evaluate(
    job: JobName,
    checkpoint: Annotated[int | None, typer.Option(help=_help("step"))] = None,
    general: Annotated[str | None, typer.Option(help=_help("general"))] = None,
    prompt: Annotated[list[str] | None, typer.Option(help=f"{_help('prompts')} Repeatable.")] = None,
    most_rows: Annotated[int | None, typer.Option(help=_help("most_rows"))] = None,
    longest_answer: Annotated[int | None, typer.Option(help=_help("longest_answer"))] = None,
    task: Annotated[list[str] | None, typer.Option(help=f"{_help('tasks')} Repeatable.")] = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Compare what was trained with its base: held-out loss, what was forgotten, answers of both."""
    given = _given(step=checkpoint, general=general, prompts=prompt, most_rows=most_rows, tasks=task)
    _watch(evaluation.start(find_run(job).id, given), detach, as_json)


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
        _watch(job, detach, as_json)
        return
    _follow(job, quiet=as_json)
    _must_have_finished(job)
    run = find_job(job.result["run"])
    if run.status.live:
        _watch(run, detach, as_json)
    elif as_json:
        print(json.dumps(follow.details(run)))
    elif ending.can_resume(run) and not no_resume:
        raise StudioError(f"It was not resumed. `python -m core resume {run.id}` tries again.")


@app.command()
def publish(
    job: JobName,
    repository: Annotated[str, typer.Argument(help=_help("repository", Publication))],
    checkpoint: OfCheckpoint = None,
    what: What = None,
    precision: Precision = None,
    public: Annotated[bool, typer.Option("--public", help="Everybody can see it.")] = False,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Bring what was trained to the Hub, with a model card. Private unless told otherwise."""
    given = _given(step=checkpoint, what=what, precision=precision) | {"repository": repository, "private": not public}
    _watch(publication.start(find_run(job).id, given), detach, as_json)


@app.command()
def export(
    job: JobName,
    checkpoint: OfCheckpoint = None,
    what: What = None,
    precision: Precision = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Pack the adapter, or merge it into its base, for use elsewhere."""
    given = _given(step=checkpoint, what=what, precision=precision)
    _watch(exporting.start(find_run(job).id, given), detach, as_json)


@app.command()
def jobs(as_json: AsJson = False) -> None:
    """List all jobs, newest first."""
    rows = [follow.summary(job) for job in all_jobs()]
    if as_json:
        print(json.dumps(rows))
        return
    table = Table("id", "kind", "status", "step", "loss", "held-out loss")
    for row in rows:
        table.add_row(*(escape(follow.cell(row[name])) for name in ("id", "kind", "status")), *follow.numbers(row))
    Console().print(table if rows else "No jobs yet. `python -m core train RECIPE.yaml` starts one.")


@app.command()
def show(job: JobName, as_json: AsJson = False) -> None:
    """One job: status, recipe, what it became, checkpoints, result."""
    found = find_job(job)
    print(json.dumps(follow.details(found), indent=1) if as_json else follow.page(found))


@app.command("diff")
def recipe_diff(job: JobName, other: JobName, as_json: AsJson = False) -> None:
    """In which settings the recipes of two jobs differ."""
    found = diff(find_job(job).recipe, find_job(other).recipe)
    if as_json:
        print(json.dumps(found))
        return
    for path, (one, two) in found.items():
        print(f"{path}: {one} | {two}")
    if not found:
        print("They have the same recipe.")


@app.command("queue")
def queue_list(as_json: AsJson = False) -> None:
    """List the trainings that wait for their turn, the next one first. `stop` takes one out."""
    rows = [follow.summary(job) for job in queue.waiting()]
    if as_json:
        print(json.dumps(rows))
        return
    for place, row in enumerate(rows, 1):
        print(f"{place}. {row['id']}")
    if not rows:
        print("Nothing waits.")


@app.command()
def move(job: JobName, place: Annotated[int, typer.Argument(min=1, help="1 is next.")]) -> None:
    """Put a waiting training at another place in the queue."""
    queue.move(find_job(job), place)
    queue_list()


@app.command()
def stop(
    job: JobName,
    discard: Annotated[bool, typer.Option("--discard", help="End at once; remove what it has saved.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask a job to save and stop, and wait for it. A waiting one leaves the queue."""
    found = find_job(job)
    (launcher.discard if discard else launcher.stop)(found)
    launcher.wait(found)
    said = f"{found.id}: {found.status}. {(found.result or {}).get('why', '')}".strip()
    print(json.dumps(follow.details(found)) if as_json else said)


@app.command()
def logs(
    job: JobName, go_on: Annotated[bool, typer.Option("--follow", help="Go on until it is over.")] = False
) -> None:
    """What a job's process has printed."""
    found = find_job(job)
    for text in follow.log_lines(found, go_on):
        sys.stdout.write(text)
        sys.stdout.flush()


@app.command()
def chat(
    model: Annotated[str, typer.Argument(help="A job, or a model: a Hub id, a folder, `starter`.")],
    prompt: Annotated[str | None, typer.Option(help="Ask this one thing and print the answer.")] = None,
    checkpoint: Annotated[
        int | None, typer.Option(help="The checkpoint of this step instead of the final adapter.")
    ] = None,
    compare: Annotated[
        list[str] | None,
        typer.Option(help="Another job or model, or `base`, to answer beside it; repeatable, four in all."),
    ] = None,
    temperature: Annotated[float, typer.Option(min=0, max=2, help="0 always takes the likeliest token.")] = 0.7,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 256,
    bits: Annotated[int, typer.Option(help="16, or hold the base in 8 or 4: less memory, slower.")] = 16,
) -> None:
    """Talk with a base model or a trained one."""
    from core import talk
    from core.inference.client import Sampling

    chosen, sampling = talk.model_id(model, checkpoint), Sampling(temperature=temperature, max_tokens=max_tokens)
    if compare:
        others = [talk.other_id(name, chosen) for name in compare]
        talk.side_by_side([chosen, *others], prompt, sampling, bits)
    else:
        talk.talk(chosen, prompt, sampling, bits)


@app.command()
def space(
    model: Annotated[str, typer.Argument(help=_help("model", Space))],
    name: Annotated[str | None, typer.Option(help=f"{_help('space', Space)} Empty: the model's, with -chat.")] = None,
    hardware: Annotated[str, typer.Option(help=_help("hardware", Space))] = DEFAULT,
    public: Annotated[bool, typer.Option("--public", help="Everybody may open it; else only you.")] = False,
    secret: Annotated[bool, typer.Option("--secret", help=_help("secret", Space))] = False,
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
    texts = files(look(model), name.partition("/")[2], hardware)
    _watch(start_space(asked, texts), detach, as_json)


@app.command()
def serve(port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0) -> None:
    """Let other tools talk to the models here, by OpenAI's protocol, until Ctrl-C. Only this machine can reach it."""
    from core.inference.server import serve as run

    run(port, _say_how_to_ask)


def _say_how_to_ask(url: str, key: str) -> None:
    print(f"Address  {url}\nKey      {key}\n\n{example.curl(url, key, 'starter')}\n", flush=True)


@recipe_app.command("check")
def recipe_check(recipe: RecipeFile, changes: Changes = None, as_json: AsJson = False) -> None:
    """Name every problem of a recipe; exit status 1 if there is one."""
    found = recipe_yaml.load(recipe, changes)
    check(found)
    print(json.dumps(found.model_dump(mode="json")) if as_json else f"{recipe} is a good recipe: it can be trained.")


def _given(**asked: Any) -> dict[str, Any]:
    """What was really asked for."""
    return {name: value for name, value in asked.items() if value is not None}


def _run(recipe: Path, changes: list[str] | None, kind: str, detach: bool, as_json: bool) -> None:
    _watch(launcher.start(recipe_yaml.load(recipe, changes), kind), detach, as_json)


def _watch(job: Job, detach: bool, as_json: bool) -> None:
    """Follow a job to its end, unless it shall go on alone; raises StudioError where it did not finish."""
    if not detach:
        _follow(job, quiet=as_json)
    if as_json:
        print(json.dumps(follow.details(job)))
    elif detach:
        print(job.id)
    if not detach:
        _must_have_finished(job)


def _must_have_finished(job: Job) -> None:
    if job.status is not Status.FINISHED:
        raise StudioError(ending.why(job) or f"{job.id} was {job.status}. `python -m core logs {job.id}` says more.")


def _follow(job: Job, quiet: bool) -> None:
    """Watch until it is over; the first Ctrl-C asks it to stop, the second ends it."""
    while job.status.live:
        try:
            follow.follow(job, quiet)
        except KeyboardInterrupt:
            print("Stopping after this step. Press Ctrl-C again to end it at once.", file=sys.stderr)
            launcher.stop(job)
            time.sleep(0.2)


def main() -> int:
    """Run a command; errors for the person become one paragraph on standard error, bugs keep their traceback."""
    try:
        app(standalone_mode=False)
    except StudioError as error:
        print(error, file=sys.stderr)
        return 1
    except typer.Exit as end:
        return end.exit_code
    except typer.TyperException as error:
        error.show()
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
