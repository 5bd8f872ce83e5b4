# expected: nothing
from openai import OpenAI

client = OpenAI(base_url="http://localhost:8000/v1")
stream = client.chat.completions.create(model="m", messages=[], stream=True)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)
