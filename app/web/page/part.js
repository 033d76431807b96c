// A part of the photo, drawn as a box: with the mouse, with a finger, or with the arrow keys.

import { byId } from "./dom.js";
import { place } from "./photo.js";

const LEAST = 8; // pixels on the screen that a drag must have on both sides
const STEP = 0.02; // how far an arrow key moves or resizes the box, as a share of the photo
const WAIT_MS = 350; // after the last key, before the service is asked

// The parameter `crop` of a part; nothing for the whole photo.
export const cropOf = (part) => (part ? [part.x, part.y, part.width, part.height].join() : null);

// `photo()` gives the photo that is looked at, with its `size` once that is known; `changed()` looks at its part.
export function offerParts(photo, changed) {
  const frame = byId("frame");
  const box = byId("part");
  let drag = null;
  let timer = 0;

  const at = (event) => {
    const { left, top, width, height } = frame.getBoundingClientRect();
    const share = (value) => Math.min(1, Math.max(0, value));
    return [share((event.clientX - left) / width), share((event.clientY - top) / height)];
  };

  frame.addEventListener("pointerdown", (event) => {
    const mayDraw = event.pointerType === "mouse" ? event.button === 0 : frame.classList.contains("choosing");
    if (!mayDraw || !photo()?.size) return;
    drag = { from: at(event), before: photo().part, x: event.clientX, y: event.clientY };
    frame.setPointerCapture(event.pointerId);
    event.preventDefault(); // no text is selected
  });
  frame.addEventListener("pointermove", (event) => {
    if (!drag) return;
    drag.isLarge = Math.abs(event.clientX - drag.x) >= LEAST && Math.abs(event.clientY - drag.y) >= LEAST;
    if (drag.isLarge) show(partBetween(drag.from, at(event), photo().size), photo().size);
  });
  frame.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const { from, isLarge, before } = drag;
    drag = null;
    if (isLarge) set(partBetween(from, at(event), photo().size));
    else show(before, photo().size);
  });
  frame.addEventListener("pointercancel", () => {
    if (drag) show(drag.before, photo().size);
    drag = null;
  });

  byId("choose-part").addEventListener("click", () => {
    if (!photo()?.size) return;
    const [width, height] = photo().size;
    if (photo().part) return set(null);
    set(partBetween([0.25, 0.25], [0.75, 0.75], [width, height]));
    box.focus();
  });
  box.addEventListener("keydown", (event) => {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key === "Escape") return set(null);
    const way = ways[event.key];
    if (!way) return;
    event.preventDefault();
    photo().part = moved(photo().part, way, photo().size, event.shiftKey);
    show(photo().part, photo().size);
    clearTimeout(timer);
    timer = setTimeout(changed, WAIT_MS);
  });

  function set(part) {
    clearTimeout(timer);
    photo().part = part;
    changed();
  }
}

// Lays the box over its part, or hides it.
export function show(part, size) {
  const box = byId("part");
  box.hidden = !part;
  byId("frame").classList.toggle("choosing", Boolean(part));
  byId("choose-part").textContent = part ? "The whole" : "A part";
  if (!part) return;
  place(box, { left: part.x, top: part.y, width: part.width, height: part.height }, ...size);
  box.setAttribute("aria-label", `The part that is looked at: ${part.width} × ${part.height} pixels at ${part.x}, ${part.y}. Arrow keys move it, with Shift they resize it, Escape takes it away`);
}

// In whole pixels of the photo, at least one.
function partBetween([x1, y1], [x2, y2], [width, height]) {
  const [left, right] = [x1, x2].map((share) => share * width).sort((a, b) => a - b);
  const [top, bottom] = [y1, y2].map((share) => share * height).sort((a, b) => a - b);
  const x = Math.min(width - 1, Math.round(left));
  const y = Math.min(height - 1, Math.round(top));
  return { x, y, width: Math.max(1, Math.round(right) - x), height: Math.max(1, Math.round(bottom) - y) };
}

function moved(part, [right, down], [width, height], resizes) {
  const by = (way, side) => way * Math.max(1, Math.round(STEP * side));
  const within = (value, least, most) => Math.min(most, Math.max(least, value));
  if (resizes)
    return {
      ...part,
      width: within(part.width + by(right, width), 1, width - part.x),
      height: within(part.height + by(down, height), 1, height - part.y),
    };
  return {
    ...part,
    x: within(part.x + by(right, width), 0, width - part.width),
    y: within(part.y + by(down, height), 0, height - part.height),
  };
}
