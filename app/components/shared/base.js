// Shared by all components: elements, marks, ids, requests.
const SHAPES = {
  circle: '<circle cx="8" cy="8" r="6"/>', square: '<rect x="2.5" y="2.5" width="11" height="11"/>',
  triangle: '<path d="M8 2 14.5 13.5H1.5z"/>', diamond: '<path d="M8 1 15 8 8 15 1 8z"/>',
  star: '<path d="M8 1l2 4.7 5 .5-3.8 3.3 1.2 5L8 11.9 3.6 14.5l1.2-5L1 6.2l5-.5z"/>',
  cross: '<path d="M5.8 1.5h4.4v4.3h4.3v4.4h-4.3v4.3H5.8v-4.3H1.5V5.8h4.3z"/>',
  ring: '<circle cx="8" cy="8" r="5" fill="none" stroke="currentColor" stroke-width="3"/>',
  bar: '<rect x="1" y="5.5" width="14" height="5"/>', dot: '<circle cx="8" cy="8" r="3.5"/>',
};

// Words of the reader's language; see app/words.py. `word` marks a sentence that `tr` gets later.
let WORDS = {}, LANGUAGE = "";
function speak({ words, language }, root) { WORDS = words || {}; if (language) root.lang = LANGUAGE = language; }
function tr(english, values = {}) { return (WORDS[english] ?? english).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole); }
function word(english) { return english; }

function uuid() {  // crypto.randomUUID needs https; hospitals also serve plain http inside
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 15) | 64; b[8] = (b[8] & 63) | 128;
  const hex = [...b].map(x => x.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function el(tag, className, ...content) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...content.filter(part => part !== undefined && part !== null));
  return node;
}

function button(className, action, ...content) {
  const node = el("button", className, ...content);
  node.type = "button";
  node.addEventListener("click", action);
  node.addEventListener("keydown", e => { if (e.repeat && e.key === "Enter") e.preventDefault(); });     // a key that is held acts once
  return node;
}

function shapeOf(category) {
  const box = el("span");
  box.innerHTML = `<svg class="shape" viewBox="0 0 16 16" aria-hidden="true">${SHAPES[category.shape] || SHAPES.dot}</svg>`;
  box.firstChild.style.color = box.firstChild.style.fill = `color-mix(in srgb, ${category.color} 76%, var(--ink))`;
  return box.firstChild;
}

function inkOn(color) {  // dark or white letters, whichever is read better on this colour
  const [r, g, b] = [1, 3, 5].map(i => parseInt(color.slice(i, i + 2), 16) / 255)
    .map(v => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? "#14171d" : "#ffffff";
}

function keycap(text, color) {
  const node = el("kbd", "", text);
  if (color) { node.style.background = color; node.style.color = inkOn(color); node.style.borderColor = "transparent"; }
  return node;
}

// The key as the doctor means it: digits by their place, so that they work on keyboards where
// digits need shift; letters by what is printed on them.
function keyOf(event) {
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code || "");
  return digit ? digit[1] : event.key.length === 1 ? event.key.toUpperCase() : event.key;
}

function isTyping(event) {
  const target = event.composedPath()[0];
  const isText = /^(TEXTAREA|SELECT)$/.test(target.tagName || "") ||
    (target.tagName === "INPUT" && !/^(range|checkbox|radio|button)$/.test(target.type));
  return Boolean(target.isContentEditable || isText);
}

function isShortcut(event) {  // of the browser or the system; AltGr is how many keyboards write [ and ]
  return (event.ctrlKey || event.metaKey || event.altKey) && !event.getModifierState("AltGraph");
}

// Two fingers on a touch screen, a third one counts for nothing: closer, farther and along. `begin` ends what the first
// finger had begun.
function pinched(node, { begin, move }) {
  const fingers = new Map();
  const grip = () => { const [a, b] = fingers.values(); return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) || 1 }; };
  const isOurs = (event, isTwo) => { if (isTwo) event.stopImmediatePropagation(); return isTwo; };
  node.addEventListener("pointerdown", e => {
    if (e.pointerType !== "touch") return;
    fingers.set(e.pointerId, { x: e.clientX, y: e.clientY });
    if (isOurs(e, fingers.size >= 2)) begin();
  }, true);
  node.addEventListener("pointermove", e => {
    if (!fingers.has(e.pointerId)) return;
    const before = fingers.size >= 2 ? grip() : null;
    fingers.set(e.pointerId, { x: e.clientX, y: e.clientY });
    if (!isOurs(e, Boolean(before))) return;
    const { x, y, apart } = grip();
    move(apart / before.apart, { clientX: x, clientY: y }, x - before.x, y - before.y);
  }, true);
  for (const name of ["pointerup", "pointercancel"]) node.addEventListener(name, e => { if (fingers.has(e.pointerId) && isOurs(e, fingers.size >= 2)) begin(); fingers.delete(e.pointerId); }, true);
}

