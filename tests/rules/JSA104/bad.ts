export async function POST(req: Request) {
  const upstream = await fetch("http://vllm:8000/v1/chat/completions", {
    method: "POST",
    body: JSON.stringify({ ...(await req.json()), stream: true }),
  });
  const text = await upstream.text();
  return new Response(text);
}
