const express = require("express");
const compression = require("compression");
const { createProxyMiddleware } = require("http-proxy-middleware");

const app = express();
app.use(compression());
app.use("/v1/chat/completions", createProxyMiddleware({ target: "http://vllm:8000" }));
