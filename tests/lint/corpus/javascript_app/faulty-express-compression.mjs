// expected: JSA101 JSA201
import compression from "compression";
import express from "express";

const app = express();
app.use(compression({ level: 6 }));
app.use(express.json());

app.post("/api/chat", async (req, res) => {
  res.setHeader("Content-Type", "text/event-stream");
  res.setHeader("Cache-Control", "no-cache");
  const stream = await openai.chat.completions.create({ ...req.body, stream: true });
  for await (const chunk of stream) res.write(`data: ${JSON.stringify(chunk)}\n\n`);
  res.end();
});
