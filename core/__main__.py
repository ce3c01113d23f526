"""The command line: `python -m core …`, the same jobs without a browser. Exit status 0 only when it worked."""

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from core import command_hub, follow, home, recipe_yaml, said_plan
from core.command_parts import AsJson, Detach, JobName, given_values, help_of, watch, watch_all
from core.errors import StudioError
from core.evaluation import start as evaluation
from core.evaluation.asked import Evaluation
from core.hardware import machine
from core.inference import example
from core.jobs import launcher, queue, tries
from core.jobs.listing import all_jobs, find_job, find_run
from core.jobs.preflight import check, check_rows
from core.plan.forecast import expected_step_s, forecast
from core.recipe import diff
from core.training.probe_recipe import probe_recipe

app = typer.Typer(help=__doc__, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
recipe_app = typer.Typer(help="Look at a recipe without running it.", no_args_is_help=True)
app.add_typer(recipe_app, name="recipe")
app.add_typer(command_hub.app)

ANY_WIDTH = 1000

RecipeFile = Annotated[Path, typer.Argument(help="A recipe, as YAML.")]
Changes = Annotated[list[str] | None, typer.Option("--set", help="key.path=value on top of the recipe; repeatable.")]


@app.command()
def train(
    recipe: RecipeFile,
    changes: Changes = None,
    several: Annotated[
        list[str] | None,
        typer.Option(
            "--try", help="key.path=value,value: a run for each, one after the other; repeated, for each combination."
        ),
    ] = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Train, and follow until it is over. Ctrl-C asks it to save and stop."""
    if several:
        found = tries.start(recipe_yaml.load(recipe, changes), tries.asked(several))
        watch_all(found, detach, as_json)
    else:
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
    watch(launcher.resume(find_job(job), step), detach, as_json)


@app.command()
def prepare(recipe: RecipeFile, changes: Changes = None, detach: Detach = False, as_json: AsJson = False) -> None:
    """Make tokens and labels of the recipe's data, and count them."""
    _run(recipe, changes, "prepare", detach, as_json)


@app.command()
def probe(recipe: RecipeFile, changes: Changes = None, detach: Detach = False, as_json: AsJson = False) -> None:
    """Train a few steps to measure memory and speed; the plan of such recipes is right from then on."""
    asked, here = recipe_yaml.load(recipe, changes), machine(home.home())
    short = probe_recipe(asked, expected_step_s(forecast(asked, here), here))
    watch(launcher.start(short, "probe"), detach, as_json)


@app.command()
def plan(recipe: RecipeFile, changes: Changes = None, as_json: AsJson = False) -> None:
    """What a training will take: memory, time, disk. Nothing is started."""
    asked = recipe_yaml.load(recipe, changes)
    check_rows(asked)
    found = said_plan.figures(asked)
    print(json.dumps(found) if as_json else said_plan.page(found))


@app.command()
def evaluate(
    job: JobName,
    checkpoint: Annotated[int | None, typer.Option(help=help_of("step", Evaluation))] = None,
    general: Annotated[str | None, typer.Option(help=help_of("general", Evaluation))] = None,
    prompt: Annotated[list[str] | None, typer.Option(help=f"{help_of('prompts', Evaluation)} Repeatable.")] = None,
    most_rows: Annotated[int | None, typer.Option(help=help_of("most_rows", Evaluation))] = None,
    task: Annotated[list[str] | None, typer.Option(help=f"{help_of('tasks', Evaluation)} Repeatable.")] = None,
    detach: Detach = False,
    as_json: AsJson = False,
) -> None:
    """Compare what was trained with its base: held-out loss, what was forgotten, answers of both."""
    given = given_values(step=checkpoint, general=general, prompts=prompt, most_rows=most_rows, tasks=task)
    watch(evaluation.start(find_run(job).id, given), detach, as_json)


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
    # Outside a terminal nothing is as wide as a window: ids are cut for nobody who searches or copies them.
    Console(width=None if sys.stdout.isatty() else ANY_WIDTH).print(
        table if rows else "No jobs yet. `python -m core train RECIPE.yaml` starts one."
    )


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
def serve(port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = 0) -> None:
    """Let other tools talk to the models here, by OpenAI's protocol, until Ctrl-C. Only this machine can reach it."""
    from core.inference.server import serve as run

    with suppress(KeyboardInterrupt):  # it ends as it should, so with 0
        run(port, _say_how_to_ask)


def _say_how_to_ask(url: str, key: str) -> None:
    print(f"Address  {url}\nKey      {key}\n\n{example.curl(url, key, 'starter')}\n", flush=True)


@recipe_app.command("check")
def recipe_check(recipe: RecipeFile, changes: Changes = None, as_json: AsJson = False) -> None:
    """Name every problem of a recipe; exit status 1 if there is one."""
    found = recipe_yaml.load(recipe, changes)
    check(found)
    check_rows(found)
    print(json.dumps(found.model_dump(mode="json")) if as_json else f"{recipe} is a good recipe: it can be trained.")


def _run(recipe: Path, changes: list[str] | None, kind: str, detach: bool, as_json: bool) -> None:
    watch(launcher.start(recipe_yaml.load(recipe, changes), kind), detach, as_json)


def main() -> int:
    """Run a command; errors for the person become one paragraph on standard error, bugs keep their traceback."""
    try:
        return app(standalone_mode=False) or 0  # a command says nothing; Ctrl-C and `--help` end with a status
    except StudioError as error:
        print(error, file=sys.stderr)
        return 1
    except typer.TyperException as error:
        error.show()
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
