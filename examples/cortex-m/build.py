#!/usr/bin/env python3
"""Makes a program of a compiled model for a Cortex-M without a system.

    inkle compile model.onnx -o FOLDER --target cortex-m7 --shape x=1,3,48,192
    build.py FOLDER [--compiler arm-none-eabi-gcc]
    qemu-system-arm -M mps2-an500 -nographic -semihosting-config enable=on,target=native -kernel FOLDER/program.elf

FOLDER has the raw bytes of each input as inputs0.bin, inputs1.bin and so on, and of each output (f32) as it should be as wanted0.bin ..
"""

import argparse
import json
import pathlib
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
FLAGS = ["-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-d16", "-O2", "-ffreestanding", "-fno-tree-loop-distribute-patterns", "-nostdlib"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--compiler", default="arm-none-eabi-gcc")
    arguments = parser.parse_args()
    folder = arguments.folder
    (manifest,) = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    if manifest["sizes"]:
        raise SystemExit("memory is the program's own: bind all sizes by --shape or --dim")
    (folder / "sizes.h").write_text(sizes(manifest))
    (folder / "bytes.s").write_text(bytes_of(folder, manifest))
    sources = [HERE / "startup.c", HERE / "main.c", folder / "bytes.s", folder / f"{manifest['prefix']}.o"]
    command = [arguments.compiler, *FLAGS, f"-I{folder}", "-T", HERE / "memory.ld", *sources, "-lgcc", "-o", folder / "program.elf"]
    subprocess.run(command, check=True)


def sizes(manifest):
    """What the program knows of its model."""
    prefix = manifest["prefix"]
    lines = [
        f'#define HEADER "{prefix}.h"',
        f"#define MODEL(name) {prefix}_##name",
        f"#define CONSTANT(name) {prefix.upper()}_##name",
        f"#define OUTPUT_BYTES {sum(rounded(output) for output in manifest['outputs'])}",
    ]
    for what, count in (("inputs", len(manifest["inputs"])), ("wanted", len(manifest["outputs"]))):
        lines.append(f"extern const char {', '.join(f'{what}{at}[]' for at in range(count))};")
        lines.append(f"static const void *const {what}[] = {{{', '.join(f'{what}{at}' for at in range(count))}}};")
    return "\n".join(lines) + "\n"


def rounded(tensor):
    count = 1
    for dim in tensor["dims"]:
        count *= int(dim)
    return (4 * count + 63) // 64 * 64


def bytes_of(folder, manifest):
    """Files as data, each at a multiple of 64 bytes."""
    lines = ['.section .rodata, "a"']
    for what, tensors in (("inputs", manifest["inputs"]), ("wanted", manifest["outputs"])):
        for at in range(len(tensors)):
            name = f"{what}{at}"
            lines += [".balign 64", f".global {name}", f"{name}:", f'.incbin "{folder / name}.bin"']
    return "\n".join([*lines, '.section .note.GNU-stack, ""']) + "\n"


if __name__ == "__main__":
    main()
