// Asks for the key where the service needs one, or where the person offers one.

import { byId } from "./element.js";
import { hasKey, onKeyNeeded, useKey } from "./service.js";

let waiting = null;

/** `onUsed`: called when a key was given without being asked for. */
export function watchKey(onUsed) {
  onKeyNeeded(async (refusal) => {
    useKey("");
    const given = await askForKey(refusal);
    mark(given !== null);
    return given;
  });
  byId("key-button").addEventListener("click", async () => {
    if (hasKey()) {
      useKey("");
      mark(false);
      return;
    }
    const given = await askForKey(null);
    if (given === null) return;
    useKey(given);
    mark(true);
    onUsed();
  });
}

function mark(held) {
  byId("key-button").textContent = held ? "Forget key" : "Key";
}

/** The key that is typed in, null for none. Several requests at once share one dialog. */
function askForKey(refusal) {
  waiting ??= new Promise((resolve) => {
    const dialog = byId("key-dialog");
    byId("key-head").textContent = refusal ? "This service needs a key" : "Key for this service";
    byId("key-why").textContent = !refusal || refusal.code === "KEY_MISSING"
      ? "Its operator makes one with “cellmark keys create”."
      : `The last one did not work: found ${refusal.findings[0]?.found ?? "something else"}.`;
    byId("key").value = "";
    dialog.returnValue = "cancel";
    dialog.addEventListener("close", () => {
      waiting = null;
      const given = byId("key").value.trim();
      byId("key").value = "";
      resolve(dialog.returnValue === "use" && given !== "" ? given : null);
    }, { once: true });
    dialog.showModal();
  });
  return waiting;
}
