// A key behind the # of the address, as `make teach` prints it: used once, and taken out of the address.

import { setKey } from "../page/api.js";

export function takeKey() {
  const found = location.hash.match(/^#key=([\x21-\x7e]+)$/);
  if (!found) return;
  setKey(decodeURIComponent(found[1]));
  history.replaceState(null, "", location.pathname + location.search);
}
