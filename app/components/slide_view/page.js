// The slide view: a ring is clicked, a key answers it. Draws first, then sends; a label is "saved" only
// when the server said so. Streamlit calls the default export again on every rerun: state lives beside the element.
const SLIDE_PAGES = new WeakMap();
const MOST_WAITING_HERE = 200;
const PAN_PX = 90;
const SEEN_RING = 15;           // CSS pixels; a cell that is chosen with a smaller ring is brought closer
const WAITS = /^(next|undo|redo)$/;     // commands that wait for a slide on its way

class SlidePage {
  constructor(root, data) {
    Object.assign(this, data);
    this.root = root;
    this.byKey = new Map(this.categories.map(c => [c.key.toUpperCase(), c]));
    this.byId = new Map(this.categories.map(c => [c.id, c]));
    speak(data, root);
    this.commands = commandKeys(data.commands);
    this.slides = null; this.cells = noCells(null); this.answers = new Map(); this.past = []; this.redoStack = []; this.visited = [];
    this.acknowledged = new Set(); this.refused = new Set(); this.thumbs = new Map();
    this.selected = null; this.current = null; this.claiming = null; this.confidence = null; this.comment = "";
    this.opening = {}; this.wishes = [];       // the slide on its way, null once it is here; and what was asked of it
    this.said = ""; this.problem = ""; this.from = new URLSearchParams(location.search).get("from");
    this.tally = { taken: 0, saved: 0, refused: 0, ignored: 0 };
    this.outbox = new Outbox({ name: "labels", account: this.account, url: "/api/v1/labels", csrf: this.csrf,
      on: { change: () => this.draw(), receipts: (list, own) => this.receive(list, own), elsewhere: e => this.elsewhere(e), isUnfinished: () => Boolean(this.comment) } });
    this.root.classList.add("cj");
    this.claims = new Claims(this);
    this.rings = new SlideRings(this); this.heat = new Heat(this);
    this.stage = new SlideStage(this);
    this.view = this.stage;                    // where sheets open
    this.sheets = new Sheets(this);
    this.panel = new Panel(this);
    this.marking = this.may_label ? new Marking(this) : null;
    this.opinion = this.may_label ? new SlideOpinion(this) : null;
    this.face = new SlideFace(this);
    document.addEventListener("keydown", this.onKey = e => this.key(e), true);
    window.addEventListener("pagehide", this.onHide = () => this.claims.release());
    this.stage.node.addEventListener("pointermove", e => this.moved(e));
    this.start();
  }

  destroy() {
    this.isGone = true;
    document.removeEventListener("keydown", this.onKey, true);
    window.removeEventListener("pagehide", this.onHide);
    this.claims.release();
    this.outbox.destroy(); this.marking?.destroy(); this.opinion?.destroy(); this.stage.destroy();
  }

  // ---- slides and cells

  async start() {
    const asked = new URLSearchParams(location.search);
    this.opening = {}; this.problem = ""; this.draw();
    await this.outbox.ready;
    this.past = this.outbox.steps();
    if (this.may_label) this.older();
    this.outbox.send();
    try {
      const [{ slides, cell }] = await Promise.all([getJson(`/api/slides?cell=${encodeURIComponent(asked.get("cell") || "")}`), loadViewer(this.viewer)]);
      if (this.isGone) return;
      this.slides = slides;
      this.face.listSlides();
      const wanted = cell?.slide || asked.get("slide");
      if (asked.get("cell") && !cell) this.said = tr("This cell came as a picture of its own: it has no place on a slide.");
      if (slides.length) await this.openSlide(slides.some(s => s.slide === wanted) ? wanted : slides[0].slide, cell ? asked.get("cell") : null);
    } catch (error) { this.failed(error); this.problem = error.message; }
    if (!this.stage.slide) this.arrived();
    this.draw();
    this.root.dataset.ready = String(this.slides ? this.slides.length : "");
  }

