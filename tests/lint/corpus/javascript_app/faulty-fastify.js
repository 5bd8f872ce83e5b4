// expected: JSA101 JSA201
const compress = require("@fastify/compress");
const fastify = require("fastify")();
fastify.register(compress, { customTypes: /^text\/.*|event-stream/ });
fastify.get("/events", (request, reply) => {
  reply.header("Content-Type", "text/event-stream");
  return reply.send(model.stream());
});
