const response = await fetch("/v1/chat", { method: "POST", body });
const reader = response.body.getReader();
const decoder = new TextDecoder();
while (true) {
  const { done, value } = await reader.read();
  if (done) break;
  show(decoder.decode(value));
}
