// Use it: which version serves, which model is the default, a way back, and the bundle to take along.

import { byId, el } from "../page/dom.js";
import { save } from "./result.js";
import * as service from "./service.js";

// `about` has changed(list of models) and fail(error, again).
export function use(about) {
  let shown = null; // {name, version}, the version that a training made or that was chosen

  // `versions` are the ready ones of the model `name`; `list` is all that the service said of models.
  function show(name, versions, version, list) {
    shown = { name, version };
    byId("use").hidden = !versions.length;
    if (!versions.length) return;
    const serving = versions.find((each) => each.serving);
    const isServing = serving?.version === version;
    const isDefault = list.default === name;
    const earlier = serving && versions.some((each) => each.version < serving.version && !each.held);
    byId("use-told").textContent = told(name, version, serving, isDefault) + (list.warning ? ` ${list.warning}` : "");
    byId("use-buttons").replaceChildren(
      ...(isServing ? [] : [button(serving ? `Use version ${version}` : "Use it", "primary", () => service.promote(name, version))]),
      ...(serving && !isDefault ? [button("Make it the default", isServing ? "primary" : "", () => service.makeDefault(name))] : []),
      downloadButton(),
      ...(earlier ? [button(`Roll back from version ${serving.version}`, "", () => service.rollBack(name))] : []),
    );
  }

  function told(name, version, serving, isDefault) {
    if (!serving) return `Version ${version} of ${name} is ready, and waits for you to use it.`;
    const now = `Version ${serving.version} of ${name} serves${isDefault ? ", and is what requests get that name no model" : " requests that name it"}.`;
    return serving.version === version ? now : `${now} Version ${version} waits beside it.`;
  }

  function button(textContent, className, change) {
    const node = el("button", { type: "button", className, textContent });
    node.addEventListener("click", async () => {
      for (const each of byId("use-buttons").children) each.disabled = true;
      try {
        about.changed(await change());
      } catch (error) {
        about.fail(error, () => node.click());
      } finally {
        for (const each of byId("use-buttons").children) each.disabled = false;
      }
    });
    return node;
  }

  function downloadButton() {
    const node = el("button", { type: "button", textContent: "Download the bundle" });
    node.addEventListener("click", async () => {
      const { name, version } = shown;
      node.disabled = true;
      node.textContent = "Downloading…";
      try {
        save(await service.bundle(name, version), `${name}-${version}.zip`);
      } catch (error) {
        about.fail(error, () => node.click());
      } finally {
        node.disabled = false;
        node.textContent = "Download the bundle";
      }
    });
    return node;
  }

  return { show };
}
