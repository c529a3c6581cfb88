// From a picture to the text in it: what stands around a recogniser of lines (PP-OCRv4).

const HEIGHT = 48;
const STRIDE = 8; // columns that make one step of the output

// What each class stands for: the blank, the characters that the model carries, the space.
export const characters = (manifest) => ["", ...manifest.metadata.character.split("\n"), " "];

// The picture as the model takes it: f32[1, 3, 48, width], from -1 to 1, blue first.
export function line(picture) {
  const wide = Math.ceil((picture.naturalWidth * HEIGHT) / Math.max(picture.naturalHeight, 1));
  const width = Math.ceil(wide / STRIDE) * STRIDE;
  const canvas = Object.assign(document.createElement("canvas"), { width, height: HEIGHT });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, width, HEIGHT);
  return values(context.getImageData(0, 0, width, HEIGHT).data, width);
}

// Pixels of four bytes to planes of numbers.
export function values(pixels, width) {
  const plane = width * HEIGHT;
  const data = new Float32Array(3 * plane);
  for (let at = 0; at < plane; at++) {
    for (let channel = 0; channel < 3; channel++) data[channel * plane + at] = pixels[4 * at + 2 - channel] / 127.5 - 1;
  }
  return { dims: [1, 3, HEIGHT, width], data };
}

// The likeliest class of each step, without repetitions and blanks.
export function read(model, input, known) {
  const [output] = Object.values(model.run({ [model.manifest.inputs[0].name]: input }));
  const classes = output.dims.at(-1);
  let text = "", last = -1;
  for (let step = 0; step < output.data.length; step += classes) {
    let best = 0;
    for (let at = 1; at < classes; at++) if (output.data[step + at] > output.data[step + best]) best = at;
    if (best !== last) text += known[best];
    last = best;
  }
  return text.trim();
}
