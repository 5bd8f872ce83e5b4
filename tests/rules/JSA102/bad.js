const { createProxyMiddleware, responseInterceptor } = require("http-proxy-middleware");

module.exports = (app) => {
  app.use(
    "/v1/chat/completions",
    createProxyMiddleware({
      target: "http://vllm:8000",
      selfHandleResponse: true,
      on: { proxyRes: responseInterceptor(async (buffer) => buffer) },
    }),
  );
};
