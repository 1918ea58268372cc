// Streamlit asks for its health as well: no question that counts as somebody being there.
const LOOK_EVERY = 10000;       // milliseconds

async function lookAtSignIn() {
  const answer = await fetch("/_stcore/health", { cache: "no-store" }).catch(() => null);     // no network, no word about the sign-in
  if (answer?.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}&locked=1`);
}

export default function () {
  window.cytojepaLock ||= setInterval(lookAtSignIn, LOOK_EVERY);       // one, however often Streamlit draws the page
}
