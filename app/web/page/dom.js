// Small helpers to build what the page shows. Text is always set as text, never as HTML.

export const byId = (id) => document.getElementById(id);

// An element with properties, `data-` values, attributes that have no property, and children.
export function el(tag, { dataset = {}, attrs = {}, ...properties } = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  Object.assign(node.dataset, dataset);
  for (const [name, value] of Object.entries(attrs)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

export const percent = (p) =>
  p < 1 && p >= 0.995 ? "> 99 %" : p > 0 && p < 0.001 ? "< 0.1 %" : `${(p * 100).toFixed(p < 0.1 ? 1 : 0)} %`.replace(".0 %", " %");

// At most three digits that mean something: 0.0123, 4.56, 1,230.
export const short = (value) =>
  Number(value.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 6 }).replace("-", "−");

export const shapeText = (shape) =>
  shape.length === 3
    ? `${shape[0].toLocaleString("en")} maps of ${shape[1]} × ${shape[2]}`
    : `${shape[0].toLocaleString("en")} numbers`;

export function say(text) {
  byId("status").textContent = text;
}

// A picture of base64, decoded before it is used: nothing jumps when it is shown.
export async function picture(base64) {
  const image = new Image();
  image.src = `data:image/png;base64,${base64}`;
  await image.decode();
  return image;
}

// Where tile `index` of a grid lies in its picture.
export function tileAt(grid, index) {
  const row = Math.floor(index / grid.columns);
  const column = index % grid.columns;
  return [
    grid.gap + column * (grid.tile_width + grid.gap),
    grid.gap + row * (grid.tile_height + grid.gap),
    grid.tile_width,
    grid.tile_height,
  ];
}

// One tile on a canvas of its own, every pixel of it kept as it is.
export function drawTile(canvas, image, grid, index) {
  const [x, y, width, height] = tileAt(grid, index);
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").drawImage(image, x, y, width, height, 0, 0, width, height);
  return canvas;
}

// Lets the arrow keys move between the buttons of a list, of which one can be reached by Tab.
export function roving(container, selector, columns = () => 1) {
  container.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(), ArrowUp: -columns() };
    const items = [...container.querySelectorAll(selector)];
    const at = items.indexOf(document.activeElement);
    const to = items[at + steps[event.key]];
    if (at < 0 || !to) return;
    event.preventDefault();
    for (const item of items) item.tabIndex = item === to ? 0 : -1;
    to.focus();
  });
}
