// Files come in: dropped, as files or folders, on a class or anywhere, or chosen.

const PHOTO = /\.(jpe?g|png|webp|gif|bmp|dib|tiff?|avif|hei[cf]|jfif)$/i;
const TAIL = 1 << 20; // bytes at the end of a zip in which the list of its files is looked for

export const isZip = (file) => /\.zip$/i.test(file.name) || file.type === "application/zip";
export const isOnnx = (file) => /\.onnx$/i.test(file.name);
const isPhoto = (file) => PHOTO.test(file.name) || file.type.startsWith("image/");
const isHidden = (path) => path.split("/").some((name) => name.startsWith(".") || name === "__MACOSX");

// Whether a zip is the bundle of a model: its list of files has a bundle.json.
export async function isBundle(file) {
  const tail = new Uint8Array(await file.slice(-TAIL).arrayBuffer());
  return new TextDecoder("latin1").decode(tail).includes("bundle.json");
}

// [{file, path}] of what was dropped; folders are read to their ends.
export async function filesOf(transfer) {
  const entries = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => item.webkitGetAsEntry?.() ?? item.getAsFile()); // before anything is awaited
  const found = [];
  for (const entry of entries) if (entry) await collect(entry, "", found);
  return found;
}

async function collect(entry, above, found) {
  if (entry instanceof File) found.push({ file: entry, path: above + entry.name });
  else if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    found.push({ file, path: above + entry.name });
  } else {
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed)); // 100 at a time
      if (!some.length) return;
      for (const each of some) await collect(each, `${above}${entry.name}/`, found);
    }
  }
}

// Of an <input webkitdirectory>.
export const chosenFolder = (input) =>
  [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));

// Photos by class: the folder that a photo lies in names its class, and photos in no folder have none.
export function byFolder(found) {
  const classes = new Map();
  for (const { file, path } of found) {
    if (!isPhoto(file) || isHidden(path)) continue;
    const folder = path.split("/").at(-2) ?? "";
    if (!classes.has(folder)) classes.set(folder, []);
    classes.get(folder).push(file);
  }
  return classes;
}

export const photosIn = (found) => found.filter(({ file, path }) => isPhoto(file) && !isHidden(path)).map(({ file }) => file);

// Marks what files are held over, and hands over what is dropped: to the element under it, or to the page.
export function takeDrops(drop) {
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  const targetOf = (event) => event.target.closest?.("[data-drop]") ?? document.body;
  let marked = null;
  const mark = (target) => {
    if (target === marked) return;
    marked?.classList.remove("drop-here");
    target?.classList.add("drop-here");
    marked = target;
  };
  addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    mark(targetOf(event));
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && mark(null));
  addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    mark(null);
    drop(targetOf(event), filesOf(event.dataTransfer));
  });
}
