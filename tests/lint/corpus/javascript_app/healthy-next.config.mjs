// expected: nothing
export default {
  compress: false,
  experimental: { proxyTimeout: 600_000 },
  async rewrites() {
    return [{ source: "/v1/chat/completions", destination: "http://vllm:8000/v1/chat/completions" }];
  },
  async redirects() {
    return [{ source: "/v1/chat/completions", destination: "https://example.org/v1/chat/completions" }];
  },
};
