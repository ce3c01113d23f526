"""Prepare data: tokens and labels of every data set, cleaned, held out and mixed. As a job, and as the training's first act.

A prepared set is named by the hash of everything that shapes it, made aside and renamed, so it is whole or not there. The
data sets are encoded each on its own, so another weight or one more data set costs only what is new.
"""

import hashlib
import json
from dataclasses import asdict
from typing import Any

import numpy as np

from core import home
from core.data import mixing, packed, sources
from core.data.cleaning import clean
from core.data.encoder import Encoder
from core.data.encoding import encoded_source
from core.data.fates import Cleaned, Fate
from core.data.pool import Pool
from core.data.preview import Prepared
from core.data.report import Report
from core.errors import DataError
from core.files import read_json, whole_folder, write_whole
from core.jobs.folder import Job
from core.jobs.worker import Worker
from core.models.begun import left_out_of, revision_of
from core.models.left_out import LeftOut
from core.models.load import Found, load_tokenizer
from core.models.pruning import fetch_base
from core.recipe import Recipe
from core.recipe_data import Source
from core.where import Place, is_commit, place_of

# Raised when cleaning or mixing changes, so that sets made before are not used.
VERSION = 3


def run(worker: Worker) -> None:
    """The prepare job."""
    report, _ = prepare(worker, find_model(worker, weights=False))
    worker.finish(
        "finished", f"{report['rows']:,} rows are ready to train on, {report['held_out_rows']:,} are held out."
    )


def find_model(worker: Worker, run: Job | None = None, weights: bool = True) -> Found:
    """Fetch the recipe's model, or only what its tokenizer needs, and write down what it is.

    It is the very one that `run` has begun with, which is the worker's own job where no other is given.
    """
    begun = run or worker.job
    model = worker.job.recipe.model
    worker.progress(f"Looking for {model.source}", 0, 1)
    if model.trust_remote_code:
        worker.warning(f"{model.source} runs code of its own here: the recipe trusts its files at {model.revision}.")
    found = fetch_base(
        model.source, revision_of(begun), left_out_of(begun), worker.progress, weights, model.trust_remote_code
    )
    worker.resolve(model={"source": model.source, "revision": found.revision})
    if found.left_out:
        _tell_left_out(worker, found.left_out)
    return found


def _tell_left_out(worker: Worker, left_out: LeftOut) -> None:
    facts = asdict(left_out)
    if worker.job.resolved.get("left_out") != facts:
        worker.event("left_out", layers=left_out.words)
        worker.resolve(left_out=facts)


def prepare(worker: Worker, found: Found) -> tuple[dict[str, Any], home.PreparedFiles]:
    """The prepared set of the worker's recipe, made now or found from before; raises DataError."""
    recipe = worker.job.recipe
    worker.progress("Opening the data", 0, 1)
    encoder = Encoder(load_tokenizer(found, recipe.model.chat_template), recipe)
    opened = [sources.open_source(source, worker.progress) for source in _pinned(worker.job)]
    files = home.prepared_files(_key(recipe, [encoder.key(source) for source in opened]))
    cached = Prepared(files).whole
    if not cached:
        _make(worker, files, opened, encoder)
    report = read_json(files.report) or {}
    # By the recipe's own names: the same contents may have been prepared before under another.
    worker.resolve(data=[{"source": one.source.source, "fingerprint": one.fingerprint} for one in opened])
    counts = {name: report[name] for name in ("rows", "held_out_rows", "tokens", "supervised_tokens")}
    of_pairs = {"pairs": True} if report.get("pairs") else {}
    worker.event("prepared", key=files.folder.name, cached=cached, **counts, **of_pairs)
    return report, files


def _pinned(job: Job) -> list[Source]:
    """The recipe's sources; those on the Hub at the commit this job has begun with, if it has begun before."""
    known = job.resolved.get("data")
    commits = (
        [found.get("fingerprint") for found in known if isinstance(found, dict)] if isinstance(known, list) else []
    )
    asked = job.recipe.data.sources
    if len(commits) != len(asked):
        return asked
    return [
        source.model_copy(update={"revision": commit})
        if place_of(source.source) is Place.HUB and is_commit(str(commit))
        else source
        for source, commit in zip(asked, commits, strict=True)
    ]


def _key(recipe: Recipe, encoded: list[str]) -> str:
    """Everything that shapes the prepared set, as 16 hex digits. Packing is done by the trainer, on the very same rows."""
    decided = recipe.data.model_dump(mode="json", include={"eval_fraction", "mixing", "cleaning", "max_length"})
    asked = [[source.use, source.weight] for source in recipe.data.sources]
    shape = [VERSION, encoded, asked, decided, recipe.training.seed]
    return hashlib.sha256(json.dumps(shape).encode()).hexdigest()[:16]


def _make(worker: Worker, files: home.PreparedFiles, opened: list[sources.Opened], encoder: Encoder) -> None:
    """Make the set aside and rename it when it is whole."""
    counts, rows = zip(*(encoded_source(worker, source, encoder) for source in opened), strict=True)
    cleaned = clean(Pool(rows), encoder.recipe, lambda done, total: worker.progress("Comparing rows", done, total))
    train = _mixed(cleaned)
    report = Report(encoder.recipe, list(counts), cleaned, train).as_dict()
    report |= {"packing": packed.efficiency(cleaned.pool, train, encoder.recipe), "special_ids": _special(encoder)}
    _warn(worker, report, encoder.recipe)
    aside = home.prepared_aside(files.folder.name)
    with whole_folder(aside.folder, files.folder, files.report):
        np.save(aside.train, train)
        np.save(aside.held_out, np.flatnonzero(cleaned.fates == Fate.HELD_OUT))
        np.save(aside.fates, cleaned.fates)
        write_whole(aside.report, json.dumps(report))


def _mixed(cleaned: Cleaned) -> np.ndarray:
    """The positions to train on, each as often as it is seen in an epoch; raises DataError where none is left."""
    data, seed = cleaned.recipe.data, cleaned.recipe.training.seed
    usable = cleaned.rows("train")
    of_each = [usable[cleaned.pool.source[usable] == number] for number in range(len(data.sources))]
    if not len(usable):
        raise DataError(
            "No row is left to train on: every one was dropped or held out. Raise data.max_length, or check the sources "
            "and data.cleaning."
        )
    wanted = mixing.rows_of_each(
        [len(rows) for rows in of_each], [source.weight for source in data.sources], data.mixing
    )
    drawn = [
        rows[mixing.drawn(len(rows), number, f"{seed}, mix of data set {source}")]
        for source, (rows, number) in enumerate(zip(of_each, wanted, strict=True))
    ]
    train = np.concatenate(drawn)
    cleaned.decide(np.setdiff1d(usable, train), Fate.NOT_DRAWN)
    return train


def _special(encoder: Encoder) -> list[int]:
    return sorted({*encoder.tokenizer.all_special_ids, *encoder.tokenizer.added_tokens_decoder})


def _warn(worker: Worker, report: dict[str, Any], recipe: Recipe) -> None:
    """Say what a person would want to know without looking."""
    if recipe.data.eval_fraction and not report["held_out_rows"]:
        worker.warning(
            "No row is held out: each of those drawn is nearly the same as one trained on. Hold out a data "
            "set of its own (use: held_out), or switch data.cleaning.leaks off."
        )
    for source in report["sources"]:
        if source["epochs"] > mixing.MANY_EPOCHS:
            worker.warning(
                f"{source['source']} is repeated {source['epochs']:g} times by its weight. Lower it, or choose another "
                "size of the mix."
            )
