const response = await fetch("/v1/chat", { method: "POST", body });
const reader = response.body.getReader();
const decoder = new TextDecoder();
while (true) {
  const { done, value } = await reader.read();
  if (done) break;
  for (const line of decoder.decode(value, { stream: true }).split("\n")) {
    if (line.startsWith("data: ")) show(JSON.parse(line.slice(6)));
  }
}
