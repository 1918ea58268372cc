// The labelling surface. Draws first, then sends; a label is "saved" only when the server said so.
// Streamlit calls the default export again on every rerun: the state lives beside the element.
const DECKS = new WeakMap();
const AHEAD = 12;            // cells kept decoded
const MOST_WAITING = 50;     // beyond this no more labels are taken, rather than risk them
const LONGEST_PAUSE = 4000;  // milliseconds between tries while the server is away
const FIRST_PAUSE = 250;

const SHAPES = {
  circle: '<circle cx="8" cy="8" r="6"/>', square: '<rect x="2.5" y="2.5" width="11" height="11"/>',
  triangle: '<path d="M8 2 14.5 13.5H1.5z"/>', diamond: '<path d="M8 1 15 8 8 15 1 8z"/>',
  star: '<path d="M8 1l2 4.7 5 .5-3.8 3.3 1.2 5L8 11.9 3.6 14.5l1.2-5L1 6.2l5-.5z"/>',
  cross: '<path d="M5.8 1.5h4.4v4.3h4.3v4.4h-4.3v4.3H5.8v-4.3H1.5V5.8h4.3z"/>',
  ring: '<circle cx="8" cy="8" r="5" fill="none" stroke="currentColor" stroke-width="3"/>',
  bar: '<rect x="1" y="5.5" width="14" height="5"/>', dot: '<circle cx="8" cy="8" r="3.5"/>',
};

