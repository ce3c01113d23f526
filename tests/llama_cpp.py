"""llama.cpp itself, in a process of its own, to ask what it makes of a GGUF file."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

SERVE = """
import sys, xllamacpp
asked = xllamacpp.CommonParams()
asked.model.path, asked.n_ctx, asked.n_parallel, asked.warmup = sys.argv[1], 2048, 1, False
asked.cpuparams.n_threads = 1
server = xllamacpp.Server(asked)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@dataclass(frozen=True)
class LlamaCpp:
    """Its server with one model."""

    url: str

    def tokens(self, text: str) -> list[int]:
        return self._ask("tokenize", content=text, add_special=True, parse_special=True)["tokens"]

    def text(self, ids: list[int]) -> str:
        return self._ask("detokenize", tokens=ids)["content"]

    def prompt(self, messages: list[dict[str, str]]) -> str:
        """A conversation as it writes it, with the start of an answer."""
        return self._ask("apply-template", messages=messages)["prompt"]

    def likely(self, ids: list[int], number: int = 20) -> dict[int, float]:
        """The log-likelihoods of the likeliest next tokens; it tells them only with a word that is whole, so it has to say one."""
        wish = {"n_predict": 1, "n_probs": number, "temperature": 0, "logit_bias": [["the", 1000]]}
        said = self._ask("completion", prompt=ids, **wish)
        return {found["id"]: found["logprob"] for found in said["completion_probabilities"][0]["top_logprobs"]}

    def answer(self, question: str) -> str:
        """What it says to it, taking the likeliest token each time."""
        messages = [{"role": "user", "content": question}]
        said = self._ask("v1/chat/completions", messages=messages, max_tokens=40, temperature=0)
        return said["choices"][0]["message"]["content"]

    def _ask(self, path: str, **body) -> dict:
        return httpx2.post(f"{self.url}/{path}", json=body, timeout=60).raise_for_status().json()


@contextmanager
def llama_cpp(file: Path) -> Iterator[LlamaCpp]:
    command = [sys.executable, "-c", SERVE, str(file)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        url = process.stdout.readline().strip()
        assert url, process.communicate()[1]
        try:
            yield LlamaCpp(url)
        finally:
            process.kill()
