#!/usr/bin/env python3
"""Loop, Scan, RNN, GRU and LSTM in many forms, by inkle and by onnxruntime.

    python3 scripts/compare_loops.py --inkle BIN [--verify] [WORD]      (needs: pip install onnx onnxruntime numpy)

Makes small models, with free and bound sizes, and compares every output. WORD picks the cases whose name contains it. With --verify
inkle also checks each of its passes. Exits with 1 if any output differs.
"""
import argparse
import itertools
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
F32 = TensorProto.FLOAT


def value(name, dims, kind=F32):
    return helper.make_tensor_value_info(name, kind, dims)


def model(nodes, inputs, outputs, weights, opset=17):
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    made.ir_version = 9
    return made


def recurrent(op, random, t=5, b=2, i=3, h=4, direction="forward", free=False, bias=True, lengths=False, initial=False,
              peepholes=False, outputs="Yhc", given=False, **attributes):
    d = 2 if direction == "bidirectional" else 1
    g = GATES[op]
    draw = lambda *dims: random.uniform(-0.6, 0.6, dims).astype(np.float32)
    turned = attributes.get("layout", 0) == 1
    x = draw(b, t, i) if turned else draw(t, b, i)
    dims = (["b", "t", i] if turned else ["t", "b", i]) if free else list(x.shape)
    inputs, feeds, weights = [value("x", dims)], {"x": x}, {"w": draw(d, g * h, i)}
    if given:
        inputs.append(value("r", [d, g * h, h]))
        feeds["r"] = draw(d, g * h, h)
    else:
        weights["r"] = draw(d, g * h, h)
    names = ["x", "w", "r"] + [""] * 5
    if bias:
        names[3], weights["bias"] = "bias", draw(d, 2 * g * h)
    if lengths:
        names[4] = "lengths"
        inputs.append(value("lengths", ["b" if free else b], TensorProto.INT32))
        feeds["lengths"] = np.array([t - k % t for k in range(b)], np.int32)
    if initial:
        states = ["h0", "c0"] if op == "LSTM" else ["h0"]
        for at, name in enumerate(states):
            names[5 + at] = name
            array = draw(b, d, h) if turned else draw(d, b, h)
            inputs.append(value(name, [("b" if free and k == (0 if turned else 1) else n) for k, n in enumerate(array.shape)]))
            feeds[name] = array
    if peepholes:
        names[7], weights["p"] = "p", draw(d, 3 * h)
    while not names[-1]:
        names.pop()
    results = ["Y" if "Y" in outputs else "", "h" if "h" in outputs else ""] + (["c"] if op == "LSTM" and "c" in outputs else [])
    node = helper.make_node(op, names, results, hidden_size=h, direction=direction, **attributes)
    return model([node], inputs, [value(name, None) for name in results if name], weights), feeds


def recurrent_cases(random):
    for op, direction in itertools.product(GATES, ["forward", "reverse", "bidirectional"]):
        yield f"{op} {direction}", recurrent(op, random, direction=direction, initial=True)
        yield f"{op} {direction} free lengths", recurrent(op, random, direction=direction, free=True, lengths=True, b=3)
    for op in GATES:
        yield f"{op} free", recurrent(op, random, free=True, initial=True, bias=False)
        yield f"{op} final", recurrent(op, random, outputs="h")
        yield f"{op} clip", recurrent(op, random, clip=0.2)
        yield f"{op} one", recurrent(op, random, t=1, b=1)
        yield f"{op} given", recurrent(op, random, given=True, free=True)
        yield f"{op} wide", recurrent(op, random, t=7, b=1, i=33, h=40)
        yield f"{op} rows", recurrent(op, random, t=3, b=20, i=16, h=32, free=True)
    for direction in ["forward", "bidirectional"]:
        yield f"GRU linear {direction}", recurrent("GRU", random, direction=direction, linear_before_reset=1)
        yield f"LSTM peepholes {direction}", recurrent("LSTM", random, direction=direction, peepholes=True)
    yield "GRU linear unbiased", recurrent("GRU", random, bias=False, linear_before_reset=1)
    yield "LSTM input_forget", recurrent("LSTM", random, input_forget=1)
    plain = ["Relu", "Tanh", "Sigmoid", "Softsign", "Softplus"]
    for name in plain:
        yield f"RNN {name}", recurrent("RNN", random, activations=[name])
    yield "RNN LeakyRelu", recurrent("RNN", random, activations=["LeakyRelu"], activation_alpha=[0.3])
    yield "RNN Elu", recurrent("RNN", random, activations=["Elu"], activation_alpha=[0.7])
    yield "RNN ThresholdedRelu", recurrent("RNN", random, activations=["ThresholdedRelu"], activation_alpha=[0.1])
    yield "RNN Affine", recurrent("RNN", random, activations=["Affine"], activation_alpha=[0.5], activation_beta=[0.1])
    yield "RNN ScaledTanh", recurrent("RNN", random, activations=["ScaledTanh"], activation_alpha=[0.5], activation_beta=[0.8])
    yield "RNN HardSigmoid", recurrent("RNN", random, activations=["HardSigmoid"], activation_alpha=[0.3], activation_beta=[0.4])
    yield "LSTM activations", recurrent("LSTM", random, activations=["HardSigmoid", "Relu", "Softsign"])
    yield "GRU activations", recurrent("GRU", random, direction="bidirectional", activations=["Sigmoid", "Softsign", "HardSigmoid", "Tanh"])


