#!/bin/sh
# One event for twenty tokens.
exec vllm serve mistralai/Ministral-8B-Instruct-2410 \
  --port 8000 \
  --stream-interval 20 \
  --max-num-seqs 256
