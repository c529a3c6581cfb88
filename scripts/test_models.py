#!/usr/bin/env python3
"""Run models by Inkle and by onnxruntime; compare the outputs, or with --bench the times.

    python3 scripts/test_models.py [--inkle PATH] [--zoo DIR] [--bench] [MODEL.onnx ...]      (needs: pip install onnx onnxruntime numpy)

The inputs of DIR/NAME.onnx are DIR/io/NAME.npz, DIR/io/NAME.2.npz and so on; --zoo DIR stands for all models in DIR.

An output is right if its type and shape are those of onnxruntime and, on each slice of axis 1,

    max |got - want|  <=  1e-3 std(want) + 1e-5 max |want|

onnxruntime's Sigmoid is off by up to 1e-7 however small its result is, which is above the bound where results are near 0. So it is
given exp(-softplus(-x)) when outputs are compared; times are those of the model as it is.

Below rank 3, where such a slice is hardly more than one number, the whole tensor is the slice. Bools and integers must be equal;
infinities and NaNs must stand in the same places. The table shows the largest quotient of error and bound. Exits with 1 if any is above 1.

--bench takes turns, so that both see the same machine: a round is `inkle bench MODEL --inputs F.npz --threads N --json`, whose last
line is an object with `median_ms`, then as long a round of onnxruntime (N threads within an operator, operators in sequence, 3 runs to
warm up). The first set of inputs is used. Shown are the medians over the rounds of the rounds' medians.
"""
import argparse
import glob
import json
import math
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime

RELATIVE_TO_DEVIATION, RELATIVE_TO_MAXIMUM = 1e-3, 1e-5
WARM_UPS, LEAST_RUNS, ROUND_SECONDS = 3, 5, 1.0


class Failure(Exception):
    """What is wrong with a model, in one line."""


def stem(path):
    return os.path.splitext(os.path.basename(path))[0]


def slices(array):
    """The parts of an output that are judged each by its own deviation and maximum."""
    return np.moveaxis(array, 1, 0) if array.ndim >= 3 else array[np.newaxis]


def slice_quotient(got, want):
    """Error over bound of one slice of floats; infinite where no error is allowed or numbers stand against infinities or NaNs."""
    if want.size == 0:
        return 0.0
    finite = np.isfinite(want)
    if not np.array_equal(got[~finite], want[~finite], equal_nan=True) or not np.isfinite(got[finite]).all():
        return math.inf
    got, want = got[finite].astype(np.float64), want[finite].astype(np.float64)
    if want.size == 0:
        return 0.0
    error = np.abs(got - want).max()
    bound = RELATIVE_TO_DEVIATION * want.std() + RELATIVE_TO_MAXIMUM * np.abs(want).max()
    return float(error / bound) if bound > 0 else (0.0 if error == 0 else math.inf)


def quotient(got, want):
    """The largest quotient of error and bound of one output."""
    if got.dtype != want.dtype or got.shape != want.shape:
        raise Failure(f"is {got.dtype}{list(got.shape)} but should be {want.dtype}{list(want.shape)}")
    if want.dtype.kind != "f":
        return 0.0 if np.array_equal(got, want) else math.inf
    return max(map(slice_quotient, slices(got), slices(want)), default=0.0)


def run_inkle(*arguments):
    """Standard output of the command; its last words where it fails."""
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise Failure(said[-1] if done.returncode > 0 else f"signal {-done.returncode}: {said[-1]}")
    return done.stdout


