// A key behind the # of the address, as `make teach` prints it: used once, and taken out of the address.

import { setKey } from "../page/api.js";

// Returns whether there was one.
export function takeKey() {
  const found = location.hash.match(/^#key=([\x21-\x7e]+)$/);
  if (!found) return false;
  setKey(decoded(found[1]));
  history.replaceState(null, "", location.pathname + location.search);
  return true;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // a key with a % that encodes nothing
  }
}
