// Where the request's time went, and the same request from other programs.

import * as api from "./api.js";
import { el } from "./dom.js";

const STAGES = { queue: "waiting", decode: "decoding", resize: "resizing", run: "running the network" };

export async function openRequest(body, about) {
  const { timing } = await about.answer();
  body.replaceChildren(timings(timing), ...snippets(about));
}

function timings(timing) {
  const known = Object.keys(STAGES).reduce((sum, name) => sum + (timing[name] ?? 0), 0);
  const parts = [...Object.entries(STAGES).map(([name, text]) => [name, text, timing[name] ?? 0]),
    ["rest", "reading and writing", Math.max(0, timing.total - known)]];
  const bar = el("div", { className: "times", attrs: { "aria-hidden": "true" } }, ...parts.map(([name, , ms]) => {
    const part = el("span", { className: `time ${name}` });
    part.style.flexGrow = ms;
    return part;
  }));
  const legend = el("ul", { className: "legend" }, ...parts.map(([name, text, ms]) =>
    el("li", {}, el("i", { className: `time ${name}`, attrs: { "aria-hidden": "true" } }), `${text} `, el("b", { textContent: `${ms.toFixed(1)} ms` }))));
  return el("div", {}, el("p", { textContent: `The service had the answer after ${timing.total.toFixed(1)} ms:` }), bar, legend);
}

function snippets(about) {
  // Without the version: a program that copies this gets the next version, too, once it serves.
  const { model, crop } = about.which;
  const url = api.urlOf("classify", { model, crop }).href;
  const file = about.file.name || "photo.jpg";
  const key = api.hasKey();
  const texts = {
    curl: `curl --data-binary @${quoted(file)}${key ? " -H 'Authorization: Bearer KEY'" : ""} \\\n  '${url}'`,
    Python: `import json, urllib.request\n\nwith open(${JSON.stringify(file)}, "rb") as photo:\n    request = urllib.request.Request(\n        ${JSON.stringify(url)},\n        data=photo.read(),${key ? '\n        headers={"Authorization": "Bearer KEY"},' : ""}\n    )\nwith urllib.request.urlopen(request) as answer:\n    for guess in json.load(answer)["predictions"]:\n        print(guess["label"], guess["probability"])`,
    JavaScript: `const photo = document.querySelector("input[type=file]").files[0];\nconst answer = await fetch(${JSON.stringify(url)}, {\n  method: "POST",\n  body: photo,${key ? '\n  headers: { Authorization: "Bearer KEY" },' : ""}\n});\nfor (const { label, probability } of (await answer.json()).predictions)\n  console.log(label, probability);`,
  };
  return Object.entries(texts).map(([name, text]) => {
    const copy = el("button", { type: "button", textContent: "Copy", attrs: { "aria-label": `Copy the ${name} request` } });
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        copy.textContent = "Copied";
      } catch {
        copy.textContent = "Select it, and copy";
      }
    });
    return el("section", { className: "snippet" },
      el("div", { className: "snippet-head" }, el("h3", { textContent: name }), copy),
      el("pre", { tabIndex: 0, attrs: { "aria-label": `The request in ${name}`, role: "region" } }, el("code", { textContent: text })));
  });
}

const quoted = (name) => `'${name.replaceAll("'", String.raw`'\''`)}'`;
