// expected: nothing
export async function* read(response: Response): AsyncGenerator<string> {
  const reader = response.body!.getReader();
  const decoder = new TextDecoder("utf-8");
  let buffer = "";
  while (true) {
    const { done, value } = await reader.read();
    if (done) break;
    buffer += decoder.decode(value, { stream: true });
    const events = buffer.split("\n\n");
    buffer = events.pop() ?? "";
    yield* events;
  }
  buffer += decoder.decode();
}

export const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).split("\n");
