// Which model answers, in which version, and what it says of itself.

import * as api from "./api.js";
import { byId, el } from "./dom.js";

export function pickers(changed, failed) {
  const name = byId("model");
  const version = byId("version");
  let listed = [];
  let loading = null;
  const details = new Map();

  async function load() {
    const told = await api.models();
    listed = told.models.filter((model) => model.state === "ready");
    const names = [...new Set(listed.map((model) => model.name))];
    name.replaceChildren(...names.map((value) => el("option", { value, textContent: value })));
    if (names.includes(told.default)) name.value = told.default;
    showVersions();
  }

  function showVersions() {
    const versions = listed.filter((model) => model.name === name.value);
    version.replaceChildren(
      ...versions.map((model) => el("option", { value: model.version, textContent: labelOf(model) })),
    );
    const serving = versions.find((model) => model.serving) ?? versions[0];
    if (serving) version.value = serving.version;
    showReport();
  }

  const labelOf = ({ version, trial }) => (trial ? `${version} (${trial.mode})` : version);

  function showReport() {
    const link = byId("report");
    const model = current();
    link.hidden = !model?.report;
    if (model) link.href = api.urlOf(`models/${encodeURIComponent(model.name)}/report/`, { version: model.version });
  }

  const current = () =>
    listed.find((model) => model.name === name.value && String(model.version) === version.value);

  name.addEventListener("change", () => {
    showVersions();
    changed();
  });
  version.addEventListener("change", () => {
    showReport();
    changed();
  });
  // A link carries no key: with one, the report is fetched and saved, and opens offline.
  byId("report").addEventListener("click", async (event) => {
    if (!api.hasKey()) return;
    event.preventDefault();
    try {
      const url = URL.createObjectURL(await api.report(chosen()));
      el("a", { href: url, download: `${name.value}-report.html` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      failed(error, () => byId("report").click());
    }
  });

  const chosen = () => ({ model: name.value, version: version.value });

  return {
    chosen,
    ready: () => {
      loading ??= load().catch((error) => {
        loading = null; // the next one asks again
        throw error;
      });
      return loading;
    },
    labels: () => current()?.labels ?? 0,
    hasSeveral: () => current()?.task === "multi_label",
    details: () => {
      const which = chosen();
      const key = `${which.model}/${which.version}`;
      if (!details.has(key)) {
        const asked = api.model(which.model, which.version);
        details.set(key, asked);
        asked.catch(() => details.delete(key));
      }
      return details.get(key);
    },
  };
}
