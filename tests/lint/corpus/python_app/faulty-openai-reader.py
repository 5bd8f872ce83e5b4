# expected: PYA104
from openai import OpenAI

client = OpenAI(base_url="http://localhost:8000/v1/chat/completions")
answer = client.chat.completions.create(model="m", messages=[])
for chunk in answer:
    print(chunk.choices[0].delta.content, end="")
