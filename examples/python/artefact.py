"""Calls what `inkle compile` makes, by its manifest: ctypes and NumPy, nothing else.

    inkle compile ppocr_cls.onnx -o build/cls

    from artefact import Artefact

    model = Artefact("build/cls")
    print([(tensor["name"], tensor["type"], tensor["dims"]) for tensor in model.manifest["inputs"]])
    outputs = model(x=pictures)                 # an array for each input; gives a dict of arrays
    run = model.prepare(x=pictures)             # or: inputs are copied and memory is made once,
    while True:                                 # and each call is nothing but a call
        outputs = run()                         # of arrays that stand until the next one

Inputs must be arrays of the manifest's types (bool is np.bool_, f16 np.float16, bf16 its bits as np.uint16); else TypeError. ValueError
says which dims do not fit. What the model's own code refuses is a CodeError with the number that the header explains. A model's object
serves one thread at a time; threads have one each.
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


class CodeError(RuntimeError):
    """A call that gave no result: `result` is one of the header's."""

    def __init__(self, function, text, result):
        super().__init__(f"{function}: {text} ({result})")
        self.result = result


def sizes_of(manifest, inputs):
    """The values of free sizes; of computed ones the first room."""
    values = {size["name"]: min(1024, size["high"]) for size in manifest["sizes"] if size["computed"]}
    for tensor, array in zip(manifest["inputs"], inputs):
        if len(tensor["dims"]) != array.ndim:
            raise ValueError(f"{tensor['name']} has {array.ndim} dims, not {len(tensor['dims'])}")
        for dim, size in zip(tensor["dims"], array.shape):
            values.setdefault(dim, size)
    unknown = [size["name"] for size in manifest["sizes"] if size["name"] not in values]
    if unknown:
        raise ValueError(f"no input's dims tell {', '.join(unknown)}")
    return np.array([values[size["name"]] for size in manifest["sizes"]], np.int64)


class Artefact:
    """A loaded artefact with a context of its own: one call at a time."""

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        (manifest,) = folder.glob("*.json")
        self.manifest = json.loads(manifest.read_text())
        self.prefix = self.manifest["prefix"]
        self.loaded = ctypes.CDLL(str(folder / f"lib{self.prefix}.so"))
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
        return getattr(self.loaded, f"{self.prefix}_{name}")

    def _call(self, name, *arguments):
        words = [a if isinstance(a, ctypes.c_int32) else ctypes.c_void_p(pointer(a)) if not isinstance(a, int) else ctypes.c_int64(a) for a in arguments]
        result = self._function(name)(*words)
        if result < 0 or (name == "run" and result > 0):
            raise CodeError(f"{self.prefix}_{name}", self.message(result), result)
        return result

    def message(self, result):
        return self._function("message")(ctypes.c_int32(result)).decode()

    def sizes(self, inputs):
        """The values of free sizes; ValueError where the inputs are not as the code takes them at these."""
        sizes, wanted = sizes_of(self.manifest, inputs), np.zeros(sum(array.ndim for array in inputs) + 1, np.int64)
        self._call("input_dims", sizes, wanted)
        ends = np.cumsum([array.ndim for array in inputs])
        for tensor, array, end in zip(self.manifest["inputs"], inputs, ends):
            dims = tuple(map(int, wanted[end - array.ndim : end]))
            if dims != array.shape:
                raise ValueError(f"{tensor['name']} has dims {array.shape}, not {dims}")
        return sizes

    def arrays(self, inputs):
        """The inputs in the manifest's order, each in memory that starts where the code wants it."""
        names = [tensor["name"] for tensor in self.manifest["inputs"]]
        if set(inputs) != set(names):
            raise TypeError(f"inputs are {', '.join(sorted(inputs)) or 'none'}, not {', '.join(names) or 'none'}")
        arrays = []
        for tensor in self.manifest["inputs"]:
            array = np.asarray(inputs[tensor["name"]])
            if array.dtype != DTYPES[tensor["type"]]:
                raise TypeError(f"{tensor['name']} has elements of {array.dtype}, not {tensor['type']}")
            room = aligned(array.nbytes).view(array.dtype).reshape(array.shape)
            room[...] = array
            arrays.append(room)
        return arrays

    def prepare(self, **inputs):
        """A call with these inputs as a function without arguments, which gives the outputs. The arrays are its own."""
        arrays = self.arrays(inputs)
        sizes = self.sizes(arrays)
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
            except CodeError as error:
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
