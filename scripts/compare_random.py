#!/usr/bin/env python3
"""Run the models of a dump by onnxruntime, and compare with the outputs that the dump holds.

    python3 scripts/compare_random.py DIR [NAME ...]      (needs: pip install onnx onnxruntime numpy)

DIR is what `cargo xtask fuzz --dump DIR` wrote: DIR/NAME/model.onnx with test_data_set_0/input_0.pb, output_0.pb and so on, and
bounds.txt with a line for each output. An output is right if its type and shape are those of onnxruntime and

    |got - want|  <=  bound + 16 u max |want|        (u: the unit roundoff of its type)

at each element; infinities and NaNs must stand in the same places, bools and integers be equal. Models that onnxruntime does not run
are counted, with its reasons. Exits with 1 if any output is wrong.
"""
import argparse
import collections
import glob
import os
import re
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

UNITS = 16


class NotRun(Exception):
    """Why onnxruntime does not run a model."""


def tensors(folder, stem):
    """The arrays of STEM_0.pb, STEM_1.pb and so on."""
    paths = glob.glob(os.path.join(glob.escape(folder), f"{stem}_*.pb"))
    arrays = []
    for path in sorted(paths, key=lambda path: int(re.search(r"(\d+)\.pb$", path)[1])):
        tensor = onnx.TensorProto()
        with open(path, "rb") as file:
            tensor.ParseFromString(file.read())
        arrays.append((tensor.name, numpy_helper.to_array(tensor)))
    return arrays


RANDOM = {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"}


def draws(node):
    """Whether a node's results are random: no two programs have the same."""
    return node.op_type in RANDOM or node.op_type == "Dropout" and len(node.input) > 2


def session(path):
    """Without optimisations: they change meanings here and there."""
    if any(draws(node) for node in onnx.load(path).graph.node):
        raise NotRun("it draws random numbers")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return attempt(onnxruntime.InferenceSession, path, options, providers=["CPUExecutionProvider"])


def attempt(function, *arguments, **options):
    """What the call gives; its exceptions, which have no class in common, become NotRun."""
    try:
        return function(*arguments, **options)
    except Exception as error:
        raise NotRun(str(error).splitlines()[0]) from error


def unit_roundoff(dtype):
    return np.finfo(dtype).eps / 2


def difference(got, want, bound):
    """What is wrong with an output, or None."""
    if got.dtype != want.dtype or got.shape != want.shape:
        return f"is {got.dtype}{list(got.shape)}, onnxruntime has {want.dtype}{list(want.shape)}"
    if want.size == 0:
        return None
    if want.dtype.kind != "f":
        wrong = np.argwhere(got != want)
        return described(got, want, wrong, 0) if len(wrong) else None
    finite = np.isfinite(want)
    wrong = np.argwhere(~finite & ~((got == want) | (np.isnan(got) & np.isnan(want))) | (finite & ~np.isfinite(got)))
    if len(wrong):
        return described(got, want, wrong, 0)
    error = np.where(finite, np.abs(got.astype(np.float64) - np.where(finite, want, 0).astype(np.float64)), 0)
    largest = np.abs(want[finite]).max(initial=0)
    allowed = bound + UNITS * unit_roundoff(want.dtype) * float(largest)
    wrong = np.argwhere(error > allowed)
    return described(got, want, wrong, allowed) if len(wrong) else None


def described(got, want, wrong, allowed):
    at = tuple(wrong[0])
    return f"{len(wrong)} of {want.size} elements; at {[int(i) for i in at]} {got[at]!r}, onnxruntime {want[at]!r}, allowed {allowed:.3g}"


def compare(folder):
    """The differences of all calls of one model."""
    model = session(os.path.join(folder, "model.onnx"))
    found = []
    for data in sorted(glob.glob(os.path.join(glob.escape(folder), "test_data_set_*"))):
        inputs, outputs = dict(tensors(data, "input")), tensors(data, "output")
        with open(os.path.join(data, "bounds.txt")) as file:
            bounds = [float(line) for line in file]
        wanted = attempt(model.run, None, inputs)
        for (name, got), want, bound in zip(outputs, wanted, bounds, strict=True):
            if (text := difference(got, want, bound)) is not None:
                found.append(f"{os.path.basename(data)}: {name} {text}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR")
    parser.add_argument("names", metavar="NAME", nargs="*")
    options = parser.parse_args()
    names = options.names or sorted(name for name in os.listdir(options.folder) if os.path.isdir(os.path.join(options.folder, name)))
    equal, different, reasons = 0, 0, collections.Counter()
    for name in names:
        try:
            found = compare(os.path.join(options.folder, name))
        except NotRun as error:
            reasons[re.sub(r"[\w./]*_\d+|\d+", "..", str(error))[:150]] += 1
            continue
        different += bool(found)
        equal += not found
        for text in found[:3]:
            print(f"{name}: {text}", flush=True)
    print(f"{equal} equal, {different} different, {sum(reasons.values())} not run by onnxruntime {onnxruntime.__version__}")
    for reason, count in reasons.most_common():
        print(f"  {count} x {reason}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
