// expected: JSA101 JSA201
const Koa = require("koa");
const compress = require("koa-compress");
const app = new Koa();
app.use(compress());
app.use(async (ctx) => {
  ctx.set({ "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  ctx.set("X-Accel-Buffering", "no");
  ctx.body = model.stream(ctx.query.q);
});
