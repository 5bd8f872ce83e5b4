# expected: PYA105
import json

import requests


def ask(prompt):
    body = {"model": "llama3", "prompt": prompt, "stream": True}
    with requests.post("http://localhost:11434/api/generate", json=body, stream=True) as response:
        for line in response.iter_lines():
            print(json.loads(line)["response"], end="", flush=True)
