"""How another tool asks the server: ready to be copied. The key is in it, so it is shown and never stored."""

import json

QUESTION = "Hello"


def curl(url: str, key: str, model: str) -> str:
    """A command for a shell; `url` ends in /v1, and a quote in a model's name cannot end the quoted body."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": QUESTION}]}).replace("'", "'\\''")
    return (
        f"curl {url}/chat/completions \\\n"
        f'  -H "Authorization: Bearer {key}" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d '{body}'"
    )


def python(url: str, key: str, model: str) -> str:
    """With OpenAI's own package."""
    return (
        "from openai import OpenAI\n\n"
        f"client = OpenAI(base_url={url!r}, api_key={key!r})\n"
        "answer = client.chat.completions.create(\n"
        f"    model={model!r},\n"
        f'    messages=[{{"role": "user", "content": "{QUESTION}"}}],\n'
        ")\n"
        "print(answer.choices[0].message.content)"
    )
