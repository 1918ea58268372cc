// Streamlit asks for its health as well: no question that counts as somebody being there.
const LOOK_EVERY = 10000;       // milliseconds
const GIVE_UP = 8000;           // less than that, so that there is one question at a time

async function lookAtSignIn() {
  const answer = await fetch("/_stcore/health", { cache: "no-store", signal: AbortSignal.timeout(GIVE_UP) }).catch(() => null);     // no network, no word about the sign-in
  if (answer?.status !== 401) return;
  // Each outbox of the page tells that it is signed out, and objects where something unfinished would be lost.
  const isFree = window.dispatchEvent(new CustomEvent("cytojepa-leave", { cancelable: true }));
  if (isFree && !isWriting()) location.replace(`/login?next=${encodeURIComponent(location.pathname + location.search)}&locked=1`);
}

function isWriting() {  // in a field of ours; only such pages tell in their own words that they are signed out
  let node = document.activeElement;
  while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  return node?.getRootNode() instanceof ShadowRoot && /^(textarea|text)$/.test(node.type) && node.value !== "";
}

export default function () {
  window.cytojepaLock ||= setInterval(lookAtSignIn, LOOK_EVERY);       // one, however often Streamlit draws the page
}
