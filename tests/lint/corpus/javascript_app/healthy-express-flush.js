// expected: nothing
const compression = require("compression");
const app = require("express")();
app.use(compression());
app.get("/events", (req, res) => {
  res.set("Content-Type", "text/event-stream").set("Cache-Control", "no-cache");
  res.set({ "X-Accel-Buffering": "no" });
  source.on("event", (event) => {
    res.write(`data: ${event}\n\n`);
    res.flush(); // no-transform would do as well
  });
});
