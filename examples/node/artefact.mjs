// Calls what `inkle compile --target wasm32` makes, by its manifest: Node or a browser's WebAssembly, nothing else.
//
//     import { load } from "./artefact.mjs";
//     const model = await load("build/resnet50");
//     const { y } = model.run({ x: { dims: [1, 3, 224, 224], data: picture } });        // y is { dims, data }
//
//     const model = await fetched("resnet50", "resnet50");      in a browser: the folder's address, and the start of the files' names

const ALIGNMENT = 64;
const ARRAYS = {
  bool: Uint8Array, i8: Int8Array, i16: Int16Array, i32: Int32Array, i64: BigInt64Array, u8: Uint8Array, u16: Uint16Array,
  u32: Uint32Array, u64: BigUint64Array, f16: Uint16Array, bf16: Uint16Array, f32: Float32Array, f64: Float64Array,
};

// The model at an address.
export async function fetched(address, prefix) {
  const get = async (ending) => {
    const response = await fetch(`${address}/${prefix}.${ending}`);
    if (!response.ok) throw new Error(`${response.url}: ${response.status}`);
    return response;
  };
  const manifest = await (await get("json")).json();
  const files = [get("wasm"), ...(hasFile(manifest) ? [get("weights")] : [])];
  const [module, weights] = await Promise.all(files.map(async (file) => (await file).arrayBuffer()));
  const { instance } = await WebAssembly.instantiate(module);
  return new Artefact(manifest, instance, new Uint8Array(weights ?? 0));
}

// The model in a folder.
export async function load(folder) {
  const [{ readFile, readdir }, { join }] = await Promise.all([import("node:fs/promises"), import("node:path")]);
  const name = (await readdir(folder)).find((file) => file.endsWith(".json"));
  const manifest = JSON.parse(await readFile(join(folder, name), "utf8"));
  const module = await WebAssembly.compile(await readFile(join(folder, `${manifest.prefix}.wasm`)));
  const instance = await WebAssembly.instantiate(module);
  return new Artefact(manifest, instance, hasFile(manifest) ? await readFile(join(folder, `${manifest.prefix}.weights`)) : []);
}

// Whether the weights are a file of their own; else the module has them.
function hasFile(manifest) {
  return manifest.files.includes(`${manifest.prefix}.weights`);
}

// One instance of a model: weights and a context at the start of its memory, behind them what calls need.
export class Artefact {
  constructor(manifest, instance, weights) {
    this.manifest = manifest;
    this.exports = instance.exports;
    this.end = this.exports.__heap_base.value;
    const place = weights.length === 0 ? 0 : this.take(weights.length);
    new Uint8Array(this.exports.memory.buffer, place, weights.length).set(weights);
    this.context = this.take(manifest.context_bytes);
    this.call("init", this.context, BigInt(manifest.context_bytes), place, BigInt(weights.length), manifest.abi);
  }

  // The address of so many bytes, which stay taken.
  take(bytes) {
    const start = Math.ceil(this.end / ALIGNMENT) * ALIGNMENT;
    this.end = start + bytes;
    const missing = this.end - this.exports.memory.buffer.byteLength;
    if (missing > 0) this.exports.memory.grow(Math.ceil(missing / 65536));
    return start;
  }

  call(name, ...words) {
    const result = this.exports[`${this.manifest.prefix}_${name}`](...words);
    if (result < 0 || (name === "run" && result > 0)) throw new Error(`${name}: ${this.message(Number(result))} (${result})`);
    return result;
  }

  message(result) {
    const bytes = new Uint8Array(this.exports.memory.buffer, this.exports[`${this.manifest.prefix}_message`](result));
    return new TextDecoder().decode(bytes.slice(0, bytes.indexOf(0)));
  }

  // The values of free sizes, by the inputs' own; of computed ones the first room.
  sizes(inputs) {
    const known = new Map();
    for (const { name, dims } of this.manifest.inputs) dims.forEach((dim, at) => known.set(dim, inputs[name].dims[at]));
    return this.manifest.sizes.map(({ name, high, computed }) => BigInt(computed ? Math.min(1024, high) : known.get(name)));
  }

  // A call. Inputs and outputs are { dims, data } by name, with the array of the element type (of 64-bit integers one of BigInt).
  run(inputs) {
    const start = this.end; // all that is taken from here on is given back
    try {
      const words = (values) => this.place(BigInt64Array.from(values));
      const pointers = (places) => this.place(Uint32Array.from(places));
      const dims = words(this.sizes(inputs));
      const given = this.manifest.inputs.map(({ name, type }) => this.place(ARRAYS[type].from(inputs[name].data)));
      const { outputs } = this.manifest;
      const room = words(outputs.map(() => 0n));
      this.call("output_bytes", dims, room);
      const results = [...this.array(BigInt64Array, room, outputs.length)].map((bytes) => this.take(Number(bytes)));
      const bytes = this.call("scratch_bytes", dims);
      const scratch = this.take(Number(bytes));
      this.call("run", this.context, pointers(given), pointers(results), dims, scratch, bytes, 0, 0);
      return this.named(dims, results);
    } finally {
      this.end = start;
    }
  }

  // The address of a copy.
  place(array) {
    const address = this.take(array.byteLength);
    this.array(array.constructor, address, array.length).set(array);
    return address;
  }

  // Elements in memory. The view does not outlast the next `take`, which may move the memory.
  array(type, address, length) {
    return new type(this.exports.memory.buffer, address, length);
  }

  named(dims, results) {
    const { outputs } = this.manifest;
    const count = outputs.reduce((sum, { dims }) => sum + dims.length, 0);
    const ends = this.take(8 * count);
    this.call("output_dims", dims, ends);
    const all = [...this.array(BigInt64Array, ends, count)].map(Number);
    const result = ({ name, type, dims }, at) => {
      const own = all.splice(0, dims.length);
      const length = own.reduce((product, dim) => product * dim, 1);
      return [name, { dims: own, data: this.array(ARRAYS[type], results[at], length).slice() }];
    };
    return Object.fromEntries(outputs.map(result));
  }
}
