"""Calls what `inkle compile` makes, by its manifest: ctypes and NumPy, nothing else.

    model = Artefact("build/resnet50")
    outputs = model(data=picture)
"""

import ctypes
import json
import mmap
import pathlib

import numpy as np

ALIGNMENT = 64
DTYPES = {
    "bool": np.bool_, "i8": np.int8, "i16": np.int16, "i32": np.int32, "i64": np.int64, "u8": np.uint8, "u16": np.uint16,
    "u32": np.uint32, "u64": np.uint64, "f16": np.float16, "bf16": np.uint16, "f32": np.float32, "f64": np.float64,
}  # fmt: skip


def aligned(nbytes):
    """An array of bytes that starts where the code wants it."""
    room = np.zeros(nbytes + ALIGNMENT, np.uint8)
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + nbytes]


def sizes_of(manifest, inputs):
    """The values of free sizes; of computed ones the first room."""
    values = {size["name"]: min(1024, size["high"]) for size in manifest["sizes"] if size["computed"]}
    for tensor, array in zip(manifest["inputs"], inputs):
        if len(tensor["dims"]) != array.ndim:
            raise ValueError(f"{tensor['name']} has {array.ndim} dims, not {len(tensor['dims'])}")
        values.update((dim, size) for dim, size in zip(tensor["dims"], array.shape) if not dim.isdigit())
    return np.array([values[size["name"]] for size in manifest["sizes"]], np.int64)


class Artefact:
    """A loaded artefact with a context of its own: one call at a time."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        (manifest,) = folder.glob("*.json")
        self.manifest = json.loads(manifest.read_text())
        self.prefix = self.manifest["prefix"]
        self.library = ctypes.CDLL(str(folder / f"lib{self.prefix}.so"))
        for name, result in [("scratch_bytes", ctypes.c_int64), ("message", ctypes.c_char_p)]:
            self._function(name).restype = result
        self.context = aligned(self.manifest["context_bytes"])
        weights, self.weights = folder / f"{self.prefix}.weights", None
        if weights.exists():
            with weights.open("rb") as file:
                self.weights = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
        bytes_of_weights = 0 if self.weights is None else self.weights.nbytes
        self._call("init", self.context, self.context.nbytes, self.weights, bytes_of_weights, ctypes.c_int32(self.manifest["abi"]))
        self.scratch = aligned(0)

    def _function(self, name):
        return getattr(self.library, f"{self.prefix}_{name}")

    def _call(self, name, *arguments):
        words = [a if isinstance(a, ctypes.c_int32) else ctypes.c_void_p(pointer(a)) if not isinstance(a, int) else ctypes.c_int64(a) for a in arguments]
        result = self._function(name)(*words)
        if result < 0 or (name == "run" and result > 0):
            error = RuntimeError(f"{self.prefix}_{name}: {self._function('message')(ctypes.c_int32(result)).decode()} ({result})")
            error.result = result
            raise error
        return result

    def prepare(self, **inputs):
        """A call with these inputs as a function without arguments, which gives the outputs. The arrays are its own."""
        names = [tensor["name"] for tensor in self.manifest["inputs"]]
        arrays = []
        for name, tensor in zip(names, self.manifest["inputs"]):
            array = np.asarray(inputs[name], DTYPES[tensor["type"]])
            room = aligned(array.nbytes).view(array.dtype).reshape(array.shape)
            room[...] = array
            arrays.append(room)
        sizes = sizes_of(self.manifest, arrays)
        outputs = self.manifest["outputs"]
        room, ends = np.zeros(len(outputs) + 1, np.int64), np.zeros(sum(len(t["dims"]) for t in outputs) + 1, np.int64)
        while True:
            dims = sizes.copy()
            self._call("output_bytes", dims, room)
            needed = self._call("scratch_bytes", dims)
            self.scratch = self.scratch if self.scratch.nbytes >= needed else aligned(needed)
            results = [aligned(int(bytes_of)) for bytes_of in room[: len(outputs)]]
            pointers = [(ctypes.c_void_p * max(len(list_of), 1))(*map(pointer, list_of)) for list_of in (arrays, results)]

            def run():
                dims[:] = sizes
                self._call("run", self.context, pointers[0], pointers[1], dims, self.scratch, self.scratch.nbytes, None, None)
                return named()

            def named():
                self._call("output_dims", dims, ends)
                views, at = {}, 0
                for tensor, result in zip(outputs, results):
                    shape = ends[at : at + len(tensor["dims"])]
                    at += len(tensor["dims"])
                    dtype = np.dtype(DTYPES[tensor["type"]])
                    views[tensor["name"]] = result[: int(np.prod(shape)) * dtype.itemsize].view(dtype).reshape(shape)
                return views

            run.keep = (arrays, results, pointers)
            try:
                run()
                return run
            except RuntimeError as error:
                # a computed size is beyond the room: as much as is needed, and again
                word = -65537 - error.result
                if not (0 <= word < len(sizes) and self.manifest["sizes"][word]["computed"] and dims[word] > sizes[word]):
                    raise
                sizes[word] = dims[word]

    def __call__(self, **inputs):
        return {name: array.copy() for name, array in self.prepare(**inputs)().items()}


def pointer(thing):
    if thing is None:
        return None
    return thing.ctypes.data if isinstance(thing, np.ndarray) else ctypes.addressof(thing)
