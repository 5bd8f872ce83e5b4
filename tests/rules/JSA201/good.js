app.get("/v1/chat", async (req, res) => {
  res.setHeader("Content-Type", "text/event-stream");
  res.setHeader("X-Accel-Buffering", "no");
  res.setHeader("Cache-Control", "no-cache, no-transform");
  for await (const event of model.stream(req.query.q)) res.write(event);
  res.end();
});
