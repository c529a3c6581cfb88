#!/usr/bin/env python3
"""The peers of `inkle bench --against`: other frameworks, each with one model in a process of its own.

    python3 peers.py install FOLDER PEER ..      a virtual environment in FOLDER that has what these peers need, the pinned versions,
                                                 as far as they can be installed
    python peers.py serve PEER MODEL.onnx ..     loads the model, then obeys requests

A process that serves speaks JSON, one document a line. When the model is loaded it writes {"version", "load_s", "vector_bits"}: the time
without that of importing Python modules, and the width that its vectors are held to, null where they are as wide as the processor has
them. Then it answers requests until standard input ends:

    {"run": S}         -> {"seconds": [..]}          the time of each call for S seconds, by turns with the two sets of inputs
    {"compare": null}  -> {"worst": Q, "output": N}  the largest quotient of error and bound (see `quotient`) of our outputs; null: infinite
    {"memory": null}   -> {"peak_rss_mib": M}        the most memory that the process has held so far

{"error": TEXT} comes in place of any of these. --folder has set K, 1 or 2, as inputs.K.npz, and what we make of it as outputs.K.npz.
"""
import argparse
import contextlib
import glob
import importlib.metadata
import itertools
import json
import math
import os
import subprocess
import sys
import time
import warnings

# what each peer needs besides numpy
PACKAGES = {
    "onnxruntime": ["onnxruntime==1.31.1"],
    "openvino": ["openvino==2026.4.1"],
    "torch": ["torch==2.15.0", "onnx2torch==1.5.15"],
    "tract": ["tract==0.23.9"],
}
NUMPY = "numpy==2.4.6"

RELATIVE_TO_DEVIATION, RELATIVE_TO_MAXIMUM = 1e-3, 1e-5
LEAST_RUNS = 4


class Failure(Exception):
    """What is wrong, in one line."""


# comparing outputs


def slices(array):
    """The parts of an output that are judged each by its own deviation and maximum."""
    import numpy as np

    return np.moveaxis(array, 1, 0) if array.ndim >= 3 else array[np.newaxis]


def slice_quotient(got, want):
    """Error over bound of one slice of floats; infinite where no error is allowed or numbers stand against infinities or NaNs."""
    import numpy as np

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
    """The largest quotient of error and bound of one output: of max |got - want| and 1e-3 std(want) + 1e-5 max |want| on each slice of
    axis 1, or on all of it below rank 3. Other types than floats must be equal."""
    import numpy as np

    if got.dtype != want.dtype or got.shape != want.shape:
        raise Failure(f"is {got.dtype}{list(got.shape)} but should be {want.dtype}{list(want.shape)}")
    if want.dtype.kind != "f":
        return 0.0 if np.array_equal(got, want) else math.inf
    return max(map(slice_quotient, slices(got), slices(want)), default=0.0)


def worst(got, want):
    """(the output, its quotient) of all outputs by name."""
    if set(got) != set(want):
        raise Failure(f"outputs are {sorted(got)} but should be {sorted(want)}")
    quotients = {}
    for name in want:
        try:
            quotients[name] = quotient(got[name], want[name])
        except Failure as failure:
            raise Failure(f"{name}: {failure}") from failure
    return max(quotients.items(), key=lambda item: item[1])


def load(path):
    import numpy as np

    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays.files}


def hold_to(vector_bits):
    """Before a framework is imported: oneDNN and torch use AVX2 at most, where wider vectors are not wanted. Gives the width that they are
    held to."""
    if vector_bits != 256:
        return None
    os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
    os.environ["ATEN_CPU_CAPABILITY"] = "avx2"
    return vector_bits


# the peers: `prepared` makes a set of inputs ready, `bind` chooses one for the calls to come, `call` is what is timed


class Onnxruntime:
    """All optimisations; threads within an operator, operators in sequence."""

    vector_bits = None

    def __init__(self, options, arrays):
        import onnxruntime

        self.module, self.version = onnxruntime, onnxruntime.__version__
        self.options = onnxruntime.SessionOptions()
        self.options.intra_op_num_threads = options.threads
        self.options.inter_op_num_threads = 1
        self.options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        self.options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.options.log_severity_level = 3
        self.dims, self.arrays = dict(options.dim), arrays if options.bound else {}

    def load(self, model):
        if self.arrays:
            for known in self.module.InferenceSession(model, providers=["CPUExecutionProvider"]).get_inputs():
                sizes = self.arrays[known.name].shape if known.name in self.arrays else ()
                self.dims.update((dim, size) for dim, size in zip(known.shape, sizes) if isinstance(dim, str))
        for name, size in self.dims.items():
            self.options.add_free_dimension_override_by_name(name, size)
        self.session = self.module.InferenceSession(model, self.options, providers=["CPUExecutionProvider"])

    def prepared(self, arrays):
        """Inputs and outputs in memory of their own."""
        names = [output.name for output in self.session.get_outputs()]
        binding, value = self.session.io_binding(), self.module.OrtValue.ortvalue_from_numpy
        for name, array in arrays.items():
            binding.bind_ortvalue_input(name, value(array))
        for name, array in zip(names, self.session.run(names, arrays)):
            binding.bind_ortvalue_output(name, value(array))
        return binding

    def bind(self, binding):
        self.binding = binding

    def call(self):
        self.session.run_with_iobinding(self.binding)

    def outputs(self, _):
        return dict(zip([output.name for output in self.session.get_outputs()], self.binding.copy_outputs_to_cpu()))


