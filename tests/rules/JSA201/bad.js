app.get("/v1/chat", async (req, res) => {
  res.setHeader("Content-Type", "text/event-stream");
  res.setHeader("Cache-Control", "no-cache");
  for await (const event of model.stream(req.query.q)) res.write(event);
  res.end();
});
