// The labelling surface. Draws first, then sends; a label is "saved" only when the server said so.
// Streamlit calls the default export again on every rerun: the state lives beside the element.
const DECKS = new WeakMap();
const AHEAD = 12, AHEAD_OF_FAST = 50;  // cells kept decoded; a fast hand needs more, a slow one gets fresher ones
const MOST_WAITING = 200;      // beyond this no more labels are taken, rather than risk them
const PAST_MOST = 60;
const WIDE_AFTER = 180;        // milliseconds on screen before the wider field is fetched ahead
const HOLD_MOST = 600000;      // another window's cells are free again after this long
const OF_A_CELL = /^(slide|like|note|wide|unsure|sure|focusUp|focusDown)$/;      // commands that mean the cell on screen
const SITTING = 25 * 60000, BREAK = 5 * 60000;

class Deck {
  constructor(root, data) {
    Object.assign(this, data);
    this.root = root;
    speak(data, root);
    this.byKey = new Map(this.categories.map(c => [c.key.toUpperCase(), c]));
    this.byId = new Map(this.categories.map(c => [c.id, c]));
    this.commands = commandKeys(data.commands);
    this.queue = []; this.past = []; this.images = new Map(); this.thumbs = new Map(); this.acknowledged = new Set();
    this.reopened = new Set(); this.redoName = `cytojepa/redo/${encodeURIComponent(this.account)}`;
    this.asked = new URLSearchParams(location.search).get("cell");
    this.current = null; this.painted = null; this.confidence = null; this.comment = "";
    this.isFetching = false; this.answeredSince = new Set(); this.isEmpty = false; this.era = 0; this.edition = ""; this.aside = []; this.redrawnAt = 0; this.problem = ""; this.said = ""; this.times = [];
    this.progress = { mine: 0, labelled: 0, cells: 0 };
    this.tally = { taken: 0, saved: 0, refused: 0, ignored: 0 };
    this.holds = new Holds(this.account);
    this.which = new Which(this);
    this.outbox = new Outbox({ name: "labels", account: this.account, url: "/api/v1/labels", csrf: this.csrf,
      on: { change: () => this.draw(), receipts: (list, own, body) => this.receive(list, own, body), elsewhere: e => this.elsewhere(e), isUnfinished: () => Boolean(this.comment) } });
    this.build();
    document.addEventListener("keydown", this.onKey = e => this.key(e), true);
    document.addEventListener("keyup", this.onKeyUp = e => { if (this.commands.get(keyOf(e))?.id === "wide") this.wide(false); }, true);
    window.addEventListener("blur", this.onBlur = () => this.wide(false));
    window.addEventListener("online", this.onOnline = () => this.fill());
    window.addEventListener("pagehide", this.onHide = () => leave(this));
    document.addEventListener("visibilitychange", this.onVisible = () => { if (!document.hidden) this.fill(true); });
    this.start();
  }

  destroy() {
    document.removeEventListener("keydown", this.onKey, true);
    document.removeEventListener("keyup", this.onKeyUp, true);
    window.removeEventListener("blur", this.onBlur);
    window.removeEventListener("online", this.onOnline);
    window.removeEventListener("pagehide", this.onHide);
    document.removeEventListener("visibilitychange", this.onVisible);
    clearTimeout(this.refill); clearTimeout(this.widening); clearTimeout(this.redrawing);
    leave(this);
    this.isGone = true; this.current = null;
    this.outbox.destroy(); this.holds.destroy(); this.view.destroy();
  }

  async start() {
    await this.outbox.ready;
    this.past = this.outbox.steps();
    this.outbox.send();
    await Promise.all([this.older(), this.fill()]);
  }

  // ---- what comes from the server

  async older() {  // earlier steps, so that undo reaches as far back as the account's first label
    const error = await readEarlier(this, key => this.redone(key));
    this.draw();
    return error;
  }

  redone(key) { return kept(this.redoName, []).some(step => step.labels.some(l => l.key === key)); }
  isKnown(label) { return this.acknowledged.has(label.key); }
  // A fast hand's deck is refilled early, so that a network that goes away finds it nearly full.
  get isLow() { return this.queue.length < this.ahead * (this.ahead === AHEAD ? 0.5 : 0.8); }
  get ahead() { return this.times.filter(t => t > performance.now() - 5000).length > 5 ? AHEAD_OF_FAST : AHEAD; }

  renewed(csrf) { this.outbox.renew(csrf); this.fill(true); }

  failed(error) {
    if (error.status === 401) this.outbox.signedOut = true;
    this.problem = error.status === undefined ? "" : error.message;
  }

