"""How another tool asks the server: ready to be copied. The key is in them, so they are shown and never stored."""

import json


def curl(url: str, key: str, model: str = "starter") -> str:
    """One request on the command line; `url` ends in /v1."""
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hello!"}]}).replace("'", "'\\''")
    return (
        f"curl {url}/chat/completions -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' -d '{body}'"
    )


def python(url: str, key: str, model: str = "starter") -> str:
    """The same with OpenAI's package, as a stream."""
    return f"""from openai import OpenAI

client = OpenAI(base_url={url!r}, api_key={key!r})
messages = [{{"role": "user", "content": "Hello!"}}]
for chunk in client.chat.completions.create(model={model!r}, messages=messages, stream=True):
    print(chunk.choices[0].delta.content or "", end="", flush=True)
"""
