// The whole photo, and on it the part that the network reads.

import { byId, el } from "./dom.js";

export const LONGER = 960; // pixels of the canvas on its longer side

// Draws the photo as it is, turned by its EXIF orientation, on white; gives false for a format that the browser can't draw.
export async function drawPhoto(photo, signal) {
  const canvas = byId("photo");
  canvas.setAttribute("aria-label", photo.file.name);
  byId("square").hidden = true;
  try {
    const image = await createImageBitmap(photo.picture ?? photo.file);
    if (signal.aborted) {
      image.close(); // another photo was chosen meanwhile
      return true;
    }
    const scale = LONGER / Math.max(image.width, image.height);
    canvas.width = Math.max(1, Math.round(image.width * scale));
    canvas.height = Math.max(1, Math.round(image.height * scale));
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingQuality = "high";
    context.imageSmoothingEnabled = scale < 4; // the pixels of a tiny picture stay visible
    context.drawImage(image, 0, 0, canvas.width, canvas.height);
    image.close();
    return true;
  } catch {
    canvas.width = canvas.height = LONGER; // the service tells what it thinks of it
    return false;
  }
}

// Outlines the part of the photo that the network reads, and says so.
export function showSquare({ format, width, height, crop }, input) {
  const part = crop ?? { x: 0, y: 0, width, height };
  const box = usedBox(part, input);
  const isAll = box.width === part.width && box.height === part.height;
  const square = byId("square");
  square.hidden = isAll && !crop;
  place(square, box, width, height);
  const size = [input.size].flat();
  const it = crop ? "the part" : "it";
  const reads = isAll ? `The network reads all of ${it}` : `The network reads the outlined square${crop ? " of the part" : ""}`;
  byId("caption").textContent =
    `${format.toUpperCase()}, ${width} × ${height} pixels. ${reads}, brought to ${size[0]} × ${size.at(-1)} pixels.`;
}

// In pixels of the photo: the middle of the part's centre square, or all of the part where the model squeezes it in.
function usedBox({ x, y, width, height }, { crop, fit = "cover" }) {
  if (fit !== "cover") return { left: x, top: y, width, height };
  const side = Math.min(width, height) * crop;
  return { left: x + (width - side) / 2, top: y + (height - side) / 2, width: side, height: side };
}

// Lays an element over a part of the photo.
export function place(node, box, width, height) {
  node.style.left = `${(100 * box.left) / width}%`;
  node.style.top = `${(100 * box.top) / height}%`;
  node.style.width = `${(100 * box.width) / width}%`;
  node.style.height = `${(100 * box.height) / height}%`;
}
