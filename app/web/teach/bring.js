// Brings in a model that was trained elsewhere: a bundle as a zip, or an ONNX file with what it doesn't state.

import { byId, el } from "../page/dom.js";
import * as service from "./service.js";

const PRESETS = {
  "": "I don't know; or numbers below",
  torchvision: "PyTorch (torchvision)",
  timm: "timm",
  "keras-tf": "Keras, -1 to 1 (MobileNet, Inception, Xception)",
  "keras-caffe": "Keras, Caffe (ResNet50, VGG)",
  openclip: "OpenCLIP",
  "teachable-machine": "Teachable Machine",
  "custom-vision": "Azure Custom Vision",
};
const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

// `about` has started(job), installed({model, version}) and fail(error, again).
export function bring(about) {
  const body = byId("bring-body");
  clear();

  function clear(told = "") {
    const input = el("input", { type: "file", accept: ".onnx,.zip", hidden: true });
    const choose = el("button", { type: "button", textContent: "Choose a file" });
    choose.addEventListener("click", () => input.click());
    input.addEventListener("change", () => input.files.length && take(input.files[0]));
    body.replaceChildren(
      el("p", { textContent: "An ONNX file with its labels, or a bundle of Hubel as a zip. Choose it, or drop it on this page. A bundle is verified, and waits beside the version that serves until you use it." }),
      el("div", { className: "buttons" }, choose, input),
      el("div", { attrs: { role: "status" } }, told));
  }

  async function take(file) {
    byId("bring").open = true;
    body.replaceChildren(el("p", { textContent: `Sending ${file.name}…`, attrs: { role: "status" } }), el("progress", { attrs: { "aria-label": "Sending the file" } }));
    body.scrollIntoView({ block: "nearest" });
    try {
      const upload = await service.upload(file);
      if (upload.kind === "onnx") return ask(upload, file.name.replace(/\.[^.]*$/, ""));
      const { model, version } = upload;
      clear(`Version ${version} of ${model} is here.`);
      return about.installed({ model, version });
    } catch (error) {
      clear();
      return about.fail(error, () => take(file));
    }
  }

  function ask(upload, name) {
    const model = el("input", { id: "bring-name", value: slug(name), required: true, maxLength: 64, spellcheck: false });
    const fields = onnxFields(upload);
    const told = el("p", { className: "bad", attrs: { role: "alert" } });
    const form = el("form", { className: "fields" },
      el("p", { textContent: describe(upload) }),
      field("Name of the model", model),
      ...fields.nodes,
      told,
      el("div", { className: "buttons" }, el("button", { className: "primary", textContent: "Bring it in" }), stop()));
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      told.textContent = "";
      try {
        if (!NAME.test(model.value.trim())) throw new Error("The name has small letters, digits, and . _ - between them.");
        about.started(await service.start({ import: { upload: upload.id, model: model.value.trim(), ...fields.read() } }));
        clear();
        byId("train").scrollIntoView({ block: "nearest" });
      } catch (error) {
        if (error.code) about.fail(error, () => form.requestSubmit());
        else told.textContent = error.message;
      }
    });
    body.replaceChildren(form);
    model.focus();
  }

  function stop() {
    const button = el("button", { type: "button", textContent: "Cancel" });
    button.addEventListener("click", () => clear());
    return button;
  }

  return { take };
}

function describe({ inputs, outputs }) {
  const shape = (each) => `${each.name} (${each.shape.map((size) => size ?? "?").join(" × ")})`;
  return `It reads ${inputs.map(shape).join(", ")}, and gives ${outputs.map(shape).join(", ")}.`;
}

let numbered = 0;
function field(text, control, hint = "") {
  control.id ||= `bring-${(numbered += 1)}`;
  return el("label", { htmlFor: control.id }, text, control, ...(hint ? [el("span", { className: "quiet", textContent: hint })] : []));
}

const select = (options) => el("select", {}, ...Object.entries(options).map(([value, text]) => new Option(text, value)));