class Openvino:
    """The latency hint, and f32 unless it may choose."""

    def __init__(self, options, arrays):
        self.vector_bits = hold_to(options.vector_bits)
        import openvino

        self.module, self.version = openvino, openvino.__version__.split("-")[0]
        self.settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": options.threads}
        if options.precision == "f32":
            self.settings["INFERENCE_PRECISION_HINT"] = "f32"
        self.shapes = {name: list(array.shape) for name, array in arrays.items()} if options.bound else {}

    def load(self, model):
        core = self.module.Core()
        network = core.read_model(model)
        if self.shapes:
            network.reshape(self.shapes)
        self.request = core.compile_model(network, "CPU", self.settings).create_infer_request()

    def prepared(self, arrays):
        return {name: self.module.Tensor(array, shared_memory=True) for name, array in arrays.items()}

    def bind(self, tensors):
        for name, tensor in tensors.items():
            self.request.set_tensor(name, tensor)

    def call(self):
        self.request.infer(share_outputs=True)

    def outputs(self, names):
        """A tensor may have several names."""
        known = lambda port: next((name for name in names if name in port.get_names()), port.any_name)
        return {known(port): self.request.get_tensor(port).data.copy() for port in self.request.model_outputs}


def plainer(onnx, network):
    """The same model for onnx2torch: of opset 17 at most where it can be converted, weights that are no nodes, plain reshapes."""

    def lift_constants(graph):
        for node in [node for node in graph.node if node.op_type == "Constant" and node.attribute[0].name == "value"]:
            tensor = graph.initializer.add()
            tensor.CopyFrom(node.attribute[0].t)
            tensor.name = node.output[0]
            graph.node.remove(node)

    lift_constants(network.graph)
    if any(each.domain in ("", "ai.onnx") and each.version > 17 for each in network.opset_import):
        with contextlib.suppress(RuntimeError):
            network = onnx.version_converter.convert_version(network, 17)
            lift_constants(network.graph)
    sizes = {each.name: onnx.numpy_helper.to_array(each) for each in network.graph.initializer if each.data_type == onnx.TensorProto.INT64}
    for node in network.graph.node:
        # where no size is 0, it does not matter what 0 means
        if node.op_type == "Reshape" and node.input[1] in sizes and (sizes[node.input[1]] != 0).all():
            kept = [each for each in node.attribute if each.name != "allowzero"]
            del node.attribute[:]
            node.attribute.extend(kept)
    return network


class Torch:
    """What onnx2torch makes of the model, traced and frozen: torch.compile does not take its reshapes. Sizes are those of the inputs."""

    def __init__(self, options, arrays):
        self.vector_bits = hold_to(options.vector_bits)
        import onnx
        import onnx.version_converter
        import onnx2torch
        import torch

        torch.set_num_threads(options.threads)
        self.torch, self.onnx, self.convert, self.version = torch, onnx, onnx2torch.convert, torch.__version__.split("+")[0]
        self.arrays = arrays

    def load(self, model):
        network = plainer(self.onnx, self.onnx.load(model))
        weights = {weight.name for weight in network.graph.initializer}
        self.names = [known.name for known in network.graph.input if known.name not in weights]
        self.result_names = [known.name for known in network.graph.output]
        with self.torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = self.torch.jit.trace(self.convert(network).eval(), self.prepared(self.arrays), check_trace=False)
            self.module = self.torch.jit.freeze(traced)

    def prepared(self, arrays):
        return [self.torch.from_numpy(arrays[name]) for name in self.names]

    def bind(self, tensors):
        self.tensors = tensors

    def call(self):
        with self.torch.no_grad():
            self.results = self.module(*self.tensors)

    def outputs(self, _):
        results = [self.results] if self.torch.is_tensor(self.results) else self.results
        return {name: result.numpy() for name, result in zip(self.result_names, results)}


class Tract:
    """Its Python package has one thread. Sizes are those of the inputs: not every model has names for those that are free. Outputs are
    known by their places, since their names are those of nodes."""

    vector_bits = None

    def __init__(self, options, arrays):
        import tract

        if options.threads != 1:
            raise Failure(f"tract's Python package has no setting for threads and runs on one, not on {options.threads}")
        self.module, self.version, self.arrays = tract, tract.version(), arrays

    def load(self, model):
        network = self.module.onnx().load(model)
        self.names = [network.input_name(at) for at in range(network.input_count())]
        for at, name in enumerate(self.names):
            array = self.arrays[name]
            kind = "bool" if array.dtype.kind == "b" else f"{array.dtype.kind}{8 * array.itemsize}"
            network.set_input_fact(at, ",".join([*map(str, array.shape), kind]))
        self.state = network.into_model().into_runnable().spawn_state()

    def prepared(self, arrays):
        return [self.module.Tensor.from_numpy(arrays[name]) for name in self.names]

    def bind(self, tensors):
        self.tensors = tensors

    def call(self):
        self.results = self.state.run(self.tensors)

    def outputs(self, names):
        return dict(zip(names, [result.to_numpy() for result in self.results]))