  fill(check = false) { return fillDeck(this, check); }

  mine() { return [...this.queue.map(i => i.cell), ...(this.current ? [this.current.cell] : [])]; }

  drop(cells) {  // answered in another window: never asked twice
    const gone = new Set(cells);
    if (!gone.size) return;
    this.queue = this.queue.filter(i => !gone.has(i.cell)); this.aside = this.aside.filter(i => !gone.has(i.cell));
    if (this.current && gone.has(this.current.cell)) this.next();
  }

  elsewhere(event) {
    if (event.kind === "label") this.drop([event.cell]); else withoutUndone(this, event);
  }

  receive(receipts, own, { progress, edition }) {
    const done = new Map(receipts.map(r => [r.key, r]));
    for (const step of this.past) for (const label of step.labels) {
      const receipt = done.get(label.key);
      if (receipt) { Object.assign(label, { suggestion: receipt.suggestion, kept_back: receipt.kept_back, among: receipt.among, asked_because: receipt.asked_because }); this.acknowledged.add(label.key); }
    }
    for (const receipt of receipts) if (own.has(receipt.key)) this.tally[receipt.accepted ? "saved" : "refused"]++;
    const refused = receipts.filter(r => !r.accepted);
    if (refused.length) {
      [this.said, this.isCalm] = [tr("One answer was refused: {reason}", { reason: refused[0].reason }), false];
      const keys = new Set(refused.map(r => r.key));
      this.past = this.past.filter(step => !step.labels.some(l => keys.has(l.key)));
    }
    if (progress) this.progress = progress;
    if (!this.current && !this.outbox.size) this.fill();
    if (edition > this.edition) this.edition = edition;
    redrawSoon(this);
  }

  // ---- the picture

  decode(item) {
    if (!this.images.has(item.cell)) {
      const image = new Image();
      image.src = item.image;
      const ready = image.decode().then(() => image);
      ready.catch(() => this.images.delete(item.cell));
      this.images.set(item.cell, ready);
      if (this.images.size > 150) this.images.delete(this.images.keys().next().value);
    }
    return this.images.get(item.cell);
  }

  next() {
    this.current = this.queue.shift() || null;
    this.show();
    if (this.isLow) this.fill();
  }

  async show() {
    const item = this.current;
    this.painted = null; this.confidence = null; this.comment = "";
    this.holds.publish(this.mine());
    if (!item) return this.blank();
    const late = setTimeout(() => { if (this.current === item) this.blank(); }, LATE);
    try {
      const image = await this.decode(item);
      if (this.current !== item) return;
      this.view.show(item, image);
      this.painted = item.cell;        // only a cell that is on screen can be labelled
      this.shownAt = performance.now();
      this.root.dataset.cell = item.cell;
      clearTimeout(this.widening);
      this.widening = setTimeout(() => { this.fetchWide(item); this.focus.ahead(item); }, WIDE_AFTER);
    } catch {
      if (this.current === item) this.blank();
      setTimeout(() => { if (this.current === item) this.show(); }, 1000);
    } finally { clearTimeout(late); }
    this.draw();
  }

  blank() { this.view.clear(); delete this.root.dataset.cell; this.draw(); }  // what was answered must not be taken for the next

  async fetchWide(item) {
    if (item.wide === undefined) {
      const image = new Image();
      image.src = item.image.replace(/image$/, "wide");
      item.wide = image.decode().then(() => image, () => { item.wide = undefined; return null; });     // asked for again
    }
    return item.wide;
  }

  async wide(isOn) {
    if (this.isHeld === isOn) return;
    this.isHeld = isOn;
    const item = this.painted ? this.current : null;
    if (!isOn || !item) { if (this.view.isWide) this.view.setWide(null); return; }
    const image = await this.fetchWide(item);
    if (!this.isHeld || this.current !== item) return;
    if (image) this.view.setWide(image);
    else this.say(this.outbox.isFailing || !navigator.onLine ? tr("The wider field did not arrive: the server cannot be reached.")
      : tr("No wider field of this cell is kept: it came as a picture of one cell."));
  }

  // ---- keys