def session(model, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    return by_onnxruntime(onnxruntime.InferenceSession, model, options, providers=["CPUExecutionProvider"])


def spelled_sigmoids(graph, prefix):
    """Replaces each Sigmoid of a graph, and of its branches, by operators that round relative to their results; gives how many."""
    nodes, count = [], 0
    for at, node in enumerate(graph.node):
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                count += spelled_sigmoids(attribute.g, f"{prefix}.{at}")
        if node.op_type != "Sigmoid" or node.domain:
            nodes.append(node)
            continue
        x, y = node.input[0], node.output[0]
        names = [x] + [f"{prefix}.{at}.{part}" for part in ("negative", "softplus", "logarithm")] + [y]
        nodes += [onnx.helper.make_node(op, [names[k]], [names[k + 1]]) for k, op in enumerate(("Neg", "Softplus", "Neg", "Exp"))]
        count += 1
    del graph.node[:]
    graph.node.extend(nodes)
    return count


def exact_model(path):
    """What onnxruntime is given for a comparison: the path, or a model with its sigmoids spelled out."""
    model = onnx.load(path)
    return model.SerializeToString() if spelled_sigmoids(model.graph, "sigmoid") else path


def by_onnxruntime(function, *arguments, **options):
    """What the call gives; its exceptions, which have no class in common, become a Failure."""
    try:
        return function(*arguments, **options)
    except Exception as error:
        raise Failure(f"onnxruntime: {error}".splitlines()[0]) from error


def load(path):
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def input_files(model):
    """NAME.npz, then NAME.2.npz, NAME.3.npz and so on."""
    folder, name = os.path.split(os.path.splitext(model)[0])
    pattern = re.compile(re.escape(name) + r"(?:\.(\d+))?\.npz")
    found = [(int(match[1] or 1), path) for path in glob.glob(os.path.join(glob.escape(folder), "io", "*.npz")) if (match := pattern.fullmatch(os.path.basename(path)))]
    if not found:
        raise Failure(f"no inputs {os.path.join(folder, 'io', name + '.npz')}")
    return [path for _, path in sorted(found)]


def compare(options, model, inputs, reference):
    """(the worst output, its quotient) of one run."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = os.path.join(folder, "outputs.npz")
        run_inkle(options.inkle, "run", model, "--inputs", inputs, "--outputs", outputs)
        got = load(outputs)
    names = [output.name for output in reference.get_outputs()]
    want = dict(zip(names, by_onnxruntime(reference.run, names, load(inputs))))
    if set(got) != set(want):
        raise Failure(f"outputs are {sorted(got)} but should be {sorted(want)}")
    quotients = {}
    for name in names:
        try:
            quotients[name] = quotient(got[name], want[name])
        except Failure as failure:
            raise Failure(f"{name}: {failure}") from failure
    return max(quotients.items(), key=lambda item: item[1])


def test(options, model):
    """Prints a row for each set of inputs; true if all are right."""
    try:
        files, reference = input_files(model), session(exact_model(model), options.threads)
    except Failure as failure:
        print(f"{stem(model):24} FAIL  {failure}", flush=True)
        return False
    right = True
    for inputs in files:
        try:
            output, worst = compare(options, model, inputs, reference)
            print(f"{stem(inputs):24} {'ok  ' if worst <= 1 else 'FAIL'}  {worst:9.3g}  {output}", flush=True)
            right = right and worst <= 1
        except Failure as failure:
            print(f"{stem(inputs):24} FAIL  {failure}", flush=True)
            right = False
    return right


def inkle_round(options, model, inputs):
    printed = run_inkle(options.inkle, "bench", model, "--inputs", inputs, "--threads", str(options.threads), "--json")
    try:
        return float(json.loads(printed.strip().splitlines()[-1])["median_ms"])
    except (ValueError, LookupError, TypeError):
        raise Failure("the last line that bench prints is no JSON object with median_ms") from None


def onnxruntime_round(reference, arrays):
    for _ in range(WARM_UPS):
        by_onnxruntime(reference.run, None, arrays)
    times, begin = [], time.perf_counter()
    while len(times) < LEAST_RUNS or time.perf_counter() - begin < ROUND_SECONDS:
        start = time.perf_counter()
        reference.run(None, arrays)
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


def bench(options, model):
    """Prints a row with both medians and their quotient; true if there are any."""
    try:
        inputs = input_files(model)[0]
        reference, arrays = session(model, options.threads), load(inputs)
        rounds = [(inkle_round(options, model, inputs), onnxruntime_round(reference, arrays)) for _ in range(options.rounds)]
    except Failure as failure:
        print(f"{stem(model):24} FAIL  {failure}", flush=True)
        return False
    ours, theirs = map(statistics.median, zip(*rounds))
    print(f"{stem(model):24} {ours:10.3f} {theirs:10.3f} {theirs / ours:9.2f}", flush=True)
    return True


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def print_head(options):
    print(f"{processor()}, {options.threads} threads; onnxruntime {onnxruntime.__version__}")
    if options.bench:
        print(f"{'model':24} {'inkle ms':>10} {'ort ms':>10} {'ort/inkle':>9}   medians of {options.rounds} rounds")
    else:
        print(f"{'inputs':24}       {'err/bound':>9}  worst output")


def parsed_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inkle", default="target/release/inkle", metavar="PATH", help="the binary (default: %(default)s)")
    parser.add_argument("--zoo", metavar="DIR", help="a folder of models, with inputs in DIR/io")
    parser.add_argument("--bench", action="store_true", help="compare times")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of each side with --bench (default: %(default)s)")
    parser.add_argument("models", nargs="*", metavar="MODEL.onnx")
    options = parser.parse_args()
    if options.zoo:
        options.models += sorted(glob.glob(os.path.join(glob.escape(options.zoo), "*.onnx")))
    if not options.models:
        parser.error("no models; name some, or a folder of them by --zoo")
    if not shutil.which(options.inkle):
        parser.error(f"{options.inkle} is no program; build it first or say --inkle")
    return options


def main():
    options = parsed_options()
    print_head(options)
    each = bench if options.bench else test
    right = [each(options, model) for model in options.models]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
