#!/usr/bin/env python3
"""Build the ONNX model of a BERT encoder from its weights, spelled as exporters spell it.

    python3 scripts/make_minilm.py --config config.json --weights model.safetensors --out minilm.onnx
                                                                (needs: pip install onnx onnxruntime numpy)

The graph has free sizes `batch` and `seq`: shapes are computed by Shape, Gather and Concat, the mask by Expand and Where, GELU by Erf.
Inputs: input_ids, attention_mask, token_type_ids, i64[batch, seq]. Outputs: last_hidden_state, f32[batch, seq, hidden], and
pooler_output, f32[batch, hidden]. The result is run once by onnxruntime: a row must not feel the padding that a mask takes away.
"""
import argparse
import json
import math

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 8
MASKED = np.finfo(np.float32).min


def read_safetensors(content):
    """name -> array of each float32 tensor: a length of 8 bytes, a JSON header, then the elements."""
    start = 8 + int.from_bytes(content[:8], "little")
    arrays = {}
    for name, entry in json.loads(content[8:start]).items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = entry["data_offsets"]
            arrays[name] = np.frombuffer(content[start + begin : start + end], "<f4").reshape(entry["shape"])
    return arrays


class Builder:
    """A graph under construction. A scope is the path of a module, as `/encoder/layer.0/output`."""

    def __init__(self, weights):
        self.weights = weights
        self.nodes = []
        self.initializers = {}
        self.names = {}

    def op(self, scope, op_type, *inputs, **attributes):
        """Adds a node and gives the name of its output."""
        name = f"{scope}/{op_type}"
        count = self.names.get(name, 0)
        self.names[name] = count + 1
        name += f"_{count}" if count else ""
        output = f"{name}_output_0"
        self.nodes.append(helper.make_node(op_type, inputs, [output], name, **attributes))
        return output

    def constant(self, scope, value, dtype=np.int64):
        """The output of a Constant node."""
        return self.op(scope, "Constant", value=numpy_helper.from_array(np.asarray(value, dtype)))

    def weight(self, name, transposed=False):
        """The name of a weight; transposed ones are stored so, as exporters fold the Transpose away."""
        array = self.weights[name].T if transposed else self.weights[name]
        stored = name + "_transposed" if transposed else name
        self.initializers[stored] = numpy_helper.from_array(np.ascontiguousarray(array), stored)
        return stored

    def linear(self, scope, prefix, x):
        product = self.op(scope, "MatMul", x, self.weight(prefix + ".weight", transposed=True))
        return self.op(scope, "Add", self.weight(prefix + ".bias"), product)

    def layer_norm(self, scope, prefix, x, epsilon):
        scale, bias = self.weight(prefix + ".weight"), self.weight(prefix + ".bias")
        return self.op(scope, "LayerNormalization", x, scale, bias, axis=-1, epsilon=epsilon)

    def size(self, scope, x, axis):
        """The size of one axis, of shape [1]."""
        scalar = self.op(scope, "Gather", self.op(scope, "Shape", x), self.constant(scope, axis), axis=0)
        return self.op(scope, "Unsqueeze", scalar, self.constant(scope, [0]))

    def reshaped(self, scope, x, tail):
        """`x` of shape [batch, seq, ...] as [batch, seq, *tail]."""
        sizes = [self.size(scope, x, axis) for axis in (0, 1)] + [self.constant(scope, [size]) for size in tail]
        return self.op(scope, "Reshape", x, self.op(scope, "Concat", *sizes, axis=0))


def embeddings(graph, epsilon, ids, token_types):
    scope, prefix = "/embeddings", "embeddings."
    words = graph.op(scope + "/word_embeddings", "Gather", graph.weight(prefix + "word_embeddings.weight"), ids)
    types = graph.op(scope + "/token_type_embeddings", "Gather", graph.weight(prefix + "token_type_embeddings.weight"), token_types)
    table = graph.weight(prefix + "position_embeddings.weight")
    all_positions = graph.constant(scope, [range(graph.weights[table].shape[0])])
    begin, axis, step = (graph.constant(scope, [value]) for value in (0, 1, 1))
    positions = graph.op(scope, "Slice", all_positions, begin, graph.size(scope, ids, 1), axis, step)
    places = graph.op(scope + "/position_embeddings", "Gather", table, positions)
    total = graph.op(scope, "Add", graph.op(scope, "Add", words, types), places)
    return graph.layer_norm(scope + "/LayerNorm", prefix + "LayerNorm", total, epsilon)


def additive_mask(graph, mask):
    """[batch, 1, seq, seq]: 0 where a token may be attended to, else the lowest float."""
    scope = "/mask"
    outer = graph.op(scope, "Unsqueeze", graph.op(scope, "Unsqueeze", mask, graph.constant(scope, [1])), graph.constant(scope, [2]))
    batch, seq, one = graph.size(scope, mask, 0), graph.size(scope, mask, 1), graph.constant(scope, [1])
    expanded = graph.op(scope, "Expand", outer, graph.op(scope, "Concat", batch, one, seq, seq, axis=0))
    kept = graph.op(scope, "Cast", expanded, to=TensorProto.FLOAT)
    left_out = graph.op(scope, "Sub", graph.constant(scope, 1, np.float32), kept)
    condition = graph.op(scope, "Cast", left_out, to=TensorProto.BOOL)
    return graph.op(scope, "Where", condition, graph.constant(scope, MASKED, np.float32), left_out)


