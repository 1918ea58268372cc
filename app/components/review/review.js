// Disagreements one by one: the cell, what each doctor said, and one key for the verdict. The
// suggestion stays hidden until the verdict is given, as it does for a label.
const REVIEWS = new WeakMap();
const OF_A_CASE = /^(example|wide|like|slide)$/;     // commands that mean the cell on screen

class Review {
  constructor(root, data) {
    Object.assign(this, data);
    this.root = root;
    speak(data, root);
    this.byKey = new Map(this.categories.map(c => [c.key.toUpperCase(), c]));
    this.byId = new Map(this.categories.map(c => [c.id, c]));
    this.commands = commandKeys(data.commands);
    this.cases = []; this.given = new Map(); this.at = 0; this.said = ""; this.problem = ""; this.isLoaded = false; this.past = []; this.drafts = new Map();
    this.withImported = kept("cytojepa/review-imported", false);
    this.outbox = new Outbox({ name: "verdicts", account: this.account, url: "/api/verdicts", csrf: this.csrf,
      on: { change: () => this.drawState(), receipts: list => this.receive(list), elsewhere: () => {}, isUnfinished: () => this.drafts.size > 0 } });
    this.build();
    document.addEventListener("keydown", this.onKey = e => this.key(e), true);
    document.addEventListener("keyup", this.onKeyUp = e => { if (this.commands.get(keyOf(e))?.id === "wide") this.wide(false); }, true);
    window.addEventListener("blur", this.onBlur = () => this.wide(false));
    this.outbox.ready.then(() => { this.outbox.send(); this.load(); });
  }

  destroy() {
    document.removeEventListener("keydown", this.onKey, true);
    document.removeEventListener("keyup", this.onKeyUp, true);
    window.removeEventListener("blur", this.onBlur);
    newest(this, "cases"); this.cases = [];       // nothing comes on screen any more
    this.outbox.destroy(); this.view.destroy();
  }

  async load() {
    const isNewest = newest(this, "cases");
    this.given = new Map(this.outbox.events().map(e => [e.cell, e]));     // verdicts that the answer may not know yet
    try {
      const asked = new URLSearchParams(location.search).get("cell") || "";
      const { cases } = await getJson(`/api/cases?imported=${this.withImported ? 1 : 0}&cell=${encodeURIComponent(asked)}`);
      if (!isNewest()) return;
      this.cases = cases.map(c => (this.given.has(c.cell) ? { ...c, verdict: this.verdictOf(this.given.get(c.cell)) } : c));
      const back = this.cases.findIndex(c => c.cell === asked);
      this.at = back >= 0 ? back : Math.max(0, this.cases.findIndex(c => !c.verdict));
      this.problem = "";
    } catch (error) {
      if (error.status === 401) this.outbox.signedOut = true;
      if (!isNewest()) return;
      this.problem = error.message;
      if (this.case) this.said = tr("The cells did not arrive.") + ` ${error.message}`;
    }
    this.isLoaded = true;
    this.show();
  }

  verdictOf(event) { return event.category === null ? null : { category: event.category, by: this.account, comment: event.comment }; }

  receive(receipts) {
    const refused = receipts.find(r => !r.accepted);
    if (refused) { this.said = tr("A verdict was refused: {reason}", { reason: refused.reason }); this.load(); }
  }

  renewed(csrf) { this.outbox.renew(csrf); if (this.problem) this.load(); }

  get case() { return this.cases[this.at] || null; }

  async show() {
    const found = this.case;
    this.draw();
    if (!found) return this.blank();
    const late = setTimeout(() => { if (this.case === found) this.blank(); }, LATE), image = new Image();
    image.src = found.image;
    try {
      await image.decode();
      if (this.case !== found) return;
      this.view.show(found, image);
      this.painted = found.cell; this.shownAt = performance.now();
      this.root.dataset.cell = found.cell;
    } catch {
      if (this.case === found) { this.blank(); this.say(tr("The picture of this cell did not arrive; it is asked for again.")); }
      setTimeout(() => { if (this.case === found && !this.isSeen) this.show(); }, 1000);
      return;
    } finally { clearTimeout(late); }
    this.drawState();
    const following = this.cases[this.at + 1];
    if (following) new Image().src = following.image;
  }

  get isSeen() { return Boolean(this.case) && this.painted === this.case.cell; }

  blank() {      // its answers must not stand beside another cell
    this.painted = null; this.view.clear(); delete this.root.dataset.cell;
    this.drawState();
  }

  async wide(isOn) {
    const found = this.isSeen ? this.case : null;
    this.isHeld = isOn;
    if (!isOn || !found) { if (this.view.isWide) this.view.setWide(null); return; }
    const image = new Image();
    image.src = found.image.replace(/image$/, "wide");
    try { await image.decode(); } catch {
      if (this.case === found) this.say(navigator.onLine && !this.outbox.isFailing ? tr("No wider field of this cell is kept.") : tr("The wider field did not arrive: the server cannot be reached."));
      return;
    }
    if (this.isHeld && this.case === found) this.view.setWide(image);
  }

