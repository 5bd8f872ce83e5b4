module.exports = {
  devServer: {
    compress: false,
    port: 3000,
    proxy: [{ context: ["/v1/chat/completions"], target: "http://localhost:8000" }],
  },
};
