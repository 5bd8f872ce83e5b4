export async function POST(req: Request) {
  const upstream = await fetch("http://vllm:8000/v1/chat/completions", {
    method: "POST",
    body: JSON.stringify({ ...(await req.json()), stream: true }),
  });
  return new Response(upstream.body);
}