def body(nodes, inputs, outputs, weights=None):
    initializers = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    return helper.make_graph(nodes, "body", inputs, outputs, initializers)


def step_nodes():
    """`s' = tanh(s W + v)` and the difference of the two."""
    return [
        helper.make_node("MatMul", ["s", "w"], ["p"]),
        helper.make_node("Add", ["p", "v"], ["q"]),
        helper.make_node("Tanh", ["q"], ["n"]),
        helper.make_node("Sub", ["n", "s"], ["d"]),
    ]


def loop_cases(random):
    w = {"w": random.uniform(-0.5, 0.5, (6, 6)).astype(np.float32)}
    draw = lambda *dims: random.uniform(-1, 1, dims).astype(np.float32)
    head = [value("i", [], TensorProto.INT64), value("c", [], TensorProto.BOOL), value("s", [2, 6])]
    go_on = helper.make_node("Identity", ["c"], ["go_on"])
    out = value("go_on", [], TensorProto.BOOL)
    state, stacked = value("n", [2, 6]), value("d", [2, 6])
    outputs = [value("last", None), value("all", None)]

    gather = [helper.make_node("Gather", ["x", "i"], ["v"], axis=0), go_on] + step_nodes()
    rows = [helper.make_node("Shape", ["x"], ["shape"]), helper.make_node("Gather", ["shape", "zero"], ["rows"])]
    loop = helper.make_node("Loop", ["rows", "", "s0"], ["last", "all"], body=body(gather, head, [out, state, stacked]))
    weights = {**w, "zero": np.array(0, np.int64)}
    x = [value("x", ["t", 2, 6]), value("s0", [2, 6])]
    for t in [1, 4]:
        yield f"Loop rows {t}", (model(rows + [loop], x, outputs, weights), {"x": draw(t, 2, 6), "s0": draw(2, 6)})

    plain = [go_on, helper.make_node("Identity", ["x"], ["v"])] + step_nodes()
    limited = helper.make_node("Loop", ["m", "", "s0"], ["last"], body=body(plain, head, [out, state]))
    inputs = [value("m", [], TensorProto.INT64), value("x", [2, 6]), value("s0", [2, 6])]
    for m in [0, 1, 5]:
        feeds = {"m": np.array(m, np.int64), "x": draw(2, 6), "s0": draw(2, 6)}
        yield f"Loop limit {m}", (model([limited], inputs, outputs[:1], w), feeds)

    grow = [
        helper.make_node("Mul", ["s", "two"], ["n"]),
        helper.make_node("ReduceMax", ["n"], ["high"], keepdims=0),
        helper.make_node("Less", ["high", "most"], ["go_on"]),
    ]
    limits = {"two": np.array(2, np.float32), "most": np.array(50, np.float32)}
    repeat = helper.make_node("Loop", ["m", "first", "s0"], ["last"], body=body(grow, head, [out, state]))
    inputs = [value("m", [], TensorProto.INT64), value("first", [], TensorProto.BOOL), value("s0", [2, 6])]
    for m, first in [(100, True), (3, True), (100, False)]:
        feeds = {"m": np.array(m, np.int64), "first": np.array(first), "s0": np.abs(draw(2, 6))}
        yield f"Loop while {m} {first}", (model([repeat], inputs, outputs[:1], limits), feeds)

    for axis, turned, back in itertools.product([0, 1, 2], [0, 1], [0, 1]):
        dims, names = [2, 6], ["b", 6]
        dims.insert(axis, 3)
        names.insert(axis, "t")
        step = body(step_nodes(), [value("s", [2, 6]), value("v", [2, 6])], [state, stacked])
        scan = helper.make_node("Scan", ["s0", "x"], ["last", "all"], num_scan_inputs=1, body=step, scan_input_axes=[axis],
                                scan_output_axes=[axis - 3], scan_input_directions=[turned], scan_output_directions=[back])
        inputs = [value("x", names), value("s0", ["b", 6])]
        yield f"Scan {axis} {turned} {back}", (model([scan], inputs, outputs, w), {"x": draw(*dims), "s0": draw(2, 6)})

    inner = body([helper.make_node("Add", ["a", "e"], ["f"]), helper.make_node("Mul", ["f", "f"], ["g"])],
                 [value("a", []), value("e", [])], [value("f", []), value("g", [])])
    outer = body([helper.make_node("Scan", ["z", "row"], ["sum", "squares"], num_scan_inputs=1, body=inner),
                  helper.make_node("Add", ["z", "sum"], ["y"])],
                 [value("z", []), value("row", [4])], [value("y", []), value("squares", [4])])
    nested = helper.make_node("Scan", ["z0", "x"], ["last", "all"], num_scan_inputs=1, body=outer)
    yield "Scan nested", (model([nested], [value("x", ["t", 4]), value("z0", [])], outputs, {}), {"x": draw(3, 4), "z0": draw()})

    low = body([helper.make_node("Neg", ["v"], ["o"])], [], [value("o", [2, 6])])
    high = body([helper.make_node("Mul", ["v", "v"], ["o2"])], [], [value("o2", [2, 6])])
    chosen = [helper.make_node("ReduceSum", ["v"], ["total"], keepdims=0), helper.make_node("Less", ["total", "none"], ["is_low"]),
              helper.make_node("If", ["is_low"], ["part"], then_branch=low, else_branch=high), helper.make_node("Add", ["s", "part"], ["n"]),
              helper.make_node("Identity", ["part"], ["d"])]
    step = body(chosen, [value("s", [2, 6]), value("v", [2, 6])], [state, stacked])
    scan = helper.make_node("Scan", ["s0", "x"], ["last", "all"], num_scan_inputs=1, body=step)
    weights = {"none": np.array(0, np.float32)}
    yield "Scan with If", (model([scan], x, outputs, weights), {"x": draw(5, 2, 6), "s0": draw(2, 6)})


