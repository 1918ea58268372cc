// Streamlit asks for its health as well: no question that counts as somebody being there.
const LOOK_EVERY = 10000;       // milliseconds
const GIVE_UP = 8000;           // less than that, so that there is one question at a time
const TRIES = 3;                // Streamlit's connection may come back later than the sign-in
const LOCK = window.cytojepaLock ||= { signIn: null, tries: 0, timer: null, drawAgain: null };     // one, however often Streamlit draws the page

async function lookAtSignIn() {
  const answer = await fetch("/_stcore/health", { cache: "no-store", signal: AbortSignal.timeout(GIVE_UP) }).catch(() => null);     // no network, no word about the sign-in
  // Somebody has signed in in another window: this page gets that one's token, and goes on.
  if (answer?.ok && LOCK.tries) { LOCK.tries--; LOCK.drawAgain(); }
  if (answer?.status !== 401) return;
  // Each outbox of the page tells that it is signed out, and objects where something unfinished would be lost.
  const isFree = window.dispatchEvent(new CustomEvent("cytojepa-leave", { cancelable: true }));
  LOCK.tries = TRIES;
  if (isFree && !isWriting()) location.replace(`/login?next=${encodeURIComponent(location.pathname + location.search)}&locked=1`);
}

function isWriting() {  // in a field of ours; only such pages tell in their own words that they are signed out
  let node = document.activeElement;
  while (node?.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  return node?.getRootNode() instanceof ShadowRoot && /^(textarea|text)$/.test(node.type) && node.value !== "";
}

export default function ({ data, setTriggerValue }) {
  if (LOCK.signIn !== data.sign_in) Object.assign(LOCK, { signIn: data.sign_in, tries: 0 });
  LOCK.drawAgain = () => setTriggerValue("again", Date.now());
  if (LOCK.timer) return;
  LOCK.timer = setInterval(lookAtSignIn, LOOK_EVERY);
  window.addEventListener("cytojepa-refused", () => { LOCK.tries = TRIES; });       // an outbox was told so before the lock
}
