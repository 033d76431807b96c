// The picture of a photo that the browser can't draw, such as a TIFF or a HEIC: put together from the service's canvases.

import * as api from "./api.js";
import { byId, el, picture } from "./dom.js";
import { LONGER } from "./photo.js";

const MOST = 6; // crops that are asked for; the picture of a longer strip is left out

// Draws the photo and keeps its picture, for the next time and for the strip. The canvas of a crop shows all of it
// where the crop has the shape of the network's input, so the photo is asked for in crops of that shape, side by side.
export async function drawServed(photo, which, input, signal) {
  const [width, height] = photo.size;
  const boxes = boxesOf(width, height, input);
  if (boxes.length > MOST) return false;
  const crops = boxes.map((box) => box.join());
  const { results, ...single } = await api.activations(photo.file, which, { layer: "canvas", crop: crops }, signal);
  const images = await Promise.all((results ?? [single]).map(({ png }) => picture(png)));
  if (signal.aborted) return false;
  const scale = LONGER / Math.max(width, height);
  const drawn = el("canvas", { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) });
  const context = drawn.getContext("2d");
  context.imageSmoothingQuality = "high";
  boxes.forEach((box, index) => context.drawImage(images[index], ...box.map((pixels) => pixels * scale)));
  const canvas = byId("photo");
  canvas.width = drawn.width;
  canvas.height = drawn.height;
  canvas.getContext("2d").drawImage(drawn, 0, 0);
  photo.picture = await new Promise((done) => drawn.toBlob(done));
  URL.revokeObjectURL(photo.url);
  photo.url = URL.createObjectURL(photo.picture);
  return true;
}

// Crops of the input's shape, as x, y, width and height, that cover the photo; the last one may lie over its neighbour.
function boxesOf(width, height, { size }) {
  const sides = [size].flat();
  const shape = sides.at(-1) / sides[0];
  const across = Math.min(width, Math.max(1, Math.round(height * shape)));
  const down = Math.min(height, Math.max(1, Math.round(across / shape)));
  const starts = (whole, part) => Array.from({ length: Math.ceil(whole / part) }, (_, index) => Math.min(index * part, whole - part));
  return starts(height, down).flatMap((y) => starts(width, across).map((x) => [x, y, across, down]));
}
