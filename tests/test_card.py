"""The model card: facts and nothing else, and nothing that a person wrote becomes markup."""

import io
import json

import numpy as np
import pytest
import yaml
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from PIL import Image

from benchmarks.synthetic_jobs import make_job
from core import home
from core.evaluation.asked import Evaluation
from core.evaluation.compare import compared
from core.evaluation.report import Findings, write
from core.files import append_line, write_whole
from core.hub import card
from core.hub.card_contents import Contents
from core.hub.facts import Facts, Licence
from core.hub.loss_picture import loss_png
from core.hub.markdown import fenced, plain
from core.hub.portable_recipe import portable
from core.jobs.asked import beside
from core.jobs.folder import Job
from core.jobs.worker import Worker
from core.recipe_yaml import from_yaml
from core.recipe_yaml import to_yaml as recipe_yaml
from tests.local_hub_card import errors

HOSTILE = [
    "<script>alert(1)</script>",
    "---\nlicense: mit\n---",
    "a | b | c",
    "![x](https://evil.org/x.png)",
    "`` ` ``",
]
DOLLY = {"source": "databricks/databricks-dolly-15k", "layout": "alpaca"}


def read(run: Job, step: int | None = None, **contents) -> ModelCard:
    text = card.text(Facts.of(run, step), Contents("ann/x", **contents))
    assert errors(text, "model") == []
    return ModelCard(text)


