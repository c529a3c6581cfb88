#!/usr/bin/env python3
"""Compiles models ahead of time, calls the artefacts, and compares each output with what `inkle run` gives: bit for bit.

Models are the .onnx files of a folder; inputs are io/NAME.npz beside them. Times are of one thread, of both by turns. With `--emit c` the
artefact is C source, which `cc` makes a library of, and code in place is that for the same record.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "examples" / "python"))
from artefact import Artefact  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inkle", required=True, type=pathlib.Path)
    parser.add_argument("--zoo", required=True, type=pathlib.Path)
    parser.add_argument("--inputs", type=pathlib.Path, help="the folder with NAME.npz; by default ZOO/io")
    parser.add_argument("--time", action="store_true", help="time calls beside those of `inkle bench`")
    parser.add_argument("--emit", choices=["object", "c"], default="object", help="what the artefact's code is written as")
    parser.add_argument("--weights-in", choices=["inside", "file"], default="inside", help="where the weights are")
    parser.add_argument("--flags", default="-O2", help="for `cc`, where the code is C")
    parser.add_argument("names", nargs="*", help="models; by default all of the folder")
    arguments = parser.parse_args()
    names = arguments.names or sorted(path.stem for path in arguments.zoo.glob("*.onnx"))
    failures = [name for name in names if not compared(arguments, name)]
    print(f"{len(names) - len(failures)} of {len(names)} artefacts give the same bits")
    sys.exit(bool(failures))


def compared(arguments, name):
    model = arguments.zoo / f"{name}.onnx"
    inputs = (arguments.inputs or arguments.zoo / "io") / f"{name}.npz"
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        start = time.monotonic()
        command = [arguments.inkle, "compile", model, "-o", folder / "a", "--emit", arguments.emit, "--weights-in", arguments.weights_in, "--json"]
        compiled = subprocess.run(command, capture_output=True, text=True)
        seconds = time.monotonic() - start
        if compiled.returncode:
            print(f"{name}: {compiled.stderr.strip()}")
            return False
        command = [arguments.inkle, "run", model, "--outputs", folder / "out.npz", "--threads", "1", "--json"]
        command += ["--inputs", inputs] if inputs.exists() else []
        command += ["--target", "c"] if arguments.emit == "c" else []
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode or not inputs.exists():
            print(f"{name}: {ran.stderr.strip() or f'{inputs} is missing'}")
            return False
        given, wanted = dict(np.load(inputs)), dict(np.load(folder / "out.npz"))
        if arguments.emit == "c":
            built(folder / "a", json.loads(compiled.stdout)["files"], arguments.flags.split())
        artefact = Artefact(folder / "a")
        start = time.monotonic()
        run = artefact.prepare(**given)
        first = time.monotonic() - start
        got = run()
        same = all(np.array_equal(bits(wanted[key]), bits(got[key])) for key in wanted)
        files = {file["name"]: file["bytes"] for file in json.loads(compiled.stdout)["files"]}
        library = (folder / "a" / f"lib{artefact.prefix}.so").stat().st_size
        code = library - (0 if f"{artefact.prefix}.weights" in files else artefact.manifest["weights_bytes"])
        timed = times(arguments, model, inputs, artefact, run, folder) if arguments.time else ""
        print(f"{name:22} {'same bits' if same else 'DIFFERS  '} compiled in {seconds:5.2f} s, code {code / 1024:6.0f} KiB, first call {first * 1e3:7.2f} ms{timed}", flush=True)
        return same


def built(folder, files, flags):
    """The library of an artefact in C; warnings are errors."""
    source = next(folder / file["name"] for file in files if file["name"].endswith(".c"))
    strict = ["-std=c11", "-pedantic", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-fPIC", "-shared"]
    subprocess.run(["cc", *strict, *flags, source, "-o", folder / f"lib{source.stem}.so"], check=True)


def times(arguments, model, inputs, artefact, run, folder):
    """The medians of the artefact's and of the code in place, in rounds by turns."""
    program = folder / "time_artefact"
    source = pathlib.Path(__file__).with_suffix("").with_name("time_artefact.c")
    subprocess.run(["cc", "-O1", source, "-o", program, "-ldl"], check=True)
    arrays, results, _ = run.keep
    files = []
    for at, array in enumerate(arrays):
        files.append(folder / f"input{at}")
        files[-1].write_bytes(array.tobytes())
    library = folder / "a" / f"lib{artefact.prefix}.so"
    weights = folder / "a" / f"{artefact.prefix}.weights"
    command = [program, library, weights if weights.exists() else "-", artefact.prefix, artefact.manifest["context_bytes"], artefact.manifest["abi"], 1]
    command += [*artefact.sizes(arrays), "--", *(result.nbytes for result in results), "--", *files]
    timed = [str(word) for word in command]
    ours, theirs = [], []
    for _ in range(5):
        command = [arguments.inkle, "bench", model, "--inputs", inputs, "--threads", "1", "--json"]
        theirs.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["median_ms"])
        ours.append(float(subprocess.run(timed, capture_output=True, text=True, check=True).stdout))
    ratio = np.median([own / other for own, other in zip(ours, theirs)])
    return f", {np.median(ours):.3f} ms, in place {np.median(theirs):.3f} ms, ratio {ratio:.3f}"


def bits(array):
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)


if __name__ == "__main__":
    main()
