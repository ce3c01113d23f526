"""How a model is used, for its card: the lines of Python that load it, or the commands that start it. No torch."""

import json
from collections.abc import Iterator

from core.export.names import MODELFILE, file_name
from core.hub.card_contents import BESIDE, HERE, RECIPE, Contents
from core.hub.facts import Facts
from core.hub.markdown import fenced, plain

# A longer system prompt would hide how the model is used.
LONGEST_SYSTEM = 300


def use(facts: Facts, contents: Contents) -> Iterator[str]:
    """The section, paragraph by paragraph."""
    yield "## Use"
    if facts.left_out and not contents.whole:
        yield f"It fits {plain(facts.base_name)} without {facts.left_out.words} alone. Export it merged to load it elsewhere."
        return
    yield fenced(_commands(facts, contents), "bash") if contents.gguf else fenced(_code(facts, contents), "python")
    if contents.whole and contents.adapter:
        yield "Or its adapter on the base model:"
        yield fenced(_beside(facts, contents), "python")
    if (prompt := facts.system_prompt) and len(prompt) > LONGEST_SYSTEM:
        yield f"It was trained with a system prompt, which stands in `{RECIPE}`: begin conversations with it."
    elif prompt and contents.gguf:
        yield "It was trained with this system prompt: begin conversations with it where the program does not."
        yield fenced(prompt, "text")


def _commands(facts: Facts, contents: Contents) -> str:
    """That start it in Ollama and in llama.cpp: https://huggingface.co/docs/hub/gguf-llamacpp"""
    if contents.place != HERE:
        return f"ollama run hf.co/{contents.place}\nllama-server -hf {contents.place}    # or in llama.cpp"
    name = file_name(facts.run).lower()
    return (
        f"ollama create {name} -f {MODELFILE} && ollama run {name}    # in this folder\n"
        f"llama-server -m {contents.gguf}    # or in llama.cpp"
    )


def _code(facts: Facts, contents: Contents) -> str:
    """Five lines that load it and ask it something."""
    package, loader = (
        ("transformers", "AutoModelForCausalLM") if contents.whole else ("peft", "AutoPeftModelForCausalLM")
    )
    place, trust = json.dumps(contents.place), _trust(facts)
    ends = f", eos_token_id={list(contents.ends)}" if contents.ends else ""
    return f"""from {package} import {loader}
from transformers import AutoTokenizer, pipeline

model = {loader}.from_pretrained({place}{trust})
chat = pipeline("text-generation", model=model, tokenizer=AutoTokenizer.from_pretrained({place}{trust}))
print(chat({_question(facts)}, max_new_tokens=256, do_sample=False{ends})[0]["generated_text"][-1]["content"])"""


def _beside(facts: Facts, contents: Contents) -> str:
    """PEFT's own automatic loader would look for the base in the adapter's folder too."""
    commit = f", revision={json.dumps(facts.base_commit)}" if facts.base_commit else ""
    return f"""from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained({json.dumps(facts.base)}{commit}{_trust(facts)})
model = PeftModel.from_pretrained(base, {json.dumps(contents.place)}, subfolder="{BESIDE}")"""


def _trust(facts: Facts) -> str:
    """A base with Python files of its own is not loaded unasked."""
    return ", trust_remote_code=True" if facts.recipe.model.trust_remote_code else ""


def _question(facts: Facts) -> str:
    """A conversation as Python writes it; JSON's strings are Python's too."""
    prompt = facts.system_prompt
    begin = [{"role": "system", "content": prompt}] if prompt and len(prompt) <= LONGEST_SYSTEM else []
    return json.dumps([*begin, {"role": "user", "content": "Hello, who are you?"}], ensure_ascii=False)
