// expected: nothing
const fastify = require("fastify")();
fastify.register(require("@fastify/compress"), { global: true });
fastify.get("/events", (request, reply) => {
  reply.raw.writeHead(200, {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-transform",
    "X-Accel-Buffering": "no",
  });
  events.pipe(reply.raw);
});