PEERS = {"onnxruntime": Onnxruntime, "openvino": Openvino, "torch": Torch, "tract": Tract}


class Server:
    def __init__(self, options):
        paths = [os.path.join(options.folder, f"inputs.{k}.npz") for k in (1, 2)]
        arrays = [load(path) for path in paths]
        self.folder = options.folder
        self.peer = PEERS[options.peer](options, arrays[0])
        start = time.perf_counter()
        self.peer.load(options.model)
        self.load_s = time.perf_counter() - start
        self.sets = [self.peer.prepared(each) for each in arrays]

    def ready(self):
        return {"version": self.peer.version, "load_s": self.load_s, "vector_bits": self.peer.vector_bits}

    def run(self, seconds):
        """Calls that follow each other, after one of each set that warms up."""
        times, start = [], None
        for at in itertools.count(-len(self.sets)):
            self.peer.bind(self.sets[at % len(self.sets)])
            begin = time.perf_counter()
            self.peer.call()
            end = time.perf_counter()
            if at >= 0:
                start = begin if start is None else start
                times.append(end - begin)
                if len(times) >= LEAST_RUNS and end - start >= seconds:
                    return {"seconds": times}

    def compare(self, _):
        found = []
        for k, each in enumerate(self.sets, 1):
            got = load(os.path.join(self.folder, f"outputs.{k}.npz"))
            self.peer.bind(each)
            self.peer.call()
            found.append(worst(got, self.peer.outputs(list(got))))
        output, most = max(found, key=lambda item: item[1])
        return {"worst": most if math.isfinite(most) else None, "output": output}

    def memory(self, _):
        # getrusage would tell what the parent held when it forked
        with open("/proc/self/status") as file:
            line = next(line for line in file if line.startswith("VmHWM:"))
        return {"peak_rss_mib": int(line.split()[1]) / 1024}


def serve(options):
    """Answers requests; what frameworks print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(work):
        try:
            document = work()
        except ModuleNotFoundError as error:
            document = {"error": f"not installed: {error}"}
        except Exception as error:  # frameworks have no class of exceptions in common
            document = {"error": (str(error).strip() or type(error).__name__).splitlines()[0]}
        print(json.dumps(document), file=answers, flush=True)
        return "error" not in document

    def start():
        nonlocal server
        server = Server(options)
        return server.ready()

    server = None
    if not answer(start):
        return
    for line in sys.stdin:
        (request, value), = json.loads(line).items()
        answer(lambda: getattr(server, request)(value))


def installed(folder):
    """NAME==VERSION of what the environment has for this version of Python."""
    version = "python%d.%d" % sys.version_info[:2]
    paths = glob.glob(os.path.join(folder, "lib", version, "site-packages"))
    return {f"{each.name}=={each.version}" for each in importlib.metadata.distributions(path=paths)}


def install(folder, peers):
    """Each peer by itself: one that can't be installed says so when it is asked to load a model, and keeps nobody from it."""
    if not installed(folder):
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True, stdout=2)
    for peer in peers:
        needed = [NUMPY] + PACKAGES[peer]
        if set(needed) <= installed(folder):
            continue
        print(f"installing {', '.join(needed)} into {folder}", file=sys.stderr, flush=True)
        pip = [os.path.join(folder, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check"]
        if subprocess.run(pip + needed, stdout=2).returncode != 0:
            print(f"{peer} is not installed", file=sys.stderr, flush=True)


def parsed_dim(text):
    name, size = text.rsplit("=", 1)
    return name, int(size)


def parsed_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("install")
    command.add_argument("folder")
    command.add_argument("peers", nargs="+", choices=PEERS)
    command = commands.add_parser("serve")
    command.add_argument("peer", choices=PEERS)
    command.add_argument("model")
    command.add_argument("--folder", required=True, help="with the inputs and our outputs")
    command.add_argument("--threads", type=int, required=True)
    command.add_argument("--vector-bits", type=int, default=512, help="256: no wider vectors, where the peer can be told")
    command.add_argument("--precision", choices=["f32", "default"], default="f32")
    command.add_argument("--dim", type=parsed_dim, action="append", default=[], metavar="NAME=SIZE")
    command.add_argument("--bound", action="store_true", help="all sizes are those of the inputs")
    return parser.parse_args()


def main():
    options = parsed_options()
    if options.command == "install":
        install(options.folder, options.peers)
    else:
        serve(options)


if __name__ == "__main__":
    main()
