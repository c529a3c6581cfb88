#!/usr/bin/env python3
"""Compiles each model several times and compares the artefacts, byte by byte.

What must not matter: the folder that is written, the folder where the command runs, how the model's path is spelled, and whether code comes
from the cache. The number of threads may choose other schedules, but then the manifest's hash of the options tells it.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inkle", required=True, type=pathlib.Path)
    parser.add_argument("models", nargs="+", type=pathlib.Path)
    arguments = parser.parse_args()
    failures = [model for model in arguments.models if not equal(arguments.inkle.resolve(), model.resolve())]
    sys.exit(bool(failures))


def equal(inkle, model):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "elsewhere").mkdir()
        os.symlink(model.parent, folder / "linked")

        def files(name, path, *options, cache="cache", where=folder):
            command = [inkle, "compile", path, "-o", folder / name, "--rust", *options]
            subprocess.run(command, cwd=where, env=os.environ | {"XDG_CACHE_HOME": str(folder / cache)}, check=True, stdout=subprocess.DEVNULL)
            return {file.name: file.read_bytes() for file in sorted((folder / name).iterdir())}

        one = ["--threads", "1"]
        first = files("cold", model, *one)
        others = {
            "a warm cache": files("warm", model, *one),
            "another cold cache": files("other", model, *one, cache="another"),
            "no cache": files("none", model, *one, "--no-cache"),
            "another name of the path": files("dots", folder / "elsewhere" / ".." / "linked" / model.name, *one),
            "another working directory": files("relative", os.path.relpath(model, folder / "elsewhere"), *one, where=folder / "elsewhere"),
        }
        different = {what: differing(first, other) for what, other in others.items() if other != first}
        two = files("two", model, "--threads", "2")
        if options_hash(two) == options_hash(first) and two != first:
            different["two threads"] = differing(first, two)
    for what, names in different.items():
        print(f"{model.stem}: {what} changes {', '.join(names)}")
    code = [name for name in differing(first, two) if not name.endswith(".json")]
    print(f"{model.stem}: {len(first)} files, equal in {len(others) + 1 - len(different)} compiles; two threads change {', '.join(code) or 'no code'}", flush=True)
    return not different


def differing(files, others):
    return [name for name in sorted(files.keys() | others.keys()) if files.get(name) != others.get(name)]


def options_hash(files):
    (manifest,) = [content for name, content in files.items() if name.endswith(".json")]
    return json.loads(manifest)["hashes"]["options"]


if __name__ == "__main__":
    main()
