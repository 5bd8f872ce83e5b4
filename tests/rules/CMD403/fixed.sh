#!/bin/sh
exec llama-server --model /models/qwen3.gguf --host 0.0.0.0 --port 8080 --sse-ping-interval 15