def differs(inkle, made, feeds, verify):
    """What is wrong, or None."""
    with tempfile.TemporaryDirectory() as folder:
        path, inputs, outputs = (os.path.join(folder, name) for name in ["m.onnx", "in.npz", "out.npz"])
        with open(path, "wb") as file:
            file.write(made.SerializeToString())
        np.savez(inputs, **feeds)
        command = [inkle, "run", path, "--no-cache", "--inputs", inputs, "--outputs", outputs]
        for extra in [[], ["--verify"]] if verify else [[]]:
            done = subprocess.run(command + extra, capture_output=True, text=True)
            if done.returncode:
                return f"inkle {' '.join(extra)}: exit {done.returncode}: {(done.stderr or done.stdout)[-400:]}"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        with np.load(outputs) as got:
            for name, want in zip(names, session.run(names, feeds)):
                if got[name].shape != want.shape:
                    return f"{name}: shape {got[name].shape}, not {want.shape}"
                worst = float(np.max(np.abs(got[name] - want), initial=0))
                if not worst <= 2e-6 * (1 + float(np.max(np.abs(want), initial=0))):
                    return f"{name}: off by {worst:.3e}"
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--inkle", required=True)
    parser.add_argument("--verify", action="store_true")
    parser.add_argument("word", nargs="?", default="")
    options = parser.parse_args()
    random = np.random.default_rng(7)
    cases = [case for case in itertools.chain(recurrent_cases(random), loop_cases(random)) if options.word in case[0]]
    wrong = 0
    for name, (made, feeds) in cases:
        try:
            why = differs(options.inkle, made, feeds, options.verify)
        except Exception as error:
            why = f"onnxruntime: {str(error).splitlines()[0]}"
        wrong += why is not None
        if why:
            print(f"{name}: {why}")
    print(f"{len(cases)} cases, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
