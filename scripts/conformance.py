#!/usr/bin/env python3
"""Write ONNX's own test cases in the layout that `inkle test` runs, and the list of those that do not pass.

    python3 scripts/conformance.py cases OUT               (needs: pip install onnx numpy)
    python3 scripts/conformance.py known RESULT.json..     prints the list for `inkle test --known`, from `inkle test --json`

OUT/node has a case for each form of each operator, which the package makes from its own reference; OUT/simple, OUT/pytorch-operator and
OUT/pytorch-converted are the cases of these kinds as the package holds them. OUT/real has image classifiers whose weights are all
alike, with the input that the package's runner draws and the output that it holds.
"""
import argparse
import json
import os
import re
import shutil
import warnings

HELD = ["simple", "pytorch-operator", "pytorch-converted"]


def message(value, info):
    """A tensor, sequence, optional or map as the message that stands in a .pb file."""
    import numpy as np
    import onnx
    from onnx import numpy_helper

    if isinstance(value, onnx.TensorProto):
        return value
    kinds = {
        "sequence_type": numpy_helper.from_list,
        "optional_type": numpy_helper.from_optional,
        "map_type": numpy_helper.from_dict,
    }
    make = next((make for kind, make in kinds.items() if info.type.HasField(kind)), None)
    return make(value, info.name) if make else numpy_helper.from_array(np.asarray(value), info.name)


def write_case(case, folder):
    import onnx

    os.makedirs(folder, exist_ok=True)
    onnx.save(case.model, os.path.join(folder, "model.onnx"))
    graph = case.model.graph
    for number, (inputs, outputs) in enumerate(case.data_sets):
        data = os.path.join(folder, f"test_data_set_{number}")
        os.makedirs(data, exist_ok=True)
        for kind, values, infos in [("input", inputs, graph.input), ("output", outputs, graph.output)]:
            for at, (value, info) in enumerate(zip(values, infos)):
                with open(os.path.join(data, f"{kind}_{at}.pb"), "wb") as file:
                    file.write(message(value, info).SerializeToString())


def ramp(info):
    """The input of a model of kind `real`: equal steps from 0 up to 1, as the package's runner has it."""
    import numpy as np

    dims = [dim.dim_value if dim.HasField("dim_value") else 1 for dim in info.type.tensor_type.shape.dim]
    count = int(np.prod(dims))
    return (np.arange(count).reshape(dims) / count).astype(np.float32)


def write_real(case, package, folder):
    """A model that the package holds without input."""
    import onnx

    path = os.path.join(os.path.dirname(package), case.url)
    graph = onnx.load(path).graph
    data = os.path.join(folder, "test_data_set_0")
    os.makedirs(data, exist_ok=True)
    shutil.copy(path, os.path.join(folder, "model.onnx"))
    weights = {tensor.name for tensor in graph.initializer}
    for at, info in enumerate(info for info in graph.input if info.name not in weights):
        with open(os.path.join(data, f"input_{at}.pb"), "wb") as file:
            file.write(message(ramp(info), info).SerializeToString())
    for at in range(len(graph.output)):
        shutil.copy(f"{os.path.splitext(path)[0]}_output_{at}.pb", os.path.join(data, f"output_{at}.pb"))


def cases(out):
    warnings.filterwarnings("ignore")
    import onnx.backend.test
    from onnx.backend.test.loader import load_model_tests

    for case in load_model_tests(kind="node"):
        write_case(case, os.path.join(out, "node", case.name))
    for case in load_model_tests(kind="real"):
        write_real(case, os.path.dirname(onnx.__file__), os.path.join(out, "real", case.name))
    data = os.path.join(os.path.dirname(onnx.backend.test.__file__), "data")
    for kind in HELD:
        shutil.copytree(os.path.join(data, kind), os.path.join(out, kind), dirs_exist_ok=True)


def reason(message):
    """What a message says without the node that it is about."""
    operator = re.search(r"operator (\S+) of opset", message)
    if operator:
        return f"no {operator.group(1)} yet"
    text = re.sub(r"^error\[E\d+\](?: [^ ]*:(?= )|:)", "", message).strip()
    return re.sub(r"^(output \d+): .*$", r"\1 differs", text)[:90]


def known(paths):
    outcomes, reasons = {}, {}
    for path in paths:
        with open(path) as file:
            result = json.load(file)
        for case in result["cases"]:
            outcomes.setdefault(case["name"], set()).add(case["outcome"])
            if case["outcome"] != "pass":
                reasons[case["name"]] = reason(case["message"])
    for name in sorted(reasons):
        print(name, "|".join(sorted(outcomes[name])), reasons[name])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("cases").add_argument("out")
    actions.add_parser("known").add_argument("results", nargs="+")
    options = parser.parse_args()
    cases(options.out) if options.action == "cases" else known(options.results)


if __name__ == "__main__":
    main()
