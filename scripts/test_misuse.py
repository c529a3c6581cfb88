#!/usr/bin/env python3
"""Calls artefacts wrongly, in each way that their headers name: the result is the documented number, its text tells what is wrong, nothing
crashes, and the next right call gives what it should."""

import argparse
import ctypes
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "examples" / "python"))
from artefact import Artefact, CodeError, aligned, pointer  # noqa: E402

RNG = np.random.default_rng(0)
INT64 = np.iinfo(np.int64)
FINE = range(1)
GUARD = range(-65536, 0)


def model(path, nodes, inputs, outputs, **weights):
    """Writes an ONNX model; inputs and outputs are names with types and dims."""
    tensors = [[helper.make_tensor_value_info(name, *rest) for name, *rest in side] for side in (inputs, outputs)]
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, path.stem, *tensors, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


def rows(path, seed):
    """Picks rows of a table, and passes them through two layers: has temporaries, indices and two sizes that must agree."""
    table, layer = np.random.default_rng(seed).standard_normal((2, 32, 32), dtype=np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"], name="/pick"),
        helper.make_node("Add", ["x", "rows"], ["sum"], name="/add"),
        helper.make_node("MatMul", ["sum", "layer"], ["product"], name="/product"),
        helper.make_node("Softmax", ["product"], ["chances"], name="/softmax", axis=0),
        helper.make_node("MatMul", ["chances", "layer"], ["y"], name="/last"),
    ]
    inputs = [("x", TensorProto.FLOAT, ["n", 32]), ("ids", TensorProto.INT64, ["m"])]
    model(path, nodes, inputs, [("y", TensorProto.FLOAT, [None, 32])], table=table, layer=layer)


def places(path):
    """Where x is not 0: a size that a call computes."""
    model(path, [helper.make_node("NonZero", ["x"], ["y"], name="/places")], [("x", TensorProto.FLOAT, ["n"])], [("y", TensorProto.INT64, [1, "k"])])


def summed(path):
    """The sum of x over an axis that an input tells."""
    inputs = [("x", TensorProto.FLOAT, [2, 3]), ("axes", TensorProto.INT64, [1])]
    model(path, [helper.make_node("ReduceSum", ["x", "axes"], ["y"], name="/sum")], inputs, [("y", TensorProto.FLOAT, [None, None])])


class Checks:
    """Of one artefact: counts, and ends the test at the first result that is not as it should be."""

    def __init__(self, folder):
        self.model = Artefact(folder)
        header = (folder / f"{self.model.prefix}.h").read_text()
        defines = re.findall(r"#define \w+?_ERROR_(\w+) \((-\d+)\) /\* (.*) \*/", header)
        self.codes = {name: int(number) for name, number, _ in defines}
        self.count = 0

    def gives(self, error, text, function, *arguments, minus=0):
        """The function of this name gives the header's error, and its text has this part."""
        words = [ctypes.c_void_p(pointer(a)) if a is None or not isinstance(a, int) else ctypes.c_int64(a) for a in arguments]
        result = self.model._function(function)(*words)
        self.told(result, error, text, function, minus)

    def told(self, result, error, text, what, minus=0):
        wanted = error if isinstance(error, range) else [self.codes[error] - minus]
        message = self.model.message(result)
        assert result in wanted and text in message, f"{what}: {result} ({message}), not {error}: {text}"
        self.count += 1

    def raises(self, kind, text, call, *arguments, **inputs):
        try:
            call(*arguments, **inputs)
        except kind as error:
            assert text in str(error), f"{error}, not {text}"
            self.count += 1
            return error
        raise AssertionError(f"no {kind.__name__}: {text}")


def off(array, by=4):
    """The same room from an address that is not aligned."""
    return array[by:]


def check_init(checks, other):
    own = checks.model
    context, weights, length, abi = aligned(own.context.nbytes + 64), own.weights, own.weights.nbytes, own.manifest["abi"]
    copied = aligned(length + 64)
    copied[:length] = weights
    for wrong in (abi + 1, 0, -1):
        checks.gives("ABI", "another version", "init", context, context.nbytes, weights, length, wrong)
    for room in (own.context.nbytes - 1, 0, -1, INT64.min):
        checks.gives("CONTEXT", "too small", "init", context, room, weights, length, abi)
    checks.gives("POINTER", "64-byte aligned", "init", off(context), context.nbytes, weights, length, abi)
    checks.gives("POINTER", "null", "init", None, context.nbytes, weights, length, abi)
    checks.gives("POINTER", "64-byte aligned", "init", context, context.nbytes, off(copied), length, abi)
    for wrong, room in ((None, length), (weights, length - 1), (weights, 0), (weights, -1), (other, other.nbytes), (aligned(length), length)):
        checks.gives("WEIGHTS", "not those", "init", context, context.nbytes, wrong, room, abi)
    checks.gives(FINE, "fine", "init", context, context.nbytes, copied, length, abi)


def check_sizes(checks):
    out = np.zeros(8, np.int64)
    for at, size in enumerate(checks.model.manifest["sizes"]):
        for value in (size["low"] - 1, size["high"] + 1, -1, INT64.min, INT64.max):
            dims = np.array([max(size["low"], 1) for size in checks.model.manifest["sizes"]], np.int64)
            dims[at] = value
            for function, *arguments in (("scratch_bytes",), ("thread_scratch_bytes",), ("output_bytes", out), ("input_dims", out), ("output_dims", out)):
                checks.gives("SIZE", f"{size['name']} is not from", function, dims, *arguments, minus=at)
            checks.gives("SIZE", f"{size['name']} is not from", "run", checks.model.context, out, out, dims, None, 0, None, None, minus=at)
    for function in ("scratch_bytes", "output_bytes", "input_dims", "output_dims"):
        checks.gives("POINTER", "null", function, None, out)
    dims[:] = 4
    for function in ("output_bytes", "input_dims", "output_dims"):
        checks.gives("POINTER", "null", function, dims, None)


