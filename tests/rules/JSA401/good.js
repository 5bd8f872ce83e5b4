module.exports = {
  experimental: { proxyTimeout: 600_000 },
  compress: false,
  async rewrites() {
    return [
      {
        source: "/v1/chat/completions",
        destination: "http://backend:8000/v1/chat/completions",
      },
    ];
  },
};