  async older() {
    const error = await readEarlier(this);
    this.draw();
    return error;
  }

  get boxes() { return [this.outbox, this.marking?.outbox, this.opinion?.outbox].filter(Boolean); }
  renewed(csrf) {
    for (const box of this.boxes) box.renew(csrf);
    if (this.problem) this.start(); else if (this.selected !== null && !this.current) this.reselect(this.selected);
  }

  failed(error) { if (error.status === 401) this.outbox.signedOut = true; }

  stepSlide(by) {
    if (!this.slides) return slideNotHere(this);
    const at = this.slides.findIndex(s => s.slide === this.stage.slide?.slide), next = this.slides[at + by];
    if (next) this.openSlide(next.slide); else this.say(by > 0 ? tr("This is the last slide.") : tr("This is the first slide."));
  }

  async openSlide(name, cell = null) {
    this.deselect();
    const slide = this.slides.find(s => s.slide === name), opening = this.opening = {};
    this.cells = noCells(slide.mpp); this.answers = new Map(); this.visited = []; this.problem = "";
    this.root.dataset.slide = name; this.root.dataset.cells = "";
    const opened = this.stage.open(slide);
    this.draw();
    this.opinion?.load(name);
    if (this.may_label) await loadSlideCells(this, slide); else this.root.dataset.cells = 0;
    await Promise.all([opened, this.wishes.includes("undo") && this.reading]);     // other keys need not wait for earlier answers
    if (this.opening !== opening) return;      // another slide was asked for meanwhile
    this.arrived(cell === null ? -1 : this.cells.ids.indexOf(cell));
    this.rings.draw();
  }

  arrived(place = -1) {
    const areHere = this.root.dataset.cells !== "", asked = this.wishes.splice(0).filter(id => areHere || id !== "next");
    this.opening = null;
    if (asked.length) this.said = "";
    if (place >= 0) this.select(place, { closer: true });
    this.marking?.place();
    asked.forEach(id => this.command(id));
  }

  later(id) {  // every step back counts; of an impatient "next" one is meant
    if (id !== "next" || !this.wishes.includes(id)) this.wishes.push(id);
    this.say(tr("The slide is still on its way; what you pressed follows."));
  }

  elsewhere(event) {
    if (event.kind === "label") rememberAnswer(this, event);
    else withoutUndone(this, event);
    this.rings.draw(); this.draw();
  }

  receive(receipts, own) {
    for (const r of receipts) (r.accepted ? this.acknowledged : this.refused).add(r.key);
    const done = new Map(receipts.map(r => [r.key, r]));
    for (const label of [...this.past.flatMap(s => s.labels), ...this.answers.values()]) {
      const receipt = done.get(label.key);
      if (!receipt) continue;
      Object.assign(label, { suggestion: receipt.suggestion, asked_because: receipt.asked_because });
      this.acknowledged.add(label.key);
      if (!receipt.accepted && this.answers.get(label.cell) === label) this.answers.delete(label.cell);
    }
    for (const receipt of receipts) if (own.has(receipt.key)) this.tally[receipt.accepted ? "saved" : "refused"]++;
    const refused = receipts.find(r => !r.accepted);
    if (refused) {
      this.said = tr("One answer was refused: {reason}", { reason: refused.reason });
      this.past = this.past.filter(s => s.labels.every(l => l.key !== refused.key));
    }
  }

  guessOf(i) {  // [category, probability] of a suggestion that may be seen
    if (this.cells.guesses) return this.cells.guesses[i];
    const s = this.answers.get(this.cells.ids[i])?.suggestion;
    return s ? [s.category, s.probability] : null;
  }

  wordsOf(i) {
    const answer = this.answers.get(this.cells.ids[i]);
    if (!answer) return this.current ? tr("Press a key to answer this cell.") : tr("No answer of yours.");
    return tr("Your answer: {name}. Another key replaces it.", { name: this.byId.get(answer.category)?.name || answer.category });
  }

