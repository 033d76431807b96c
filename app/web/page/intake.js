// Photos come in: chosen, dropped anywhere, pasted, or taken with a phone's camera.

import { byId } from "./dom.js";

export function takePhotos(take) {
  const give = (list) => {
    const files = [...(list ?? [])].filter((file) => file.size || file.type);
    if (files.length) take(files);
  };
  for (const [button, input] of [["choose", "files"], ["camera", "shot"]]) {
    byId(button).addEventListener("click", () => byId(input).click());
    byId(input).addEventListener("change", (event) => {
      give(event.target.files);
      event.target.value = ""; // the same photo can be chosen again
    });
  }

  let inside = 0; // dragenter and dragleave come for every element below the pointer
  const mark = (change) => {
    inside = change ? Math.max(0, inside + change) : 0;
    document.body.classList.toggle("dragging", inside > 0);
  };
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => holdsFiles(event) && mark(1));
  addEventListener("dragleave", (event) => holdsFiles(event) && mark(-1));
  addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    mark(0);
    give(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => give(event.clipboardData?.files));
}
