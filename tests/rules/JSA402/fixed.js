import { streamText } from "ai";

export const maxDuration = 300;

export async function POST(request) {
  const { messages } = await request.json();
  return streamText({ model: "openai/gpt", messages }).toUIMessageStreamResponse();
}
