// Calls a model of WebAssembly with the inputs of a file, and writes its outputs to another: what run.c does for other machines.
//
//     node run.mjs FOLDER INPUTS OUTPUTS DIMS..      the dims of each input as 1x3x48x192

import { readFileSync, writeFileSync } from "node:fs";
import { load } from "../../examples/node/artefact.mjs";

const SIZES = { bool: 1, i8: 1, i16: 2, i32: 4, i64: 8, u8: 1, u16: 2, u32: 4, u64: 8, f16: 2, bf16: 2, f32: 4, f64: 8 };
const ARRAYS = { i64: BigInt64Array, u64: BigUint64Array, f32: Float32Array, f64: Float64Array, i32: Int32Array, u8: Uint8Array, bool: Uint8Array };

const [folder, from, to, ...shapes] = process.argv.slice(2);
const model = await load(folder);
const bytes = readFileSync(from);
let at = 0;
const inputs = model.manifest.inputs.map(({ name, type }, index) => {
  const dims = shapes[index].split("x").filter(Boolean).map(Number);
  const length = dims.reduce((product, dim) => product * dim, 1) * SIZES[type];
  const own = bytes.buffer.slice(bytes.byteOffset + at, bytes.byteOffset + at + length);
  at += length;
  return [name, { dims, data: new ARRAYS[type](own) }];
});
const outputs = model.run(Object.fromEntries(inputs));
const ordered = model.manifest.outputs.map(({ name }) => outputs[name]);
const dims = BigInt64Array.from(ordered.flatMap((output) => output.dims.map(BigInt)));
const parts = [dims, ...ordered.map((output) => output.data)];
writeFileSync(to, Buffer.concat(parts.map((part) => Buffer.from(part.buffer, part.byteOffset, part.byteLength))));