  key(event) {
    if (isTyping(event) || isShortcut(event) || this.sheets.takes(event) || !this.root.isConnected) return;
    const key = keyOf(event), category = this.byKey.get(key), command = this.commands.get(key);
    if (!category && !command) return;
    event.preventDefault(); event.stopPropagation();
    if (event.repeat) return;
    if (category) this.decide(category.id, event.timeStamp);
    else this.command(command.id);
  }

  keyFor(id) { return keyOfCommand(this.commands, id); }
  offers() { return true; }
  say(sentence) { this.said = sentence; this.drawState(); }
  get helpLead() { return tr("One key gives the verdict and brings the next cell. While this list covers the cell, no verdict is taken."); }

  command(id) {
    const { view, sheets } = this;
    if (OF_A_CASE.test(id) && !this.isSeen) return this.say(this.isEarly ? tooEarly(this.keyFor(id)) : "");
    ({
      back: () => this.go(-1), next: () => this.go(1), undo: () => this.undo(), example: () => this.example(), wide: () => this.wide(true),
      ring: () => view.toggleRing(), stain: () => view.toggleStain(), zoomIn: () => view.zoomBy(1.35), zoomOut: () => view.zoomBy(1 / 1.35),
      darker: () => view.setTone("brightness", view.tone.brightness - 6), brighter: () => view.setTone("brightness", view.tone.brightness + 6),
      tone: () => sheets.toggle("tone"), guide: () => sheets.toggle("guide"), help: () => sheets.toggle("help"),
      reset: () => { if (!sheets.close()) view.reset(); },
      like: () => location.assign(`/gallery?like=${this.painted}`), slide: () => location.assign(`/slide?cell=${this.painted}&from=review`),
    })[id]();
  }

  go(step) { this.at = Math.max(0, Math.min(this.cases.length - 1, this.at + step)); this.show(); }

  get isEarly() { return Boolean(this.case) || !this.isLoaded; }       // there is a cell, or may be one

  decide(categoryId, pressedAt) {
    const found = this.case, category = this.byId.get(categoryId);
    if (this.outbox.signedOut) return;
    // A key that was pressed before this cell was drawn was meant for another one.
    if (!this.isSeen || pressedAt < this.shownAt) return this.say(this.isEarly ? tooEarly(category.key) : "");
    if (this.sheets.isCovering) {
      this.sheets.close();
      return this.say(tr("Key {key} was not taken: the cell was covered.", category));
    }
    this.drafts.delete(found.cell);
    this.past.push({ found, before: found.verdict });
    this.store(found, categoryId, this.comment.value.trim() || null);
    this.said = this.revealed(found, categoryId);
    if (this.at < this.cases.length - 1) this.go(1); else this.show();
  }

  revealed(found, categoryId) {
    const s = found.suggestion, name = id => this.byId.get(id)?.name || id;
    return tr("Verdict {name}.", { name: name(categoryId) }) + (s ? tr(" The suggestion had been {name} {percent}.", { name: name(s.category), percent: percent(s.probability) }) : "");
  }

  store(found, category, comment) {
    const event = { key: uuid(), kind: "verdict", cell: found.cell, category, comment };
    found.verdict = this.verdictOf(event);
    this.given.set(found.cell, event);
    this.outbox.add(event);
    this.outbox.send();
  }

  // One after the other: a second press means the outcome of the first.
  example() {
    const found = this.case;
    if (!this.outbox.signedOut) this.exampling = Promise.resolve(this.exampling).then(() => this.toggleExample(found));
  }

  async toggleExample(found) {
    const was = found.example ? this.byId.get(found.example) : null;
    [found.example, this.said] = await toggleExample(this.csrf, found.cell, was || this.byId.get(found.verdict?.category), Boolean(was));
    this.drawState();
  }

  undo() {  // the verdict before it counts again; where there was none the cell is open again
    const last = this.past.pop();
    if (!last) return this.say(tr("There is nothing more to take back here."));
    const at = this.cases.findIndex(c => c.cell === last.found.cell);     // it may be left out of the list by now
    if (at >= 0) this.at = at;
    this.store(this.cases[at] || last.found, last.before ? last.before.category : null, last.before ? last.before.comment : null);
    this.said = tr("The verdict was taken back.");
    this.show();
  }