// What a key does as long as it is held, by a finger or the mouse.
function held(node, act) {
  node.classList.add("holding");
  node.addEventListener("pointerdown", () => act(true));
  for (const name of ["pointerup", "pointerleave", "pointercancel"]) node.addEventListener(name, () => act(false));
  node.addEventListener("contextmenu", event => event.preventDefault());     // a long touch is no wish for a menu
  return node;
}

class HttpError extends Error {
  constructor(status, sentence) { super(sentence || tr("The server answered {status}.", { status })); this.status = status; this.isTold = Boolean(sentence); }
}

// An error without a status: nothing came back. What the browser says of that is in its own words and language.
function unanswered() { throw new HttpError(undefined, tr("The server did not answer.")); }

async function ask(url, request = {}) {
  const headers = { ...request.headers, ...(LANGUAGE && { "Accept-Language": LANGUAGE }) };      // not the browser's: its reader may have chosen another
  const answer = await fetch(url, { ...request, headers, signal: request.signal || AbortSignal.timeout(15000) })
    .catch(unanswered);
  if (!answer.ok) throw new HttpError(answer.status, (await answer.json().catch(() => ({}))).error);
  return answer;
}

async function askJson(url, request) {
  const answer = await ask(url, request);
  return answer.json().catch(unanswered);     // cut off, or not ours
}

function getJson(url) { return askJson(url, { headers: { Accept: "application/json" } }); }

// Of several questions the newest counts. Returns what tells whether no newer one of its kind was asked meanwhile.
function newest(page, kind) {
  const asked = (page.questions ||= {})[kind] = {};
  return () => page.questions[kind] === asked;
}

function postJson(url, csrf, value, more = {}) {
  return askJson(url, { ...more, method: "POST", body: JSON.stringify(value), headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf } });
}

// A cell that shows its category well: the criteria show it to all, and the probe may give it a weight of its own.
// Returns the category that it is an example of now, null for none, and what to tell.
async function toggleExample(csrf, cell, category, isOne) {
  if (!isOne && !category?.is_class) return [null, tr("Decide the cell first: an example is one of a category.")];
  try {
    await postJson("/api/exemplars", csrf, { key: uuid(), cell, category: isOne ? null : category.id });
    return isOne ? [null, tr("No longer an example.")] : [category.id, tr("Kept as an example of {name}; the criteria show it.", { name: category.name })];
  } catch (error) {
    return [isOne ? category?.id ?? null : null, tr("Not stored: {reason}", { reason: error.message })];
  }
}

const LATE = 300;              // milliseconds until an answered cell goes, though the next one's picture is not here yet

function kept(name, otherwise) {  // what this browser remembers; a damaged or forbidden store counts as empty
  try { return JSON.parse(localStorage.getItem(name)) ?? otherwise; } catch { return otherwise; }
}

function keep(name, value) {
  try { localStorage.setItem(name, JSON.stringify(value)); return true; } catch { return false; }
}

// A line of a list of keys; one that does something is a button, so that nothing needs a keyboard.
function keyLine(key, text, { color, act } = {}) {
  const content = [keycap(shownKey(key), color), el("span", "", text)];
  return act ? button("keyline", act, ...content) : el("div", "keyline", ...content);
}

// Of a key that means a cell which is not there yet: it must not count for the next one.
function tooEarly(key) { return tr("Key {key} was not taken: the cell was not on screen yet.", { key: shownKey(key) }); }

function signed(um) { return (um > 0 ? "+" : um < 0 ? "\u2212" : "") + Math.abs(um); }

function percent(probability) { return `${Math.round(100 * probability)} %`; }

// How the saved state is told on every page that stores something.
function drawSaved(node, outbox) {
  const n = outbox.size;
  node.dataset.state = n === 0 ? "saved" : outbox.isFailing ? "failed" : "waiting";
  node.textContent = savedWords(n, outbox.isFailing);
}

function savedWords(n, isFailing) { return n === 0 ? tr("All saved") : isFailing ? tr("NOT SAVED: {n} waiting", { n }) : tr("{n} waiting", { n }); }

// Streamlit calls a component's export on every rerun: its state lives beside the element. A rerun after a sign-in in another
// window brings that one's token; where it is of another account, nothing of the one before may be sent under that name.
function mounted(pages, root, data, make) {
  let page = pages.get(root);
  if (page && page.account !== data.account) {
    page.destroy(); page = null;
    for (const name of Object.keys(root.dataset)) delete root.dataset[name];
  }
  if (!page) pages.set(root, page = make());
  else if (page.csrf !== data.csrf) { page.csrf = data.csrf; page.renewed?.(data.csrf); }
  return () => { pages.get(root)?.destroy(); pages.delete(root); };
}

// From key to command; which key is in force is decided on the server, see app/keys.py.
function commandKeys(commands) {
  const found = new Map();
  for (const command of commands) for (const key of [command.key, ...command.also]) if (key) found.set(key, command);
  return found;
}

function keyOfCommand(commands, id) { return [...commands.values()].find(command => command.id === id)?.key || ""; }

function shownKey(key) { return { Escape: "Esc", Enter: "\u21b5", "-": "\u2212", ArrowLeft: "\u2190", ArrowRight: "\u2192" }[key] || key; }
