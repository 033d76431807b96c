// The small dialogs: another label, whether to delete, and the keys.

import { byId } from "../page/dom.js";
import { cleaned } from "./palette.js";

const counted = (number) => (number === 1 ? "this photo" : `these ${number.toLocaleString("en")} photos`);

export function dialogs({ label, remove, help }) {
  const [naming, deleting, helping] = ["new-label", "confirm-delete", "key-help"].map(byId);
  for (const button of document.querySelectorAll("dialog [data-close]"))
    button.addEventListener("click", () => button.closest("dialog").close());

  byId("new-label-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = cleaned(byId("new-label-name").value);
    if (!name) {
      byId("new-label-told").textContent = "A label has up to 200 characters, and no semicolon.";
      return;
    }
    naming.close();
    label(name);
  });
  byId("confirm-delete-form").addEventListener("submit", (event) => {
    event.preventDefault();
    deleting.close();
    remove();
  });

  return {
    forLabel(number) {
      byId("new-label-name").value = "";
      byId("new-label-told").textContent = `What do ${counted(number)} show? It need not be a label of the model.`.replace("do this photo", "does this photo");
      naming.showModal();
      byId("new-label-name").focus();
    },
    toDelete(number) {
      byId("confirm-delete-title").textContent = `Delete ${counted(number)}?`;
      deleting.showModal();
    },
    forHelp() {
      help();
      helping.showModal();
    },
  };
}
