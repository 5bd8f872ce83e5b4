module.exports = {
  devServer: {
    port: 3000,
    compress: false, proxy: [{ context: ["/v1/chat/completions"], target: "http://localhost:8000" }],
  },
};
