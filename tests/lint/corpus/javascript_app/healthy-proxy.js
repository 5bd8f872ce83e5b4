// expected: nothing
const { createProxyMiddleware } = require("http-proxy-middleware");
module.exports = (app) => {
  app.use("/v1", createProxyMiddleware({ target: "http://litellm:4000", changeOrigin: true }));
};
