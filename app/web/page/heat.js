// Where a label comes from: warm colours over the photo, and how they add up to its probability.

import { byId, el, percent, short } from "./dom.js";
import { place } from "./photo.js";

const SIDE = 480;
const WARM = [255, 96, 0];
const HOT = [255, 225, 60];
const DIM = 0.34; // how far the rest of the photo steps back

export function clearHeat() {
  byId("heat").getContext("2d").clearRect(0, 0, SIDE, SIDE);
  byId("heat").dataset.label = "";
  byId("why").replaceChildren();
  press(null);
}

export function showHeat(found, several) {
  const canvas = byId("heat");
  place(canvas, found.box, found.image.width, found.image.height);
  canvas.getContext("2d").putImageData(heatOf(found.map), 0, 0);
  canvas.dataset.label = found.label;
  press(found.label);
  byId("why").replaceChildren(...reason(found, several));
}

function press(label) {
  byId("show-why").setAttribute("aria-checked", String(label !== null));
  for (const button of document.querySelectorAll("#bars button"))
    button.setAttribute("aria-pressed", String(button.dataset.label === label));
}

function heatOf(map) {
  const image = new ImageData(SIDE, SIDE);
  const peak = Math.max(1e-9, ...map.flat());
  for (let y = 0; y < SIDE; y++)
    for (let x = 0; x < SIDE; x++) {
      const heat = between(map, x / SIDE, y / SIDE) / peak;
      paint(image.data, 4 * (y * SIDE + x), Math.min(1, Math.max(0, heat)));
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

// In words, and for those who want it, how the map becomes the label's probability.
function reason(found, several) {
  const label = el("b", { textContent: found.label });
  if (found.method === "occlusion")
    return ["Warm: covering these places costs ", label, ` (${percent(found.probability)}) most.`];
  const values = found.map.flat();
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const logit = mean + found.bias;
  const sum = `Mean of the map ${short(mean)} ${found.bias < 0 ? "−" : "+"} bias ${short(Math.abs(found.bias))} = ${short(logit)}, the label's score`;
  return [
    "Warm: these places raise the probability of ",
    label,
    ` (${percent(found.probability)}). `,
    el("small", {
      textContent: several
        ? `${sum}; then the sigmoid of this label alone.`
        : `${sum}; ÷ temperature ${short(found.temperature)} = ${short(logit / found.temperature)}, then softmax over all labels.`,
    }),
  ];
}
