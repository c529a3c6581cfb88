#!/usr/bin/env python3
"""Run models by Inkle and by onnxruntime, and compare the outputs.

    python3 scripts/test_models.py [--inkle PATH] [--zoo DIR] [MODEL.onnx ...]      (needs: pip install onnx onnxruntime numpy)

The inputs of DIR/NAME.onnx are DIR/io/NAME.npz, DIR/io/NAME.2.npz and so on; --zoo DIR stands for all models in DIR.

An output is right if its type and shape are those of onnxruntime and, on each slice of axis 1,

    max |got - want|  <=  1e-3 std(want) + 1e-5 max |want|

onnxruntime's Sigmoid is off by up to 1e-7 however small its result is, which is above the bound where results are near 0. So it is
given exp(-softplus(-x)).

Below rank 3, where such a slice is hardly more than one number, the whole tensor is the slice. Bools and integers must be equal;
infinities and NaNs must stand in the same places. The table shows the largest quotient of error and bound. Exits with 1 if any is above 1.
"""
import argparse
import glob
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

import onnx
import onnxruntime

from peers import Failure, load, worst

def stem(path):
    return os.path.splitext(os.path.basename(path))[0]


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
    return worst(got, dict(zip(names, by_onnxruntime(reference.run, names, load(inputs)))))


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
            output, most = compare(options, model, inputs, reference)
            print(f"{stem(inputs):24} {'ok  ' if most <= 1 else 'FAIL'}  {most:9.3g}  {output}", flush=True)
            right = right and most <= 1
        except Failure as failure:
            print(f"{stem(inputs):24} FAIL  {failure}", flush=True)
            right = False
    return right


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def print_head(options):
    print(f"{processor()}, {options.threads} threads; onnxruntime {onnxruntime.__version__}")
    print(f"{'inputs':24}       {'err/bound':>9}  worst output")


def parsed_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inkle", default="target/release/inkle", metavar="PATH", help="the binary (default: %(default)s)")
    parser.add_argument("--zoo", metavar="DIR", help="a folder of models, with inputs in DIR/io")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="(default: %(default)s)")
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
    right = [test(options, model) for model in options.models]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