// What `hubel import` asks for, in its words.
function onnxFields(upload) {
  const labels = el("textarea", { rows: 6, required: true, spellcheck: false });
  const labelsFile = el("input", { type: "file", accept: ".txt,.csv,.json" });
  labelsFile.addEventListener("change", async () => (labels.value = lines(await labelsFile.files[0].text()).join("\n")));
  const preset = select(PRESETS);
  const size = el("input", { placeholder: "224", required: upload.asks.includes("size") });
  const mean = el("input", { placeholder: "0.485, 0.456, 0.406" });
  const std = el("input", { placeholder: "0.229, 0.224, 0.225" });
  const range = select({ "": "As the convention says", "1.0": "0 to 1", "255.0": "0 to 255" }); // no whole numbers: as names they come first
  const layout = select({ "": "Choose", nchw: "Channels first (PyTorch)", nhwc: "Channels last (Keras, TensorFlow)" });
  const channels = select({ "": "As the convention says", rgb: "Red, green, blue", bgr: "Blue, green, red" });
  const fit = select({ "": "The centre square", stretch: "All of the photo, squashed", contain: "All of the photo, with grey around" });
  const task = select({ "": "As the graph says", single_label: "Exactly one", multi_label: "Any number of them" });
  const nodes = [
    field("Labels, one a line, in the order of the outputs", labels),
    field("or a file of them", labelsFile),
    ...(upload.asks.includes("layout") ? [field("Order of the input's dimensions", layout)] : []),
    field("How its training prepared photos", preset),
    el("details", { open: size.required }, el("summary", { textContent: "In numbers" }), el("div", { className: "fields" },
      field("Side of the input, in pixels, or HEIGHTxWIDTH", size, size.required ? "The file doesn't say it." : "Empty: as the file says."),
      field("Mean of each channel", mean),
      field("Standard deviation of each channel", std),
      field("Range of the pixels that these are for", range),
      field("Order of the channels", channels),
      field("What is read of photos that aren't square", fit),
      field("Labels of a photo", task))),
  ];
  const read = () => {
    const stated = { labels: lines(labels.value) };
    if (!stated.labels.length) throw new Error("Give the labels, one a line.");
    if (upload.labels > 2 && stated.labels.length !== upload.labels)
      throw new Error(`The model has ${upload.labels} outputs, and there are ${stated.labels.length} labels. Give one for each.`);
    if (preset.value) stated.preset = preset.value;
    if (size.value.trim()) stated.size = sides(size.value);
    if (mean.value.trim()) stated.mean = numbers(mean.value, "mean");
    if (std.value.trim()) stated.std = numbers(std.value, "standard deviation");
    if (range.value) stated.pixel_range = Number(range.value);
    for (const [name, control] of Object.entries({ layout, channels, fit, task })) if (control.value) stated[name] = control.value;
    if (upload.asks.includes("layout") && !layout.value) throw new Error("Choose the order of the input's dimensions. Its shape doesn't say it.");
    if (upload.asks.includes("normalisation") && !stated.preset && !stated.mean) throw new Error("Say how its training prepared photos: choose a convention, or give mean and standard deviation.");
    return stated;
  };
  return { nodes, read };
}

// Labels of a text: one a line, or a JSON array.
function lines(text) {
  const trimmed = text.trim();
  if (trimmed.startsWith("[")) {
    try {
      return JSON.parse(trimmed).map(String);
    } catch {}
  }
  return trimmed.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
}

function numbers(text, what) {
  const found = text.split(/[\s,]+/).filter(Boolean).map(Number);
  if (![1, 3].includes(found.length) || found.some((number) => !Number.isFinite(number)))
    throw new Error(`The ${what} is three numbers, or one, such as 0.485, 0.456, 0.406.`);
  return found.length === 1 ? [...found, ...found, ...found] : found;
}

function sides(text) {
  const found = text.toLowerCase().split("x").map(Number);
  if (found.length > 2 || found.some((side) => !Number.isInteger(side) || side < 1)) throw new Error("The side is a number such as 224, or HEIGHTxWIDTH.");
  return found.length === 1 ? found[0] : found;
}

const slug = (name) => name.toLowerCase().replaceAll(/[^a-z0-9._-]+/g, "-").replace(/^[._-]+/, "").slice(0, 64) || "imported";
