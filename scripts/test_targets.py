#!/usr/bin/env python3
"""Compile models for other machines, run them there, and compare the outputs with onnxruntime's.

    python3 scripts/test_targets.py --zoo DIR [--inkle PATH] [--targets aarch64,wasm32] [--only-installed] [NAME ...]

The machines are emulators: qemu for AArch64, RISC-V and Cortex-M (mps2-an500), Node for WebAssembly, with weights beside the module and
inside of it; scripts/setup.sh --targets installs them. Models are DIR/NAME.onnx with inputs DIR/io/NAME.npz, as for scripts/test_models.py, whose bound outputs are judged by. On Cortex-M all
sizes are bound to those of the inputs, and what must not be off is decided by the program itself (examples/cortex-m).
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "examples" / "python")]

from artefact import DTYPES, sizes_of  # noqa: E402
from peers import Failure, load, worst  # noqa: E402
from test_models import by_onnxruntime, exact_model, session  # noqa: E402

LONGEST = 1800


class Linux:
    """Programs of a C compiler, under qemu's emulation of a process."""

    def __init__(self, compiler, emulator):
        self.compiler, self.emulator = compiler, emulator
        self.tools = [compiler, emulator[0]]

    def options(self, _):
        return []

    def outputs(self, folder, manifest, arrays, _):
        prefix, dims = manifest["prefix"], sizes_of(manifest, arrays)
        count = sum(len(tensor["dims"]) for tensor in manifest["outputs"])
        names = [f'-DHEADER="{prefix}.h"', f"-DPREFIX={prefix}", f"-DCAPITALS={prefix.upper()}", f"-DOUTPUT_DIMS={count}"]
        program = [self.compiler, "-O1", "-static", *names, f"-I{folder}", HERE / "targets" / "run.c", folder / f"{prefix}.o"]
        ran([*program, "-o", folder / "run"])
        sizes = [str(array.nbytes) for array in arrays] + [str(dim) for dim in dims]
        return told(folder, manifest, arrays, [*self.emulator, folder / "run", folder / "inputs.bin", folder / "outputs.bin", *sizes])


class Wasm:
    """Modules in Node."""

    tools = ["node", "wasm-ld-19"]

    def __init__(self, *weights):
        self.weights = list(weights)

    def options(self, _):
        return self.weights

    def outputs(self, folder, manifest, arrays, _):
        shapes = ["x".join(map(str, array.shape)) for array in arrays]
        return told(folder, manifest, arrays, ["node", HERE / "targets" / "run.mjs", folder, folder / "inputs.bin", folder / "outputs.bin", *shapes])


class CortexM:
    """A program that is all there is on its machine; it has inputs and wanted outputs in it, and compares by itself."""

    tools = ["arm-none-eabi-gcc", "qemu-system-arm"]

    def options(self, arrays):
        return [word for name, array in arrays.items() for word in ("--shape", f"{name}={','.join(map(str, array.shape))}")]

    def outputs(self, folder, manifest, arrays, wanted):
        example = HERE.parent / "examples" / "cortex-m"
        wanted = [np.require(wanted[tensor["name"]], requirements="C") for tensor in manifest["outputs"]]
        if any(array.dtype != np.float32 for array in wanted):
            raise Failure("the program compares f32 alone")
        for what, own in (("inputs", arrays), ("wanted", wanted)):
            for at, array in enumerate(own):
                (folder / f"{what}{at}.bin").write_bytes(array.tobytes())
        ran([sys.executable, example / "build.py", folder, "--compiler", self.tools[0]])
        machine = ["-M", "mps2-an500", "-display", "none", "-monitor", "none", "-serial", "none", "-chardev", "stdio,id=said"]
        machine += ["-semihosting-config", "enable=on,target=native,chardev=said"]
        said = ran(["qemu-system-arm", *machine, "-kernel", folder / "program.elf"])
        return float(said.split("quotient")[1].split()[0])


MACHINES = {
    "aarch64": Linux("aarch64-linux-gnu-gcc", ["qemu-aarch64"]),
    "aarch64-sve256": Linux("aarch64-linux-gnu-gcc", ["qemu-aarch64", "-cpu", "max,sve256=on"]),
    "riscv64": Linux("riscv64-linux-gnu-gcc", ["qemu-riscv64", "-cpu", "rv64,v=true,vext_spec=v1.0,vlen=128,elen=64"]),
    "wasm32": Wasm(),
    "wasm32-inside": Wasm("--weights-in", "inside"),
    "cortex-m7": CortexM(),
}


