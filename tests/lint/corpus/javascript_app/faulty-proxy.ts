// expected: JSA102
import { createProxyMiddleware, responseInterceptor } from "http-proxy-middleware";

export const proxy = createProxyMiddleware({
  target: process.env.OPENAI_URL ?? "https://api.openai.com",
  pathFilter: "/v1/chat/completions",
  selfHandleResponse: true,
  on: {
    proxyRes: responseInterceptor(async (body, proxyRes) => {
      log(body.toString("utf8"));
      return body;
    }),
  },
});
