import requests


def tokens(prompt):
    body = {"prompt": prompt, "stream": True}
    with requests.post("http://llm:8000/v1/completions", json=body, stream=True) as response:
        for line in response.iter_lines(chunk_size=1):
            if line.startswith(b"data: "):
                yield line[6:]
