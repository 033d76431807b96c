// Small pictures of photos, made here from the photos themselves, a few at a time.

import { photo } from "./service.js";

const SIDE = 144; // pixels: 72 on a dense display
const AT_ONCE = 3;
const MOST = 3000; // small pictures that are kept

const made = new Map(); // dataset/id -> Promise of a URL, or of null where the browser can't draw it
const waiting = [];
let active = 0;

const keyOf = (name, id) => `${name}/${id}`;

// The centre square of an image, as the URL of a small JPEG.
export async function shrink(blob) {
  try {
    const image = await createImageBitmap(blob);
    const side = Math.min(image.width, image.height);
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = SIDE;
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, SIDE, SIDE);
    context.imageSmoothingQuality = "high";
    context.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, SIDE, SIDE);
    image.close();
    const small = await new Promise((done) => canvas.toBlob(done, "image/jpeg", 0.85));
    return small && URL.createObjectURL(small);
  } catch {
    return null;
  }
}

// What was just sent needs not be fetched again.
export function remember(name, id, file) {
  if (!made.has(keyOf(name, id))) keep(keyOf(name, id), () => shrink(file));
}

export function pictureOf(name, id) {
  const key = keyOf(name, id);
  if (!made.has(key)) keep(key, async () => shrink(await photo(name, id)));
  return made.get(key);
}

function keep(key, make) {
  const url = limited(make);
  made.set(key, url);
  url.catch(() => made.delete(key));
  if (made.size > MOST) {
    const [oldest, old] = made.entries().next().value;
    made.delete(oldest);
    old.then((gone) => gone && URL.revokeObjectURL(gone), () => {});
  }
}

function limited(make) {
  return new Promise((done, failed) => {
    waiting.push(() => make().then(done, failed));
    next();
  });
}

function next() {
  if (active === AT_ONCE || !waiting.length) return;
  active += 1;
  waiting.shift()().finally(() => {
    active -= 1;
    next();
  });
}