def html(text: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(text)


def measured(run: Job, step: int, loss: float, **sources: float) -> None:
    append_line(run.files.events, {"time": 9.0, "event": "held_out", "step": step, "loss": loss, "sources": sources})


def evaluated(run: Job, step: int | None) -> None:
    job = Job(home.job_folder(f"20270101-000000-evaluate-{step}"))
    write_whole(job.files.recipe, recipe_yaml(run.recipe))
    for name, text in beside("evaluate", Evaluation(run=run.id, step=step)).items():
        write_whole(job.folder / name, text)
    append_line(job.files.events, {"time": 2.0, "event": "created", "kind": "evaluate"})
    spread = np.linspace(-0.5, 0.5, 40)
    rows = [np.stack([(mean + spread) * 10, np.full(40, 10.0)], axis=1) for mean in (2.3, 1.4)]
    write(job.files, Findings([compared("held-out rows", *rows)]))
    Worker(job).finish("finished", "done")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_a_person_wrote_becomes_markup_or_metadata(hostile):
    run = make_job(1, "named")

    run.files.about.write_text(json.dumps({"name": hostile}))
    measured(run, 0, 2.0, **{hostile: 2.0})
    measured(run, 120, 1.0, **{hostile: 1.0})
    assert run.name == " ".join(hostile.split()) or run.name == hostile
    found = read(run)
    assert found.data.license == "apache-2.0"
    shown = html(found.text)
    assert "<script" not in shown
    assert 'evil.org/x.png"' not in shown
    assert shown.count("<h1>") == 1
    row = next(line for line in shown.split("<tr>") if ">1.000<" in line and "All" not in line)
    assert row.count("<td") == 5


def test_a_fence_is_longer_than_any_in_the_code():
    assert html(fenced("a\n```\nb\n````", "jinja")).count("<pre>") == 1


@pytest.mark.parametrize(
    "text", ["1. first", "- item", "+ item", "# head", "=== line", "> quote", "a_b_c", "https://x.org www.x.org"]
)
def test_plain_text_stays_one_plain_paragraph(text):
    shown = html(plain(text))
    assert shown.startswith("<p>")
    assert "<em>" not in shown
    assert "https://" not in plain(text)


def test_what_is_known_is_told_and_what_is_not_is_left_out():
    run = make_job(1, "told", data={"sources": [DOLLY, {"source": "/home/ann/private/faq.csv"}]})
    found = read(run)
    assert found.data.base_model == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (found.data.base_model_relation, found.data.datasets) == ("adapter", [DOLLY["source"]])
    assert found.data.language is None  # nobody knows that of faq.csv
    assert "cc-by-sa-3.0" in found.text
    assert "faq.csv" in found.text
    assert "/home/ann" not in str(found)
    assert "## Results" not in found.text
    assert "Nothing was measured" in found.text
    assert "None" not in str(found)
    alone = read(make_job(2, "english", data={"sources": [DOLLY]}))
    assert alone.data.language == "en"


def test_results_are_those_of_the_very_weights():
    run = make_job(1, "results", steps=120)
    measured(run, 0, 2.31, starter=2.5)
    measured(run, 60, 1.9, starter=2.0)
    measured(run, 120, 1.42, starter=1.6)
    assert "| All held-out rows | 2.310 | **1.420** | 10.07 | **4.14** |" in read(run).text
    assert "**1.900**" in read(run, 60).text
    evaluated(run, 60)
    assert "Difference (95 %)" not in read(run).text
    assert "Difference (95 %)" in read(run, 60).text
    evaluated(run, None)
    text = read(run).text
    assert "- Better: the held-out loss fell from 2.300 to 1.400" in text
    assert "Nothing but the loss" not in text


def test_a_merged_and_a_whole_model_say_so():
    merged = read(make_job(1, "merged", lora={"method": "qlora"}), precision="bf16")
    assert (merged.data.base_model_relation, merged.data.library_name) == ("finetune", "transformers")
    assert "merged into the base's full weights" in merged.text
    assert "AutoModelForCausalLM" in merged.text
    again = read(make_job(3, "again", lora={"method": "rslora"}, model={"start_from": "/home/ann/adapter"}))
    assert "An rsLoRA adapter for" in again.text
    assert "Began with" in again.text
    assert "/home/ann" not in again.text
    whole = read(make_job(2, "whole", lora={"method": "full"}), adapter=False, precision="bf16")
    assert "lora" not in whole.data.tags
    assert "with every weight of it trained" in whole.text


def test_a_gguf_file_is_started_by_the_card_s_commands():
    run = make_job(1, "Bot 7", lora={"method": "qlora"})
    there = read(run, adapter=False, precision="q8_0", gguf="Bot-7-Q8_0.gguf")
    assert (there.data.base_model_relation, there.data.library_name) == ("finetune", "gguf")
    assert "merged into it, as a GGUF file, in q8_0" in there.text
    assert "ollama run hf.co/ann/x\nllama-server -hf ann/x" in there.text
    assert "saved in the file" in there.text
    assert "Its numbers are rounded" in there.text
    here = card.text(Facts.of(run), Contents(adapter=False, precision="fp16", gguf="Bot-7-F16.gguf"))
    assert "ollama create bot-7 -f Modelfile && ollama run bot-7" in here
    assert "llama-server -m Bot-7-F16.gguf" in here
    assert "rounded" not in here


def test_a_gguf_file_s_card_has_the_system_prompt_that_its_commands_do_not_say():
    run = make_job(1, "prompted", data={"sources": [DOLLY | {"system": "You are Ann.\nBe brief."}]})
    found = read(run, adapter=False, precision="q8_0", gguf="prompted-Q8_0.gguf")
    assert "It was trained with this system prompt" in found.text
    assert "```text\nYou are Ann.\nBe brief.\n```" in found.text


def test_a_licence_the_catalog_does_not_know_is_the_base_s_own():
    run = make_job(1, "licence", model={"source": "somebody/model"})
    assert read(run).data.license is None
    facts = Facts.of(run, None, Licence("other", "their-licence", "https://x.org/LICENSE"))
    found = ModelCard(card.text(facts, Contents()))
    assert (found.data.license, found.data.license_name) == ("other", "their-licence")


def test_a_system_prompt_and_a_template_of_its_own_go_along():
    prompt = 'You are "Ann".\nBe brief.'
    sections = {"data": {"sources": [DOLLY | {"system": prompt}]}, "model": {"chat_template": "{{ '```' }}"}}
    found = read(make_job(1, "prompted", **sections), ends=(1, 2))
    program = found.text.split("```python\n")[1].split("```")[0]
    compile(program, "card", "exec")
    assert '{"role": "system", "content": "You are \\"Ann\\".\\nBe brief."}' in program
    assert "eos_token_id=[1, 2]" in program
    assert "````jinja" in found.text
    named = read(make_job(2, "named", model={"chat_template": "alpaca"}))
    assert "the template `alpaca`" in named.text


@pytest.mark.parametrize(
    ("steps", "sections", "rows"),
    [
        (10, {"training": {"batch": 2, "accumulation": 1}}, "4,000 with 4,000,000 tokens; 20 were learned from"),
        (10, {"training": {"batch": 1000, "accumulation": 1}}, "4,000 with 4,000,000 tokens"),
        (10, {"data": {"packing": "on"}}, "4,000 with 4,000,000 tokens"),
    ],
)
def test_a_card_says_how_many_rows_were_learned_from_and_what_was_really_used(steps, sections, rows):
    run = make_job(1, "short", steps=steps, **sections)
    append_line(run.files.events, {"time": 9.0, "event": "prepared", "rows": 4000, "tokens": 4_000_000})
    write_whole(run.files.resolved, yaml.safe_dump({"speed": {"optimizer": {"choice": "adamw, fused"}}}))
    said = card.text(Facts(run, steps=steps), Contents("ann/x"))
    assert f"| Rows | {rows} |" in said and "| Optimiser | adamw, fused |" in said
    assert ("packed rows" in said) == ("data" in sections)


def test_the_recipe_for_others_has_no_path_and_every_commit():
    hub, local = {"source": "ann/rows"}, {"source": "/home/ann/private/faq.csv", "use": "held_out"}
    run = make_job(1, "portable", data={"sources": [hub, local]}, model={"source": "/home/ann/models/base"})
    prints = [{"source": "ann/rows", "fingerprint": "a" * 40}, {"source": "x", "fingerprint": "b" * 64}]
    write_whole(run.files.resolved, yaml.safe_dump({"data": prints, "model": {"revision": None}}))
    text = portable(run)
    assert "/home/ann" not in text
    assert "on the machine of its author" in text
    again = from_yaml(text)
    assert again.model.source == "./base"
    assert [source.revision for source in again.data.sources] == ["a" * 40, None]
    run = make_job(2, "pinned", model={"source": "ann/base"})
    kept = run.recipe.checkpoints.model_copy(update={"hub_backup": "ann/secret-backup"})
    write_whole(run.files.recipe, recipe_yaml(run.recipe.model_copy(update={"checkpoints": kept})))
    run = Job(run.folder)
    assert "secret-backup" not in portable(run)
    write_whole(run.files.resolved, yaml.safe_dump({"model": {"revision": "c" * 40}}))
    assert from_yaml(portable(run)).model.revision == "c" * 40


def test_the_picture_shows_what_was_reported():
    image = Image.open(io.BytesIO(loss_png(make_job(1, "drawn"))))
    assert image.format == "PNG"
    colours = {colour for _, colour in image.convert("RGB").getcolors(100_000)}
    near = lambda wanted: any(sum(abs(a - b) for a, b in zip(wanted, each, strict=True)) < 40 for each in colours)  # noqa: E731
    assert near((0x3F, 0x6A, 0xE0))  # the training loss
    assert near((0xE0, 0x70, 0x1A))  # the held-out loss
    nothing = make_job(2, "nothing", "failed", reported=0)
    assert loss_png(nothing) is None
    broken = make_job(3, "broken", reported=0)
    append_line(broken.files.metrics, {"step": 1, "loss": None})
    assert loss_png(broken) is None
    append_line(broken.files.metrics, {"step": 2, "loss": 1.5})
    assert loss_png(broken)
