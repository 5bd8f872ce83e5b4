"""Serve a tiny random model with llama.cpp's own server, the C++ one, until SIGTERM.

    .venv-engine/bin/python scripts/engine/serve.py FOLDER [DRAFT]

With DRAFT, the server drafts up to DRAFT tokens from n-grams of the text (speculative decoding).
Random weights would reject most drafts, so llama.cpp's synthetic acceptance accepts some of them.

The model file is written to FOLDER first. The generated text is meaningless, but the server is
real: its HTTP server, its batching, and the times at which it flushes. The first line on standard
output is `listening on http://HOST:PORT`.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

WIDTH = 256
LAYERS = 12
HEADS = 4
HIDDEN = 768
CONTEXT = 4096
TOKENS = 120

_BYTES = 256
_SPECIAL = ("<unk>", "<s>", "</s>")
_SYLLABLES = ("ba", "de", "ki", "lo", "mu", "na", "po", "ri", "su", "te")


def main(folder: Path, draft: int = 0) -> None:
    """Write the model, serve it on a free port, and exit on a signal."""
    path = folder / "tiny.gguf"
    write_model(path)
    params = settings(path)
    if draft:
        speculate(params, draft)
    server = xllamacpp.Server(params)  # it listens when this returns
    print(f"listening on {server.listening_address}", flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


def settings(model: Path) -> xllamacpp.CommonParams:
    """One thread, the most likely word each time, and an end after `TOKENS` of them."""
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {"tiny"}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_ctx = CONTEXT
    params.n_parallel = 4
    params.n_predict = TOKENS
    params.n_threads_http = 24  # one for each connection
    params.endpoint_slots = True  # reports whether a request is still running
    params.endpoint_metrics = True
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.sampling.temp = 0.0
    params.chat_template = "{% for message in messages %}{{ message.content }} {% endfor %}"
    return params


def speculate(params: xllamacpp.CommonParams, draft: int) -> None:
    """Draft up to ``draft`` tokens from the text so far, and accept about two thirds of them."""
    params.speculative.types = [
        xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE
    ]
    ngrams = params.speculative.ngram_simple
    ngrams.size_n, ngrams.size_m, ngrams.min_hits = 1, draft, 1
    params.speculative.synth_len = 1 + draft * 2 / 3


def write_model(path: Path) -> None:
    """A llama of random weights with a vocabulary of bytes and of a thousand words.

    Bytes and the end of the text have no weight in the last matrix, so that the most likely
    token is always a word: a piece of a character would be held back until it is whole.
    """
    words = [f"\u2581{a}{b}{c}" for a in _SYLLABLES for b in _SYLLABLES for c in _SYLLABLES]
    tokens = [*_SPECIAL, *(f"<0x{byte:02X}>" for byte in range(_BYTES)), *words]
    kinds = gguf.TokenType
    types = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * _BYTES,
             *[kinds.NORMAL] * len(words)]  # fmt: skip
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(types)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    for name, tensor in _tensors(len(tokens), len(tokens) - len(words)):
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(tokens: int, silent: int) -> list[tuple[str, np.ndarray]]:
    random = np.random.default_rng(1)

    def matrix(rows: int, columns: int) -> np.ndarray:
        return random.normal(0, columns**-0.5, (rows, columns)).astype(np.float32)

    last = matrix(tokens, WIDTH)
    last[:silent] = 0
    ones = np.ones(WIDTH, np.float32)
    found = [("token_embd.weight", matrix(tokens, WIDTH)), ("output_norm.weight", ones),
             ("output.weight", last)]  # fmt: skip
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        found += [(f"{at}{name}.weight", ones) for name in ("attn_norm", "ffn_norm")]
        found += [(f"{at}attn_{name}.weight", matrix(WIDTH, WIDTH))
                  for name in ("q", "k", "v", "output")]  # fmt: skip
        found += [(f"{at}ffn_{name}.weight", matrix(HIDDEN, WIDTH)) for name in ("gate", "up")]
        found.append((f"{at}ffn_down.weight", matrix(WIDTH, HIDDEN)))
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