  key(event) {
    if (isTyping(event) || isShortcut(event) || this.sheets.takes(event) || !this.root.isConnected) return;
    const key = keyOf(event), category = this.byKey.get(key), command = this.commands.get(key);
    if (key.startsWith("Arrow") && this.view.zoom > 1) {
      event.preventDefault();
      return this.view.pan(...{ ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[key]);
    }
    if (!category && !command) return;
    event.preventDefault(); event.stopPropagation();
    if (event.repeat) return;          // a key that is held answers once
    if (category) this.answer(category, { pressedAt: event.timeStamp, isUnsure: event.shiftKey });
    else this.command(command.id === "undo" && event.shiftKey ? "redo" : command.id);
  }

  keyFor(id) { return keyOfCommand(this.commands, id); }

  command(id) {
    const { view, sheets } = this;
    if (OF_A_CELL.test(id) && !this.painted) return this.say(this.isEmpty ? "" : tooEarly(this.keyFor(id)), false);
    ({
      undo: () => this.undo(), redo: () => this.redo(), wide: () => this.wide(true),
      ring: () => view.toggleRing(), stain: () => view.toggleStain(), marks: () => this.root.classList.toggle("nomarks"),
      tone: () => sheets.toggle("tone"), guide: () => sheets.toggle("guide"), which: () => this.which.toggle(), help: () => sheets.toggle("help"),
      note: () => sheets.note(this.painted),
      focusUp: () => this.focus.step(1), focusDown: () => this.focus.step(-1),
      slide: () => location.assign(`/slide?cell=${this.painted}&from=label`),
      like: () => location.assign(`/gallery?like=${this.painted}`),
      unsure: () => this.setConfidence("unsure"), sure: () => this.setConfidence("sure"),
      zoomIn: () => view.zoomBy(1.35), zoomOut: () => view.zoomBy(1 / 1.35),
      reset: () => { if (!sheets.close()) view.reset(); this.said = ""; this.draw(); },
      darker: () => view.setTone("brightness", view.tone.brightness - 6), brighter: () => view.setTone("brightness", view.tone.brightness + 6),
    })[id]();
  }

  isSelected(cell) { return this.painted === cell; }
  offers() { return true; }
  get helpLead() { return tr("One key answers and brings the next cell. While this list covers the cell, no answer is taken."); }
  get helpEnd() { return tr("A check cell is one drawn by chance, a second opinion, a known verdict or a repeat. Which of them is told neither before nor after your answer: it would change it, or the next one."); }
  setConfidence(value) { this.confidence = this.confidence === value ? null : value; this.panel.draw(); }
  say(sentence, isCalm = true) { this.said = sentence; this.isCalm = isCalm; this.draw(); }

  answer(category, { pressedAt = performance.now(), isUnsure = false }) {
    const item = this.current;
    // A key that was pressed before this cell was drawn was meant for another one.
    const isSeen = item && this.painted === item.cell && pressedAt >= this.shownAt, isCovered = this.sheets.isCovering;
    if (!isSeen || isCovered || this.outbox.signedOut || this.outbox.size >= MOST_WAITING) {
      this.tally.ignored++;
      if (isCovered) this.sheets.close();
      const why = isCovered ? tr("Key {key} was not taken: the cell was covered.", category) : tooEarly(category.key);
      return this.say((item || !this.isEmpty) && (isCovered || !isSeen) ? why : "", false);
    }
    const { cell, image, mpp, turn, plane, planes } = item;
    const label = { cell, image, mpp, turn, plane, planes, key: uuid(), category: category.id,
      confidence: this.confidence || (isUnsure ? "unsure" : null), comment: this.comment || null, suggestion: null };
    this.said = "";
    this.reopened.delete(item.cell);
    keep(this.redoName, []);
    this.push({ step: label.key, labels: [label] }, Math.round(performance.now() - this.shownAt) / 1000);
    this.panel.flash(category);
    this.next();
    this.outbox.send();
  }

  push(step, seconds) {
    const now = Date.now();
    this.outbox.addStep(step, seconds);
    step.labels.forEach(l => this.answeredSince.add(l.cell));
    this.tally.taken += step.labels.length;
    this.times = [...this.times.filter(t => t > performance.now() - 60000), performance.now()];
    if (!this.sittingAt || now - this.lastAt > BREAK) this.sittingAt = now;
    this.lastAt = now;
    this.past = [...this.past, step].slice(-PAST_MOST);
  }

  undo() { return undoStep(this); }

  redo() { return redoStep(this); }

  build() {
    this.root.classList.add("cj");
    this.view = new View({ referenceUm2: this.reference_um2, wideFactor: this.wide_factor, onChange: () => {} });
    this.sheets = new Sheets(this);
    this.panel = new Panel(this); this.focus = new Focus(this);
    this.face = new Face(this);
  }

  thumb(item, place) { return thumbOf(this, item, place); }

  draw() { if (this.face) { this.face.draw(); this.panel.draw(); } }
}

export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".deck");
  return mounted(DECKS, root, data, () => new Deck(root, data));
}