def ran(command):
    """Standard output of a command; its last words where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST)
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip().splitlines() or ["no word"]
        raise Failure(f"{pathlib.Path(command[0]).name} gave {done.returncode}: {said[-1]}")
    return done.stdout


def told(folder, manifest, arrays, command):
    """The outputs, by name, of a program that reads its inputs from a file and writes outputs to another."""
    (folder / "inputs.bin").write_bytes(b"".join(array.tobytes() for array in arrays))
    ran(command)
    data = (folder / "outputs.bin").read_bytes()
    outputs = manifest["outputs"]
    count = sum(len(tensor["dims"]) for tensor in outputs)
    dims, at, result = list(np.frombuffer(data, np.int64, count)), 8 * count, {}
    for tensor in outputs:
        shape, dims = dims[: len(tensor["dims"])], dims[len(tensor["dims"]) :]
        dtype = np.dtype(DTYPES[tensor["type"]])
        result[tensor["name"]] = np.frombuffer(data, dtype, int(np.prod(shape, dtype=np.int64)), at).reshape(shape)
        at += result[tensor["name"]].nbytes
    return result


def test(options, name, target, given, wanted):
    """Prints a row; true if all outputs are right."""
    machine, start = MACHINES[target], time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            command = [options.inkle, "compile", options.zoo / f"{name}.onnx", "-o", folder, "--target", target.removesuffix("-inside"), "--json"]
            ran(command + machine.options(given))
            compiled = time.monotonic() - start
            (manifest,) = [json.loads(path.read_text()) for path in folder.glob("*.json")]
            (code,) = [path.stat().st_size for path in folder.glob("*.o")]
            code -= 0 if list(folder.glob("*.weights")) else manifest["weights_bytes"]
            arrays = [np.require(given[tensor["name"]], requirements="C") for tensor in manifest["inputs"]]
            start = time.monotonic()
            outputs = machine.outputs(folder, manifest, arrays, wanted)
            most = outputs if isinstance(outputs, float) else worst(outputs, wanted)[1]
    except (Failure, subprocess.TimeoutExpired) as failure:
        print(f"{name:20} {target:10} FAIL  {failure}", flush=True)
        return False
    took = time.monotonic() - start
    verdict = "ok  " if most <= 1 else "FAIL"
    print(f"{name:20} {target:10} {verdict}  {most:9.3g}  compiled in {compiled:5.2f} s, code {code / 1024:6.0f} KiB, run in {took:6.1f} s", flush=True)
    return most <= 1


def parsed_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inkle", default="target/release/inkle", help="the binary (default: %(default)s)")
    parser.add_argument("--zoo", required=True, type=pathlib.Path, help="a folder of models, with inputs in DIR/io")
    parser.add_argument("--targets", default=",".join(MACHINES), help="(default: %(default)s)")
    parser.add_argument("--only-installed", action="store_true", help="leave out targets whose tools are not there")
    parser.add_argument("names", nargs="*", metavar="NAME", help="models of the folder; by default all")
    options = parser.parse_args()
    options.targets = options.targets.split(",")
    options.names = options.names or sorted(path.stem for path in options.zoo.glob("*.onnx"))
    for target in options.targets:
        if target not in MACHINES:
            parser.error(f"no target {target}")
        missing = [tool for tool in [*MACHINES[target].tools, "ld.lld-19"] if not shutil.which(tool)]
        if missing and not options.only_installed:
            parser.error(f"{target} needs {', '.join(missing)}; scripts/setup.sh --targets installs them")
        if missing:
            print(f"{target} is left out: it needs {', '.join(missing)}")
            options.targets = [other for other in options.targets if other != target]
    return options


def main():
    options = parsed_options()
    right = []
    for name in options.names:
        given = load(options.zoo / "io" / f"{name}.npz")
        reference = session(exact_model(str(options.zoo / f"{name}.onnx")), 2)
        outputs = [output.name for output in reference.get_outputs()]
        wanted = dict(zip(outputs, by_onnxruntime(reference.run, outputs, given)))
        right += [test(options, name, target, given, wanted) for target in options.targets]
    print(f"{sum(right)} of {len(right)} are right")
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