def check_run(checks, given):
    """Each argument of a call wrong in turn, all others right."""
    own = checks.model
    arrays = own.arrays(given)
    dims = own.sizes(arrays)
    needed = own._call("scratch_bytes", dims)
    assert needed > 0, "the model has no temporaries"
    scratch, output = aligned(needed + 64), aligned(given["x"].nbytes)

    def gives(error, text, context=own.context, inputs=arrays, outputs=(output,), dims=dims, scratch=scratch, room=needed, minus=0):
        lists = [side if side is None else (ctypes.c_void_p * len(side))(*map(pointer, side)) for side in (inputs, outputs)]
        checks.gives(error, text, "run", context, *lists, dims, scratch, room, None, None, minus=minus)

    gives(FINE, "fine")
    right = output.copy()
    gives("CONTEXT", "not made by init", context=aligned(own.context.nbytes))
    gives("POINTER", "null", context=None)
    gives("POINTER", "64-byte aligned", context=off(own.context))
    gives("POINTER", "null", inputs=None)
    gives("POINTER", "null", outputs=None)
    for at in range(len(arrays)):
        for wrong in (None, off(arrays[at].reshape(-1), 1)):
            gives("POINTER", "aligned", inputs=arrays[:at] + [wrong] + arrays[at + 1 :])
    for wrong in (None, off(output)):
        gives("POINTER", "aligned", outputs=[wrong])
    for room in (needed - 1, 0, -1, INT64.min):
        gives("SCRATCH", "too small", room=room)
    gives("POINTER", "null", scratch=None)
    gives("POINTER", "64-byte aligned", scratch=off(scratch))
    gives("POINTER", "null", dims=None)
    gives(GUARD, "/add", dims=dims - np.array([1, 0]))
    gives(FINE, "fine")
    assert np.array_equal(output, right)


def check_loader(checks, given):
    own, x, ids = checks.model, given["x"], given["ids"]
    wanted = own(**given)["y"]
    checks.raises(ValueError, "x has 1 dims, not 2", own, x=x[0], ids=ids)
    checks.raises(ValueError, "x has dims (5, 31), not (5, 32)", own, x=x[:, :31], ids=ids)
    checks.raises(TypeError, "x has elements of float64, not f32", own, x=x.astype(np.float64), ids=ids)
    checks.raises(TypeError, "ids has elements of int32, not i64", own, x=x, ids=ids.astype(np.int32))
    checks.raises(TypeError, "inputs are x, not x, ids", own, x=x)
    checks.raises(CodeError, "/add", own, x=x, ids=ids[:4])
    for index in (32, -33, INT64.min, INT64.max):
        error = checks.raises(CodeError, "/pick", own, x=x, ids=np.where(np.arange(5) == 3, index, ids))
        assert error.result > 0
    assert np.array_equal(own(**given)["y"], wanted)


def check_computed(checks):
    own = checks.model
    x = np.where(np.arange(5000) % 2 == 0, np.float32(1), np.float32(0))
    assert np.array_equal(own(x=x)["y"], np.flatnonzero(x)[None])
    output, scratch = aligned(8 * 16), aligned(1 << 20)
    sizes = {size["name"]: at for at, size in enumerate(own.manifest["sizes"])}
    (computed,) = [size["name"] for size in own.manifest["sizes"] if size["computed"]]
    dims = np.zeros(2, np.int64)
    dims[sizes["n"]], dims[sizes[computed]] = x.size, 16
    own._call("output_bytes", dims, np.zeros(1, np.int64))
    arrays = own.arrays({"x": x})
    lists = [(ctypes.c_void_p * 1)(pointer(array)) for array in (arrays[0], output)]
    checks.gives("SIZE", "beyond the room", "run", own.context, *lists, dims, scratch, scratch.nbytes, None, None, minus=sizes[computed])
    assert dims[sizes[computed]] == 2500, dims


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inkle", required=True, type=pathlib.Path)
    inkle = parser.parse_args().inkle
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)

        def compiled(name, write, *options):
            write(folder / f"{name}.onnx")
            subprocess.run([inkle, "compile", folder / f"{name}.onnx", "-o", folder / name, *options], check=True, stdout=subprocess.DEVNULL)
            return folder / name

        small = Checks(compiled("small", lambda path: rows(path, 0), "--weights-in", "file"))
        other = Artefact(compiled("other", lambda path: rows(path, 1), "--weights-in", "file"))
        given = {"x": RNG.standard_normal((5, 32), dtype=np.float32), "ids": np.array([0, 31, 7, 7, 2])}
        check_init(small, other.weights)
        check_sizes(small)
        check_run(small, given)
        check_loader(small, given)

        computed = Checks(compiled("computed", places))
        check_computed(computed)

        x = np.arange(6, dtype=np.float32).reshape(2, 3)
        np.savez(folder / "axes.npz", x=x, axes=np.array([0]))
        bound = Checks(compiled("bound", summed, "--inputs", folder / "axes.npz"))
        assert np.array_equal(bound.model(x=x, axes=np.array([0]))["y"], x.sum(0, keepdims=True))
        error = bound.raises(CodeError, "another value of input 1", bound.model, x=x, axes=np.array([1]))
        bound.told(error.result, "VALUE", "another value", "run", minus=1)
    print(f"{small.count + computed.count + bound.count} wrong calls are told as they should be")


if __name__ == "__main__":
    main()
