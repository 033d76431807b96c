// Brings in a model that was trained elsewhere: a bundle as a zip. An ONNX file is made one first.

import { byId, el } from "../page/dom.js";
import { isOnnx } from "./intake.js";
import * as service from "./service.js";

// `about` has installed({model, version}) and fail(error, again).
export function bring(about) {
  const body = byId("bring-body");
  clear();

  function clear(told = "") {
    const input = el("input", { type: "file", accept: ".zip,.onnx", hidden: true });
    const choose = el("button", { type: "button", textContent: "Choose a file" });
    choose.addEventListener("click", () => input.click());
    input.addEventListener("change", () => input.files.length && take(input.files[0]));
    body.replaceChildren(
      el("p", { textContent: "A bundle of Hubel, its folder as a zip. Choose it, or drop it on this page. It is verified, and waits beside the version that serves until you use it." }),
      el("div", { className: "buttons" }, choose, input),
      el("div", { attrs: { role: "status" } }, told));
  }

  async function take(file) {
    byId("bring").open = true;
    if (isOnnx(file)) {
      clear(command(file.name));
      return;
    }
    body.replaceChildren(el("p", { textContent: `Sending ${file.name}…`, attrs: { role: "status" } }), el("progress", { attrs: { "aria-label": "Sending the file" } }));
    body.scrollIntoView({ block: "nearest" });
    try {
      const { model, version } = await service.upload(file);
      clear(`Version ${version} of ${model} is here.`);
      about.installed({ model, version });
    } catch (error) {
      clear();
      about.fail(error, () => take(file));
    }
  }

  return { take };
}

// What makes a bundle of an ONNX file: it needs its labels, and how its training prepared photos.
function command(file) {
  const name = file.toLowerCase().replace(/\.onnx$/, "").replaceAll(/[^a-z0-9._-]+/g, "-").replace(/^[._-]+/, "") || "imported";
  return el("div", { className: "onnx" },
    el("p", { textContent: "An ONNX file doesn't say what its outputs mean, nor how its training prepared photos. Make a bundle of it, with its labels in a file, one a line:" }),
    el("pre", { tabIndex: 0, attrs: { role: "region", "aria-label": "The command" } },
      el("code", { textContent: `hubel import '${file.replaceAll("'", String.raw`'\''`)}' --labels labels.txt \\\n  --preset torchvision --output ${name}` })),
    el("p", { textContent: "Then zip the folder, and bring it in here." }));
}
