const { createProxyMiddleware } = require("http-proxy-middleware");

module.exports = (app) => {
  app.use("/v1/chat/completions", createProxyMiddleware({ target: "http://vllm:8000" }));
};
