// expected: JSA105
module.exports = {
  devServer: { hot: true, proxy: { "/v1/chat/completions": { target: "http://localhost:8000" } } },
};