  build() {
    const r = this.root;
    r.classList.add("cj");
    this.view = new View({ referenceUm2: this.reference_um2, wideFactor: this.wide_factor, onChange: () => {} });
    this.sheets = new Sheets(this);
    const help = button("pill help", () => this.command("help"), "?");
    help.setAttribute("aria-label", tr("Keys and help"));
    this.title = el("div", "ask"); this.saved = el("div", "saved"); this.saved.setAttribute("role", "status");
    const box = el("input");
    Object.assign(box, { type: "checkbox", checked: this.withImported });
    box.addEventListener("change", () => { this.withImported = box.checked; keep("cytojepa/review-imported", box.checked); this.load(); });
    this.list = el("div", "opinions"); this.bar = el("div", "verdicts"); this.message = el("div", "message");
    this.comment = el("input", "noteinput");
    Object.assign(this.comment, { type: "text", maxLength: 500, placeholder: tr("Reason for the verdict (optional; no names)") });
    this.comment.setAttribute("aria-label", tr("Reason for the verdict"));
    this.comment.addEventListener("input", () => this.draft());
    this.comment.addEventListener("keydown", e => { if (e.key === "Enter" || e.key === "Escape") this.comment.blur(); });
    this.notice = el("div", "notice calm"); this.notice.setAttribute("role", "status");
    for (const c of this.categories) {
      const b = button("answer", click => this.decide(c.id, click.timeStamp), keycap(c.key, c.color), shapeOf(c), el("span", "", c.name));
      b.title = c.description; b.dataset.category = c.id;
      this.bar.append(b);
    }
    const shown = { back: tr("before"), next: tr("next"), undo: tr("take back"), wide: tr("hold: wider field"), ring: tr("nucleus ring"), stain: tr("haematoxylin"),
      guide: tr("criteria"), slide: tr("on the slide"), like: tr("cells like this"), example: tr("good example") };
    const tool = (id, text) => button("tool", () => { if (id !== "wide") this.command(id); }, keycap(shownKey(this.keyFor(id))), text);
    const keys = el("div", "keys", ...Object.entries(shown).filter(([id]) => this.keyFor(id))
      .map(([id, text]) => (id === "wide" ? held(tool(id, text), isOn => this.wide(isOn)) : tool(id, text))));
    this.view.node.append(this.message);
    r.replaceChildren(el("div", "top", this.title, el("label", "check", box, tr("compare with the labels that came with the data")), this.saved, help),
      this.view.node, el("div", "side", el("h3", "", tr("What they said")), this.list, el("h3", "", tr("Verdict")), this.bar, this.comment, this.notice), keys);
  }

  draw() {
    const found = this.case;
    this.comment.value = this.drafts.get(found?.cell) ?? found?.verdict?.comment ?? "";
    this.list.replaceChildren(...(found ? found.answers.map(a => this.opinion(a)) : []));
    for (const b of this.bar.children) {
      b.disabled = !found;
      b.setAttribute("aria-pressed", String(Boolean(found?.verdict) && found.verdict.category === b.dataset.category));
    }
    this.drawState();
  }

  // A reason that waits for its verdict is still there after a look at another cell.
  draft() {
    const { case: found, comment } = this, isSame = comment.value.trim() === (found?.verdict?.comment || "");
    if (isSame || !found) this.drafts.delete(found?.cell); else this.drafts.set(found.cell, comment.value);
  }

  opinion(answer) {
    const category = this.byId.get(answer.category);
    const who = answer.annotator === "imported" ? tr("came with the data") : answer.annotator;
    const detail = [answer.confidence && (answer.confidence === "sure" ? tr("sure") : tr("unsure")), answer.seconds === null ? null : `${answer.seconds.toFixed(1)} s`].filter(Boolean).join(", ");
    const card = el("div", "opinion", category ? shapeOf(category) : "", el("div", "", el("b", "", category ? category.name : answer.category),
      el("div", "by", who + (detail ? ` \u00b7 ${detail}` : "")), answer.comment ? el("div", "by", `\u201c${answer.comment}\u201d`) : null));
    card.style.setProperty("--c", category ? category.color : "#666666");
    return card;
  }

  drawState() {
    const n = this.outbox.size, open = this.cases.filter(c => !c.verdict).length, found = this.case;
    drawSaved(this.saved, this.outbox);
    this.title.replaceChildren(el("b", "", found ? tr("Cell {n} of {all}", { n: this.at + 1, all: this.cases.length }) : tr("Review")),
      found ? tr(" {open} without a verdict", { open }) + (found.verdict ? tr("; this one is decided") : "") + (found.example ? tr("; an example of {name}", { name: this.byId.get(found.example)?.name || found.example }) : "") : "");
    Object.assign(this.root.dataset, { waiting: n, open, cases: this.cases.length, loaded: this.isLoaded });
    drawNotice(this.notice, this.said, this.outbox);
    this.message.replaceChildren(...(found ? this.root.dataset.cell ? [] : [tr("Fetching the cell\u2026")] : !this.isLoaded ? [tr("Fetching the cells\u2026")]
      : this.problem ? [el("b", "", tr("The cells did not arrive.")), el("p", "", this.problem), button("quiet", () => this.load(), tr("Try again"))]
      : [el("b", "", tr("Nobody disagrees.")), el("p", "", [tr("Cells come here when two doctors answered differently."),
        this.reads > 1 ? "" : tr("In this study one doctor answers a cell, but for the few that are shared; reads = 2 in cytojepa.toml asks two about each."),
        tr("The labels that came with the data can be compared as well, see the box above.")].filter(Boolean).join(" "))]));
  }
}

export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".review");
  return mounted(REVIEWS, root, data, () => new Review(root, data));
}