def attention(graph, scope, prefix, x, mask, heads):
    hidden = graph.weights[prefix + ".query.bias"].shape[0]
    width = hidden // heads

    def split(name, permutation):
        part = f"{scope}/{name}"
        rows = graph.reshaped(scope, graph.linear(part, f"{prefix}.{name}", x), [heads, width])
        return graph.op(scope, "Transpose", rows, perm=permutation)

    query, key, value = split("query", [0, 2, 1, 3]), split("key", [0, 2, 3, 1]), split("value", [0, 2, 1, 3])
    scores = graph.op(scope, "Div", graph.op(scope, "MatMul", query, key), graph.constant(scope, math.sqrt(width), np.float32))
    weights = graph.op(scope, "Softmax", graph.op(scope, "Add", scores, mask), axis=-1)
    context = graph.op(scope, "Transpose", graph.op(scope, "MatMul", weights, value), perm=[0, 2, 1, 3])
    return graph.reshaped(scope, context, [hidden])


def gelu(graph, scope, x):
    erf = graph.op(scope, "Erf", graph.op(scope, "Div", x, graph.constant(scope, math.sqrt(2), np.float32)))
    doubled = graph.op(scope, "Mul", x, graph.op(scope, "Add", erf, graph.constant(scope, 1, np.float32)))
    return graph.op(scope, "Mul", doubled, graph.constant(scope, 0.5, np.float32))


def encoder_layer(graph, config, index, x, mask):
    scope, prefix = f"/encoder/layer.{index}", f"encoder.layer.{index}."
    epsilon = config["layer_norm_eps"]

    def residual(part, update, x):
        path, name = f"{scope}/{part}", prefix + part.replace("/", ".")
        total = graph.op(path, "Add", graph.linear(path + "/dense", name + ".dense", update), x)
        return graph.layer_norm(path + "/LayerNorm", name + ".LayerNorm", total, epsilon)

    context = attention(graph, scope + "/attention/self", prefix + "attention.self", x, mask, config["num_attention_heads"])
    x = residual("attention/output", context, x)
    inner = gelu(graph, scope + "/intermediate", graph.linear(scope + "/intermediate/dense", prefix + "intermediate.dense", x))
    return residual("output", inner, x)


def pooler(graph, x):
    first = graph.op("/pooler", "Gather", x, graph.constant("/pooler", 0), axis=1)
    weights = graph.weight("pooler.dense.weight"), graph.weight("pooler.dense.bias")
    return graph.op("/pooler", "Tanh", graph.op("/pooler/dense", "Gemm", first, *weights, transB=1))


def build(config, weights):
    """The model of `config` and `weights`, checked by onnx."""
    graph = Builder(weights)
    x = embeddings(graph, config["layer_norm_eps"], "input_ids", "token_type_ids")
    mask = additive_mask(graph, "attention_mask")
    for index in range(config["num_hidden_layers"]):
        x = encoder_layer(graph, config, index, x, mask)
    outputs = {"last_hidden_state": (x, ["batch", "seq", config["hidden_size"]]), "pooler_output": (pooler(graph, x), ["batch", config["hidden_size"]])}
    rename = {source: name for name, (source, _) in outputs.items()}
    for node in graph.nodes:
        for names in (node.input, node.output):
            names[:] = [rename.get(name, name) for name in names]
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "seq"]) for name in ("input_ids", "attention_mask", "token_type_ids")]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, (_, dims) in outputs.items()]
    proto = helper.make_graph(graph.nodes, "bert", inputs, results, list(graph.initializers.values()))
    model = helper.make_model(proto, producer_name="inkle make_minilm.py", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def check_padding(content):
    """Runs the model on a short row alone, and on the same row with padding in a batch; the results must agree."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    ids = rng.integers(1000, 30000, (2, 12))
    mask = np.ones_like(ids)
    mask[0, 7:] = 0

    def run(ids, mask):
        return session.run(["last_hidden_state", "pooler_output"], {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})

    hidden, pooled = run(ids, mask)
    alone, pooled_alone = run(ids[:1, :7], mask[:1, :7])
    difference = max(np.abs(hidden[:1, :7] - alone).max(), np.abs(pooled[:1] - pooled_alone).max())
    if not difference < 1e-4 * np.abs(alone).max():
        raise ValueError(f"padding changes the result by {difference}")


def model_bytes(config, weights):
    """The checked ONNX file for the contents of a config.json and a model.safetensors."""
    content = build(json.loads(config), read_safetensors(weights)).SerializeToString(deterministic=True)
    check_padding(content)
    return content


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, type=argparse.FileType("rb"))
    parser.add_argument("--weights", required=True, type=argparse.FileType("rb"))
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    content = model_bytes(options.config.read(), options.weights.read())
    with open(options.out, "wb") as file:
        file.write(content)


if __name__ == "__main__":
    main()
