// expected: JSA601 JSA602
export function Chat() {
  const ask = async (text: string) => {
    const response = await fetch("/api/chat", { method: "POST", body: text });
    const reader = response.body!.getReader();
    const decoder = new TextDecoder();
    let done = false;
    while (!done) {
      const chunk = await reader.read();
      done = chunk.done;
      const part = decoder.decode(chunk.value);
      part.split("\n").forEach((line) => {
        if (line.startsWith("data: ")) append(JSON.parse(line.slice(6)));
      });
    }
  };
  return <button onClick={() => ask("hi")}>Ask</button>;
}
