"""Export: a merged model that says what the adapter on its base says, an adapter that loads elsewhere, and what cannot be."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from core import home
from core.errors import JobError, ModelError
from core.export import likeness, merge, size, start
from core.export import run as export
from core.export.asked import Export
from core.export.made import made_by
from core.files import append_line, write_whole
from core.inference.engine import Engine
from core.jobs.asked import beside
from core.jobs.folder import Job
from core.jobs.listing import find_job
from core.jobs.worker import Worker
from core.models import crowd
from core.models.load import Found
from core.recipe_yaml import to_yaml
from tests.llama_cpp import llama_cpp
from tests.test_inference_parts import answer
from tests.toy_model import make_toy_model
from tests.toy_taught import WORDS, make_taught

pytestmark = pytest.mark.process

IDS = torch.arange(1, 60).unsqueeze(0)


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    return make_toy_model(tmp_path_factory.mktemp("model") / "toy")


@pytest.fixture(scope="module")
def taught(toy, tmp_path_factory) -> Iterator[Job]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("home")))
        yield make_taught(toy, None)


@pytest.fixture
def in_its_home(taught, monkeypatch) -> None:
    monkeypatch.setenv("STUDIO_HOME", str(taught.folder.parents[1]))


def exported(run: Job, **asked) -> Job:
    """Do an export in this process."""
    job = Job(home.job_folder(f"20260102-000000-export-{len(list(home.jobs_folder().iterdir()))}"))
    job.folder.mkdir()
    write_whole(job.files.recipe, to_yaml(run.recipe))
    for name, text in beside("export", Export(run=run.id, **asked)).items():
        write_whole(job.folder / name, text)
    append_line(job.files.events, {"time": 2.0, "event": "created", "kind": "export"})
    torch.set_float32_matmul_precision("highest")  # a training in this process may have shortened the products
    export.run(Worker(job))
    return job


def quick(toy: Path, name: str, **lora) -> Job:
    return make_taught(toy, None, name=name, lora=lora, training={"max_steps": 12})


@pytest.mark.usefixtures("in_its_home")
def test_the_command_line_packs_an_adapter_that_loads_where_its_base_is(toy, taught, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "core", "export", "taught", "--checkpoint", "20", "--json"],
        cwd=home.ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    job = find_job(json.loads(done.stdout)["id"])
    archive = made_by(job).archive
    assert str(archive) in job.result["why"]
    assert str(toy) in job.result["why"]  # others do not have its base
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path)
    (folder,) = tmp_path.iterdir()
    assert folder.name == "taught-step-20"
    assert {"README.md", "recipe.yaml", "loss.png", "tokenizer.json"} <= {file.name for file in folder.iterdir()}
    weights, own = (load_file(at / "adapter_model.safetensors") for at in (folder, taught.checkpoint_of(20).folder))
    assert all(torch.equal(weights[name], own[name]) for name in own)
    assert isinstance(AutoPeftModelForCausalLM.from_pretrained(folder), PeftModel)


def test_the_archive_has_the_folders_inside_too(tmp_path):
    further = tmp_path / "made" / "adapter" / "additional_chat_templates" / "tool_use.jinja"
    further.parent.mkdir(parents=True)
    further.write_text("{{ tools }}")
    files = SimpleNamespace(made=tmp_path / "made", scratch=tmp_path / "scratch")
    run = SimpleNamespace(name="toy", id="toy")
    export._pack(
        SimpleNamespace(
            folder=lambda part: files.made / part,
            worker=SimpleNamespace(files=files),
            run=run,
            facts=SimpleNamespace(steps=4),
        )
    )
    with zipfile.ZipFile(files.made / "toy-step-4.zip") as archive:
        assert archive.read("toy-step-4/additional_chat_templates/tool_use.jinja") == b"{{ tools }}"


@pytest.mark.usefixtures("in_its_home")
@pytest.mark.parametrize("precision", ["auto", "fp32", "fp16"])
def test_a_merged_model_answers_as_the_adapter_does(toy, taught, precision):
    model = made_by(exported(taught, what="merged", precision=precision)).model
    dtype = {"auto": torch.bfloat16, "fp32": torch.float32, "fp16": torch.float16}[precision]
    assert AutoModelForCausalLM.from_pretrained(model).dtype == dtype
    assert answer(Engine(), model) == answer(Engine(), toy, taught.final) == WORDS
    assert "AutoModelForCausalLM" in (model / "README.md").read_text()


@pytest.mark.parametrize(
    "lora", [{"method": "dora"}, {"method": "pissa"}, {"method": "rslora"}, {"method": "qlora"}, {"template_tokens": True}]
)  # fmt: skip
def test_every_kind_of_adapter_merges_into_the_full_weights(toy, lora):
    run = quick(toy, "kind", **lora)
    job = exported(run, what="merged", precision="fp32")
    base = AutoModelForCausalLM.from_pretrained(toy, dtype=torch.float32)
    with torch.no_grad():
        plain = base(input_ids=IDS).logits
        wanted = PeftModel.from_pretrained(base, run.final)(input_ids=IDS).logits
        found = AutoModelForCausalLM.from_pretrained(made_by(job).model)(input_ids=IDS).logits
    assert (wanted - plain).abs().max() > 0.1
    assert torch.allclose(found, wanted, atol=1e-3)
    assert next(event for event in job.events if event["event"] == "merged")["apart"] < 0.001


def test_a_whole_model_is_exported_in_any_precision_and_has_no_adapter(toy):
    run = quick(toy, "full", method="full")
    model = made_by(exported(run, precision="fp16", step=run.checkpoints[-1].step)).model
    assert AutoModelForCausalLM.from_pretrained(model).dtype == torch.float16
    assert AutoTokenizer.from_pretrained(model).chat_template
    with pytest.raises(JobError, match="no adapter"):
        start.start(run.id, {"what": "adapter"})


def test_a_bias_without_a_place_is_refused_and_leaves_nothing_behind(toy):
    run = quick(toy, "bias", bias=True)
    with pytest.raises(ModelError, match=r"cannot be merged: its lora\.bias has no place"):
        exported(run, what="merged")
    newest = max(home.jobs_folder().glob("*-export-*"))
    assert not list((newest / "made").iterdir())
    assert not list((newest / ".scratch").iterdir())


def test_a_quantised_base_is_never_merged_into(toy, tmp_path):
    folder = make_toy_model(tmp_path / "quantised")
    config = json.loads((folder / "config.json").read_text())
    write_whole(folder / "config.json", json.dumps(config | {"quantization_config": {"quant_method": "bitsandbytes"}}))
    with pytest.raises(ModelError, match="comes quantised"):
        merge.precision_to_write(Found(folder, None), "auto")


@pytest.mark.usefixtures("in_its_home")
def test_a_merge_that_lost_something_is_found_out(taught, monkeypatch):
    monkeypatch.setattr(merge, "_merge", lambda layer: layer.set_adapter([]))
    with pytest.raises(ModelError, match="is not what was trained"):
        exported(taught, what="merged")
    assert not likeness.Likeness(apart=float("nan"), learned=1.0, same_answer=True).close


@pytest.mark.usefixtures("in_its_home")
def test_without_room_nothing_is_begun(toy, taught, monkeypatch):
    assert size.parameters_in(toy) == (size.merged_bytes(toy, "bf16") // 2, size.merged_bytes(toy, "auto"))
    monkeypatch.setattr(size, "WORKING_BYTES", 10**15)
    with pytest.raises(JobError, match="Merging needs about"):
        exported(taught, what="merged")
    monkeypatch.setattr(size, "SPARE_BYTES", 10**15)
    with pytest.raises(JobError, match="The disk has"):
        exported(taught)


@pytest.mark.usefixtures("in_its_home")
def test_a_gguf_file_needs_room_on_the_disk_and_is_compared_where_there_is_memory(toy, taught, monkeypatch):
    """In bytes a number: 2 while it is merged into bf16, 4 while the file is compared; 2 and then 1 more on the disk."""
    count = size.parameters_in(toy)[0]
    free = SimpleNamespace(ram_free_bytes=3 * count, disk_free_bytes=2.5 * count)
    monkeypatch.setattr(size, "machine", lambda place: free)
    monkeypatch.setattr(size, "WORKING_BYTES", 0)
    monkeypatch.setattr(size, "SPARE_BYTES", 0)
    with pytest.raises(JobError, match="GGUF file with the merged"):
        exported(taught, what="gguf")
    free.disk_free_bytes = 9 * count
    job = exported(taught, what="gguf")
    assert "was not compared with the merged model: that needs about" in job.newest_event("warning")["text"]
    assert made_by(job).gguf and not job.newest_event("gguf")


@pytest.mark.usefixtures("in_its_home")
def test_wrong_wishes_are_said_at_once(taught):
    with pytest.raises(JobError, match="precision"):
        start.start(taught.id, {"precision": "int3"})
    with pytest.raises(JobError, match="Only a GGUF file has numbers in q4_1"):
        start.start(taught.id, {"what": "merged", "precision": "q4_1"})
    with pytest.raises(JobError, match="no usable checkpoint of step 3"):
        start.start(taught.id, {"step": 3})


@pytest.mark.usefixtures("in_its_home")
@pytest.mark.parametrize("precision", ["auto", "q4_1"])
def test_llama_cpp_answers_from_a_gguf_file_as_it_was_taught(taught, precision):
    job = exported(taught, what="gguf", precision=precision)
    file = made_by(job).gguf
    with llama_cpp(file) as read:
        assert read.answer("Hi") == WORDS
    assert file.name == f"taught-{'Q8_0' if precision == 'auto' else 'Q4_1'}.gguf"
    assert str(file) in job.result["why"]
    assert {path.name for path in job.files.made.iterdir()} == {"gguf"}
    assert f"FROM ./{file.name}\n" in (file.parent / "Modelfile").read_text()


@pytest.mark.usefixtures("in_its_home")
def test_a_gguf_export_that_is_killed_while_it_tidies_up_leaves_no_half_of_a_model_to_go_on_from(taught, monkeypatch):
    def killed(folder: Path, ignore_errors: bool = False) -> None:
        if folder.exists() and folder.name == "merged":
            (folder / "config.json").unlink()
            raise KeyboardInterrupt
        rmtree(folder, ignore_errors)

    rmtree = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        exported(taught, what="gguf")
    newest = max(home.jobs_folder().glob("*-export-*"), key=os.path.getmtime)
    assert not list((newest / "made").iterdir())


@pytest.mark.usefixtures("in_its_home")
def test_an_export_makes_room_for_a_training_beside_it(taught, monkeypatch):
    watched = []
    monkeypatch.setattr(crowd, "watch", lambda: watched.append(True))
    exported(taught)
    assert watched
