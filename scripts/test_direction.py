#!/usr/bin/env python3
"""Runs the program `direction` on pictures as files, and compares what it prints with what the artefact gives to Python.

FOLDER has the artefact of ppocr_cls as `artefact`. It gets planes.f32, the pictures as the model takes them, and wanted.txt, what a program
that reads them has to print.
"""

import argparse
import pathlib
import subprocess
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "examples" / "python"))
from artefact import Artefact  # noqa: E402

PICTURES, HEIGHT, WIDTH = 3, 48, 192


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True, type=pathlib.Path)
    parser.add_argument("programs", nargs="*", type=pathlib.Path)
    arguments = parser.parse_args()
    pictures = np.random.default_rng(0).integers(0, 256, (PICTURES, HEIGHT, WIDTH, 3), np.uint8)
    # blue, green, red; at the model's own size nothing is scaled
    planes = np.ascontiguousarray((pictures[..., ::-1].astype(np.float32) / np.float32(127.5) - 1).transpose(0, 3, 1, 2))
    (chances,) = Artefact(arguments.folder / "artefact")(x=planes).values()
    wanted = [f"upright {upright:.6f}, upside down {upside_down:.6f}\n" for upright, upside_down in chances]
    (arguments.folder / "planes.f32").write_bytes(planes.tobytes())
    (arguments.folder / "wanted.txt").write_text("".join(wanted))
    for picture, line in zip(pictures, wanted):
        path = arguments.folder / "picture.ppm"
        path.write_bytes(f"P6\n# noise\n{WIDTH} {HEIGHT}\n255\n".encode() + picture.tobytes())
        for program in arguments.programs:
            for threads in ("1", "3"):
                got = subprocess.run([program, path, threads], check=True, capture_output=True, text=True).stdout
                if got != line:
                    sys.exit(f"{program.name} with {threads} threads prints {got}, not {line}")
    bad(arguments)


def bad(arguments):
    """Files that are no pictures end a program with its usage."""
    path = arguments.folder / "bad.ppm"
    for content in (b"", b"P6", b"P5\n1 1\n255\n0", b"P6\n2 2\n255\n12345678901", b"P6\n99999999999 1\n255\n", b"P6\n1 1\n65535\n123456"):
        path.write_bytes(content)
        for program in arguments.programs:
            code = subprocess.run([program, path], capture_output=True).returncode
            if code != 2:
                sys.exit(f"{program.name} ends with {code} for {content}")


if __name__ == "__main__":
    main()
