// The photo as the network reads it, and over it where a label comes from.

import { byId, el, percent, short } from "./dom.js";

const SIDE = 480;
const WARM = [255, 96, 0];
const HOT = [255, 225, 60];
const DIM = 0.34; // how far the rest of the photo steps back

// The centre square, brought to 480 x 480, on white. The service's own canvas is shown in the first step.
export async function drawPhoto(photo, signal) {
  const canvas = byId("photo");
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, SIDE, SIDE);
  canvas.setAttribute("aria-label", `${photo.file.name}, the centre square that the network is given`);
  try {
    const image = await createImageBitmap(photo.file);
    if (signal.aborted) return image.close(); // another photo was chosen meanwhile
    context.fillStyle = "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    const side = Math.min(image.width, image.height);
    context.imageSmoothingQuality = "high";
    context.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, SIDE, SIDE);
    image.close();
  } catch {
    // A format that the browser can't draw; the service tells what it thinks of it.
  }
}

export function clearHeat() {
  byId("heat").getContext("2d").clearRect(0, 0, SIDE, SIDE);
  byId("why").replaceChildren();
  byId("heat").dataset.label = "";
  for (const button of document.querySelectorAll("#bars button")) button.setAttribute("aria-pressed", "false");
}

export function showHeat(found) {
  const canvas = byId("heat");
  const share = found.box.width / Math.min(found.image.width, found.image.height);
  canvas.getContext("2d").putImageData(heatOf(found.map, Math.round(share * SIDE)), 0, 0);
  canvas.dataset.label = found.label;
  for (const button of document.querySelectorAll("#bars button"))
    button.setAttribute("aria-pressed", String(button.dataset.label === found.label));
  byId("why").replaceChildren(...reason(found));
}

// RGBA of the whole canvas; the map covers a centre square of `side` pixels.
function heatOf(map, side) {
  const image = new ImageData(SIDE, SIDE);
  const peak = Math.max(1e-9, ...map.flat());
  const start = (SIDE - side) / 2;
  for (let y = 0; y < SIDE; y++) {
    for (let x = 0; x < SIDE; x++) {
      const inside = x >= start && y >= start && x < start + side && y < start + side;
      const heat = inside ? between(map, (x - start) / side, (y - start) / side) / peak : 0;
      paint(image.data, 4 * (y * SIDE + x), Math.min(1, Math.max(0, heat)));
    }
  }
  return image;
}

// Bilinear between the centres of a map's cells, at a place given in shares.
function between(map, x, y) {
  const [row, down] = cell(y, map.length);
  const [column, right] = cell(x, map[0].length);
  const below = Math.min(row + 1, map.length - 1);
  const next = Math.min(column + 1, map[0].length - 1);
  const top = map[row][column] * (1 - right) + map[row][next] * right;
  const bottom = map[below][column] * (1 - right) + map[below][next] * right;
  return top * (1 - down) + bottom * down;
}

function cell(share, count) {
  const at = Math.min(count - 1, Math.max(0, share * count - 0.5));
  return [Math.floor(at), at - Math.floor(at)];
}

function paint(data, at, heat) {
  const warm = 0.8 * heat ** 1.4;
  const alpha = warm + DIM * (1 - warm);
  for (let c = 0; c < 3; c++)
    data[at + c] = ((WARM[c] * (1 - heat) + HOT[c] * heat) * warm) / alpha;
  data[at + 3] = 255 * alpha;
}

// How the map becomes the label's probability, in words.
function reason(found) {
  if (found.method === "occlusion")
    return [
      el("b", { textContent: found.label }),
      ` (${percent(found.probability)}): warm is where covering the photo costs this label most.`,
    ];
  const values = found.map.flat();
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const logit = mean + found.bias;
  return [
    el("b", { textContent: found.label }),
    `: the map's mean ${short(mean)} ${found.bias < 0 ? "−" : "+"} bias ${short(Math.abs(found.bias))} = `,
    `${short(logit)}, ÷ temperature ${short(found.temperature)} = ${short(logit / found.temperature)}. `,
    `Softmax over all labels makes that ${percent(found.probability)}.`,
  ];
}