function uuid() {  // crypto.randomUUID needs https; hospitals also serve plain http inside
  const b = crypto.getRandomValues(new Uint8Array(16));
  b[6] = (b[6] & 15) | 64; b[8] = (b[8] & 63) | 128;
  const hex = [...b].map(x => x.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function el(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

class Deck {
  constructor(root, data) {
    Object.assign(this, data);
    this.root = root;
    this.byKey = new Map(this.categories.map(c => [c.key.toUpperCase(), c]));
    this.byId = new Map(this.categories.map(c => [c.id, c]));
    this.store = `cytojepa.outbox.${this.account}`;
    this.outbox = JSON.parse(localStorage.getItem(this.store) || "[]");
    this.queue = []; this.past = []; this.images = new Map();
    this.current = null; this.painted = null; this.pause = 0;
    this.isSending = false; this.isFetching = false; this.isEmpty = false; this.signedOut = false;
    this.progress = { mine: 0, labelled: 0, cells: 0 };
    this.build();
    this.onKey = event => this.key(event);
    this.onOnline = () => { this.pause = 0; this.send(); this.fill(); };
    document.addEventListener("keydown", this.onKey, true);
    window.addEventListener("online", this.onOnline);
    window.addEventListener("resize", this.onResize = () => this.drawScale());
    this.start();
  }

  destroy() {
    document.removeEventListener("keydown", this.onKey, true);
    window.removeEventListener("online", this.onOnline);
    window.removeEventListener("resize", this.onResize);
    clearTimeout(this.timer);
  }

  async start() {
    try {
      const { labels } = await this.get("/api/recent?limit=5");
      const waiting = new Set(this.outbox.filter(e => e.kind === "undo").map(e => e.label_key));
      const known = new Set(this.past.map(p => p.key));
      const old = labels.filter(l => !waiting.has(l.key) && !known.has(l.key)).reverse();
      this.past = [...old, ...this.past];
    } catch { /* the worklist below says what is wrong */ }
    this.send();
    await this.fill();
  }

  async get(url) {
    const answer = await fetch(url, { headers: { Accept: "application/json" } });
    if (answer.status === 401) { this.signedOut = true; this.draw(); }
    if (!answer.ok) throw new Error(String(answer.status));
    return answer.json();
  }

  async fill() {
    if (this.isFetching || this.queue.length >= AHEAD) return;
    this.isFetching = true;
    try {
      const labels = this.outbox.filter(e => e.kind === "label").map(e => e.cell);
      const held = new Set([...labels, ...this.queue.map(i => i.cell), this.current ? this.current.cell : ""]);
      held.delete("");
      const url = `/api/worklist?limit=${AHEAD}&held=${[...held].join(",")}`;
      const { items, progress } = await this.get(url);
      const waiting = new Set(this.outbox.filter(e => e.kind === "label").map(e => e.cell));
      const here = new Set([...this.queue.map(i => i.cell), this.current ? this.current.cell : ""]);
      for (const item of items) if (!waiting.has(item.cell) && !here.has(item.cell)) this.queue.push(item);
      this.progress = progress;
      this.isEmpty = !this.queue.length && !this.current;
      this.queue.forEach(item => this.decode(item));
      if (!this.current) this.next();
    } catch {
      clearTimeout(this.refill);
      this.refill = setTimeout(() => this.fill(), 1500);
    } finally {
      this.isFetching = false;
    }
    this.draw();
  }

  decode(item) {
    if (!this.images.has(item.cell)) {
      const image = new Image();
      image.src = item.image;
      const ready = image.decode().then(() => image);
      ready.catch(() => this.images.delete(item.cell));
      this.images.set(item.cell, ready);
    }
    return this.images.get(item.cell);
  }

  next() {
    this.current = this.queue.shift() || null;
    this.show();
    if (this.queue.length < AHEAD / 2) this.fill();
  }

  async show() {
    const item = this.current;
    this.painted = null;
    this.draw();
    if (!item) return;
    try {
      const image = await this.decode(item);
      if (this.current !== item) return;
      this.canvas.width = image.naturalWidth; this.canvas.height = image.naturalHeight;
      this.canvas.getContext("2d").drawImage(image, 0, 0);
      this.painted = item.cell;        // only a cell that is on screen can be labelled
      this.shownAt = performance.now();
      this.root.dataset.cell = item.cell;
      this.drawScale();
    } catch {
      setTimeout(() => { if (this.current === item) this.show(); }, 1000);
    }
  }

  key(event) {
    const target = event.composedPath()[0];
    const isTyping = target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName || "");
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey || !this.root.isConnected) return;
    const key = event.key.toUpperCase();
    const category = this.byKey.get(key);
    if (!category && key !== "Z" && key !== "H") return;
    event.preventDefault(); event.stopPropagation();
    if (event.repeat) return;          // a key that is held answers once
    if (category) this.answer(category);
    else if (key === "Z") this.undo();
    else this.root.classList.toggle("nomarks");
  }

  answer(category) {
    const item = this.current;
    if (!item || this.painted !== item.cell || this.signedOut || this.outbox.length >= MOST_WAITING) return this.draw();
    const event = { key: uuid(), kind: "label", cell: item.cell, category: category.id,
      decided_at: new Date().toISOString(), seconds: Math.round(performance.now() - this.shownAt) / 1000 };
    this.past.push({ ...item, key: event.key, category: category.id, suggestion: null });
    this.past = this.past.slice(-30);
    this.flash(category);
    this.enqueue(event);
    this.next();
  }

  undo() {
    const last = this.past.pop();
    if (!last) return;
    this.enqueue({ key: uuid(), kind: "undo", label_key: last.key });
    if (this.current) this.queue.unshift(this.current);
    this.current = { cell: last.cell, image: last.image, mpp: last.mpp, reason: "taken back", suggestion: null };
    this.isEmpty = false;
    this.show();
  }

  enqueue(event) {
    this.outbox.push(event);
    localStorage.setItem(this.store, JSON.stringify(this.outbox));
    this.send();
  }

  async send() {
    if (this.isSending || this.signedOut || !this.outbox.length) return;
    this.isSending = true;
    clearTimeout(this.timer);
    try {
      const events = this.outbox.slice(0, 200);
      const answer = await fetch("/api/events", { method: "POST", body: JSON.stringify({ events }),
        headers: { "Content-Type": "application/json", "X-CSRF-Token": this.csrf } });
      if (answer.status === 401 || answer.status === 403) this.signedOut = true;
      if (!answer.ok) throw new Error(String(answer.status));
      const { receipts, progress } = await answer.json();
      this.receive(receipts);
      this.progress = progress; this.pause = 0;
    } catch {
      this.pause = Math.min(LONGEST_PAUSE, this.pause ? this.pause * 2 : FIRST_PAUSE);
      if (!this.signedOut) this.timer = setTimeout(() => this.send(), this.pause);
    } finally {
      this.isSending = false;
    }
    if (!this.pause && this.outbox.length) this.send();
    if (!this.current && !this.outbox.length) this.fill();
    this.draw();
  }

  receive(receipts) {
    const done = new Map(receipts.map(r => [r.key, r]));
    this.outbox = this.outbox.filter(e => !done.has(e.key));
    localStorage.setItem(this.store, JSON.stringify(this.outbox));
    for (const past of this.past) if (done.has(past.key)) past.suggestion = done.get(past.key).suggestion;
    const refused = receipts.filter(r => !r.accepted);
    if (refused.length) {
      this.refusal = refused[0].reason;
      this.past = this.past.filter(p => !refused.some(r => r.key === p.key));
    }
  }

  flash(category) {
    const row = this.rows.get(category.id);
    row.classList.add("chosen");
    setTimeout(() => row.classList.remove("chosen"), 260);
  }

  build() {
    const r = this.root;
    r.replaceChildren();
    this.top = el("div", "top");
    this.why = el("div", "why"); this.count = el("div", "count"); this.saved = el("div", "saved");
    this.saved.setAttribute("role", "status");
    this.top.append(this.why, el("div", "grow"), this.count, this.saved);
    this.stage = el("div", "stage");
    this.frame = el("div", "frame");
    this.canvas = el("canvas");
    this.canvas.setAttribute("role", "img"); this.canvas.setAttribute("aria-label", "The cell to label, in the centre");
    this.scale = el("div", "scale");
    this.frame.append(this.canvas, ...["n", "e", "s", "w"].map(side => el("i", `tick ${side}`)));
    this.message = el("div", "message");
    this.stage.append(this.frame, this.message, this.scale);
    this.strip = el("div", "strip"); this.keys = el("div", "keys"); this.notice = el("div", "notice");
    this.notice.setAttribute("role", "alert");
    r.append(this.top, this.stage, this.buildPanel(), this.strip, this.keys, this.notice);
  }

  buildPanel() {
    const panel = el("div", "panel");
    this.rows = new Map();
    let group = null;
    for (const category of this.categories) {
      if (category.group !== group) panel.append(el("div", "group", group = category.group));
      const row = el("button", "row");
      row.type = "button"; row.tabIndex = -1; row.style.setProperty("--c", category.color);
      const text = el("span", "text");
      text.append(el("b", "", category.name), el("small", "", category.description));
      row.append(el("kbd", "", category.key), this.shape(category), text, el("span", "p"));
      row.title = category.description;
      row.addEventListener("click", () => this.answer(category));
      this.rows.set(category.id, row);
      panel.append(row);
    }
    return panel;
  }

  shape(category) {
    const box = el("span");
    box.innerHTML = `<svg class="shape" viewBox="0 0 16 16" aria-hidden="true">${SHAPES[category.shape] || SHAPES.dot}</svg>`;
    box.firstChild.style.color = box.firstChild.style.fill = category.color;
    return box.firstChild;
  }

  draw() {
    const item = this.current, n = this.outbox.length, p = this.progress;
    this.why.textContent = item ? `Shown because: ${item.reason}` : "No cell on screen";
    this.count.replaceChildren(el("b", "", String(p.mine)), ` yours, ${p.labelled} of ${p.cells} cells`, el("div", "bar"));
    const bar = this.count.lastChild.appendChild(el("i"));
    bar.style.width = `${p.cells ? (100 * p.labelled) / p.cells : 0}%`;
    const failed = this.signedOut || (this.pause > 0 && n > 0);
    this.saved.dataset.state = n === 0 ? "saved" : failed ? "failed" : "waiting";
    this.saved.textContent = n === 0 ? "All saved" : failed ? `NOT SAVED: ${n} waiting` : `${n} waiting`;
    this.frame.style.display = item ? "" : "none";
    this.message.textContent = item ? "" : this.isEmpty
      ? "Nothing is left for you: every cell has a label, or a colleague has it on screen. New cells appear here by themselves after a reload."
      : "Fetching the next cells...";
    for (const [id, row] of this.rows) {
      const s = item && item.suggestion;
      row.lastChild.textContent = s && s.category === id ? `${Math.round(100 * s.probability)} %` : "";
    }
    this.drawScale(); this.drawStrip(); this.drawKeys(); this.drawNotice();
  }

  drawScale() {
    const item = this.current;
    this.scale.style.display = item ? "" : "none";
    if (!item) return;
    this.scale.classList.toggle("unknown", item.mpp === null);
    if (item.mpp === null) { this.scale.textContent = "scale unknown"; return; }
    const px = (10 / item.mpp) * (this.canvas.clientWidth / (this.canvas.width || 256));
    const line = el("i"); line.style.width = `${px}px`;
    this.scale.replaceChildren(line, "10 um".replace("u", "\u00b5"));
  }

  drawStrip() {
    const past = this.past.slice(-5).map((old, i, all) => {
      const category = this.byId.get(old.category);
      const card = el("button", i === all.length - 1 ? "card last" : "card");
      card.type = "button"; card.tabIndex = -1; card.style.setProperty("--c", category ? category.color : "#666");
      card.append(this.thumb(old), el("span", "", category ? category.name : old.category));
      if (i === all.length - 1) { card.title = "Take back (Z)"; card.addEventListener("click", () => this.undo()); }
      return card;
    });
    const now = this.current ? [this.card("card now", this.current)] : [];
    this.strip.replaceChildren(...past, ...now, ...this.queue.slice(0, 7).map(i => this.card("card next", i)));
  }

  card(className, item) { const card = el("div", className); card.append(this.thumb(item)); return card; }

  thumb(item) { const image = new Image(); image.src = item.image; image.alt = ""; return image; }

  drawKeys() {
    const key = (name, text) => { const s = el("span"); s.append(el("kbd", "", name), text); return s; };
    this.keys.replaceChildren(key("Z", "take back"), key("H", "marks on or off"), el("div", "grow"));
    const last = this.past[this.past.length - 1];
    if (!last || this.mode === "hidden") return;
    const you = this.byId.get(last.category), s = last.suggestion;
    const guess = s && this.byId.get(s.category);
    const said = el("span", "said", guess
      ? `Last cell: you ${you ? you.name : last.category}, suggestion ${guess.name} ${Math.round(100 * s.probability)} %` : "");
    this.keys.append(said);
  }

  drawNotice() {
    const n = this.outbox.length;
    this.notice.replaceChildren();
    if (this.signedOut) {
      const link = el("a", "", "sign in again"); link.href = "/login";
      this.notice.append(`Signed out. ${n} labels are kept in this browser: `, link, ".");
    } else if (n >= MOST_WAITING) {
      this.notice.append(`${n} labels wait for the server. Labelling goes on when they are saved; they are kept in this browser.`);
    } else if (this.refusal) this.notice.append(`One label was refused: ${this.refusal}`);
  }
}

export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".deck");
  let deck = DECKS.get(root);
  if (!deck) {
    deck = new Deck(root, data);
    DECKS.set(root, deck);
  } else {
    deck.csrf = data.csrf;
  }
  return () => { deck.destroy(); DECKS.delete(root); };
}