  // ---- choosing a cell

  click(x, y) {
    const i = this.rings.hit(x, y);
    this.stage.node.focus({ preventScroll: true });
    if (i === null) this.deselect(); else this.select(i);
    this.draw();
  }

  reselect(i) { this.deselect(); this.select(i); }

  select(i, { closer = false } = {}) {
    const { ids, xs, ys } = this.cells;
    if (closer || !this.stage.isShown(xs[i], ys[i]) || this.rings.radius(i, this.stage.transform()) < SEEN_RING) this.stage.show(xs[i], ys[i], { closer });
    if (this.selected === i && (this.current || this.claiming || !this.may_label)) return;       // where the right was refused it is asked for again
    this.stage.toPlane(this.cells.planes?.[i]);
    this.deselect();
    this.selected = i; this.said = "";
    if (this.visited[this.visited.length - 1] !== i) this.visited.push(i);
    this.root.dataset.selected = ids[i];
    if (this.may_label) this.claiming = this.claims.take(ids[i]);
    this.rings.draw(); this.draw();
  }

  deselect() {
    this.claims.release();
    this.selected = this.current = this.claiming = null; this.confidence = null; this.comment = "";
    delete this.root.dataset.selected; delete this.root.dataset.claimed;
    this.rings?.draw();
  }

  isSelected(cell) { return this.selected !== null && this.cells.ids[this.selected] === cell; }

  next() {
    const { ids, xs, ys } = this.cells;
    if (this.root.dataset.cells === "" && this.stage.slide) { this.openSlide(this.stage.slide.slide); return this.later("next"); }   // they had not arrived
    const from = this.selected !== null ? { x: xs[this.selected], y: ys[this.selected] } : this.stage.center();
    if (!from) return;
    const best = this.rings.nearestOpen(from);
    if (best === null) return this.say(ids.length ? tr("Every cell of this slide has your answer.") : tr("Nobody has marked cells on this slide yet: cytojepa detect finds them."));
    this.select(best);
  }

  previous() {
    this.visited.pop();
    const i = this.visited.pop();
    if (i === undefined) return this.say(tr("There is no cell before this one."));
    this.select(i);
  }

  moved(event) {
    const box = this.stage.node.getBoundingClientRect();
    this.rings.pointer = { x: event.clientX - box.left, y: event.clientY - box.top };
    if (this.rings.hasRuler) this.rings.draw();
  }

  // ---- keys and answers

  key(event) {
    if (isTyping(event) || isShortcut(event) || !this.root.isConnected) return;
    const key = keyOf(event), category = this.may_label ? this.byKey.get(key) : null, command = this.commands.get(key);
    const move = { ArrowLeft: [-PAN_PX, 0], ArrowRight: [PAN_PX, 0], ArrowUp: [0, -PAN_PX], ArrowDown: [0, PAN_PX] }[key];
    const isElsewhere = this.sheets.isCovering || /^(BUTTON|A|INPUT|SELECT|TEXTAREA)$/.test(event.composedPath()[0].tagName);      // Enter belongs to it
    if (key === "Enter" && this.marking?.isOn && !isElsewhere) { event.preventDefault(); event.stopPropagation(); return this.marking.markCenter(); }
    if (!category && !command && !move) return;
    event.preventDefault(); event.stopPropagation();
    if (move) return this.stage.pan(...move);
    if (event.repeat && !/^zoom|^focus/.test(command?.id || "")) return;
    if (category) this.answer(category, { isUnsure: event.shiftKey });
    else this.command(command.id === "undo" && event.shiftKey ? "redo" : command.id);
  }

  keyFor(id) { return keyOfCommand(this.commands, id); }
  offers(id) { return id === "heat" ? this.heat.isOffered : this.may_label || !/^(next|mark|opinion|undo|redo|note|like|unsure|sure|colors)$/.test(id); }

