#!/bin/sh
exec vllm serve mistralai/Ministral-8B-Instruct-2410 --port 8000 --sse-keep-alive-interval 15