  get helpLead() {
    return this.may_label ? tr("A key answers the chosen cell; {next} goes to the next one. While this list covers the slide, no answer is taken.", { next: this.keyFor("next") })
      : tr("Your role looks at slides; it does not answer cells.");
  }

  command(id) {
    if (!this.offers(id)) return;
    if (this.opening && WAITS.test(id)) return this.later(id);
    const { stage, sheets, rings } = this;
    ({
      next: () => this.next(), previous: () => this.previous(), undo: () => undoSlideStep(this), redo: () => redoSlideStep(this),
      mark: () => this.marking.toggle(), like: () => toCellsLikeThis(this), opinion: () => { if (this.stage.slide) sheets.toggle("opinion"); else slideNotHere(this); },
      marks: () => { rings.isOn = !rings.isOn; }, colors: () => rings.recolor(), heat: () => this.heat.toggle(), ring: () => { rings.hasRuler = !rings.hasRuler; },
      guide: () => sheets.toggle("guide"), help: () => sheets.toggle("help"), note: () => { if (this.selected === null) this.say(this.ringFirst("note")); else sheets.note(this.cells.ids[this.selected]); },
      unsure: () => this.setConfidence("unsure"), sure: () => this.setConfidence("sure"),
      focusUp: () => stage.focus(1), focusDown: () => stage.focus(-1),
      zoomIn: () => stage.zoomBy(1.4), zoomOut: () => stage.zoomBy(1 / 1.4), whole: () => stage.whole(), back: () => backFromSlide(this),
      reset: () => { if (this.marking?.isOn) this.marking.toggle(false); else if (!sheets.close()) this.deselect(); this.said = ""; },
    })[id]();
    rings.draw(); this.draw();
  }

  ringFirst(id) { return tr("Click a ring first, then press {key}; {next} goes to the nearest open cell.", { key: this.keyFor(id) || id, next: this.keyFor("next") }); }

  setConfidence(value) { this.confidence = this.confidence === value ? null : value; this.draw(); }
  say(sentence) { this.said = sentence; this.draw(); }

  async answer(category, { isUnsure = false }) {
    const { selected } = this, cell = this.cells.ids[selected];
    if (this.claiming) await this.claiming;
    if (this.cells.ids[this.selected] !== cell) { this.tally.ignored++; return this.say(tr("Key {key} was not taken: the chosen cell changed meanwhile.", category)); }
    const item = this.current, isCovered = this.sheets.isCovering;
    if (!item || isCovered || this.outbox.signedOut || this.outbox.size >= MOST_WAITING_HERE || !this.rings.isOn && selected === null) {
      this.tally.ignored++;
      if (isCovered) this.sheets.close();
      return this.say(isCovered ? tr("Key {key} was not taken: the slide was covered.", category)
        : selected === null ? this.ringFirst(category.key) : this.said);
    }
    const label = { cell: item.cell, image: item.image, mpp: item.mpp, key: uuid(), category: category.id,
      confidence: this.confidence || (isUnsure ? "unsure" : null), comment: this.comment || null, suggestion: null };
    this.said = ""; this.redoStack = []; this.confidence = null; this.comment = "";
    this.push({ step: label.key, labels: [label] }, Math.round(performance.now() - this.shownAt) / 1000);
    this.panel.flash(category);
    this.rings.draw(); this.draw();
    this.outbox.send();
  }

  push(step, seconds) {
    this.outbox.addStep(step, seconds);
    for (const l of step.labels) if (this.cells.ids.includes(l.cell)) this.answers.set(l.cell, l);
    this.tally.taken += step.labels.length;
    this.past = [...this.past, step].slice(-60);
  }

  undo() { this.command("undo"); }
  isKnown(label) { return this.acknowledged.has(label.key); }

  thumb(item, place) { return thumbOf(this, item, place); }
  draw() { if (this.face) { this.face.draw(); this.panel.draw(); } }
}

export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".slideview");
  return mounted(SLIDE_PAGES, root, data, () => new SlidePage(root, data));
}
