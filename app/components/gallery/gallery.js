// Many cells at one scale: choose with keys or mouse, answer the chosen ones in one step.
const GALLERIES = new WeakMap();
const HOLD_MOST = 600000;

class Gallery {
  constructor(root, data) {
    Object.assign(this, data);
    this.root = root;
    speak(data, root);
    this.suggested = ""; this.order = "likeness"; this.foils = new Map(); this.examples = new Map();
    this.byKey = new Map(this.categories.map(c => [c.key.toUpperCase(), c]));
    this.byId = new Map(this.categories.map(c => [c.id, c]));
    this.commands = commandKeys(data.commands);
    this.items = []; this.chosen = new Set(); this.cursor = 0; this.anchor = 0; this.answers = new Map(); this.acknowledged = new Set();
    this.past = []; this.redoStack = []; this.said = ""; this.problem = ""; this.isLoading = false;
    const asked = new URLSearchParams(location.search);
    this.like = asked.get("like") || ""; this.wanted = asked.get("cells") || "";   // one page of certain cells, from the map
    this.size = kept("cytojepa/gallery-size", 120); this.tile = kept("cytojepa/gallery-tile", 96);
    this.tally = { taken: 0, saved: 0, refused: 0, ignored: 0 };
    this.holds = new Holds(this.account);
    this.outbox = new Outbox({ name: "labels", account: this.account, url: "/api/v1/labels", csrf: this.csrf,
      on: { change: () => this.drawState(), receipts: (list, own) => this.receive(list, own), elsewhere: e => this.elsewhere(e), isUnfinished: () => this.chosen.size > 0 } });
    this.build();
    document.addEventListener("keydown", this.onKey = e => this.key(e), true);
    window.addEventListener("pagehide", this.onHide = () => this.release());
    this.start();
  }

  destroy() {
    document.removeEventListener("keydown", this.onKey, true);
    window.removeEventListener("pagehide", this.onHide);
    this.release();
    this.outbox.destroy(); this.holds.destroy(); this.isGone = true;
  }

  async start() {
    await this.outbox.ready;
    this.past = this.outbox.steps();
    this.outbox.send();
    await this.load(this.like);
    await this.older();
  }

  // A page holds many cells: colleagues get what was left of it at once, not when it expires. What the next page has
  // asked for already stays.
  release() {
    const cells = this.items.filter(i => this.isOpen(i)).map(i => i.cell);
    if (!cells.length) return null;
    return postJson("/api/v1/release", this.csrf, { cells, until: this.until }, { keepalive: true }).catch(() => null);
  }

  reload() { if (this.isLoading) this.isOutdated = true; else this.load(""); }     // the doctor wants other cells than those under way

  async load(like) {
    if (this.isLoading) return;
    this.like = like;           // what "Try again" asks for
    this.isLoading = true; this.problem = ""; this.said = "";
    const released = this.release();
    this.items = []; this.chosen.clear(); this.answers.clear(); this.foils.clear(); this.cursor = this.anchor = 0;
    this.draw();
    await released;
    try {
      const held = [...this.outbox.cells(), ...this.holds.others(HOLD_MOST)].slice(0, 400).join(",");
      const wanted = this.wanted ? `&cells=${encodeURIComponent(this.wanted)}` : like ? `&like=${encodeURIComponent(like)}` : "";
      const { items, seed, until } = await getJson(`/api/gallery?limit=${this.size}&held=${held}${wanted}&order=${this.order}&suggested=${encodeURIComponent(this.suggested)}`);
      this.seed = seed; this.until = until;
      if (this.isGone) { this.items = items; return this.release(); }
      this.sheet = `/api/atlas?side=128&cells=${items.map(i => i.cell).join(",")}`;
      if (items.length) { const image = new Image(); image.src = this.sheet; await image.decode().catch(unanswered); }
      this.items = items.map((item, place) => ({ ...item, place }));
      this.wanted = ""; this.holds.publish(items.map(i => i.cell));
    } catch (error) {
      if (error.status === 401) this.outbox.signedOut = true;
      this.problem = error.message;
    }
    this.isLoading = false;
    this.draw();
    if (this.isOutdated) { this.isOutdated = false; return this.load(""); }
    this.root.dataset.ready = String(this.items.length);
  }

  async older() {
    const error = await readEarlier(this);
    this.drawState();
    return error;
  }

  receive(receipts, own) {
    const done = new Map(receipts.map(r => [r.key, r]));
    for (const [cell, label] of this.answers) {
      const receipt = done.get(label.key);
      if (!receipt) continue;
      this.acknowledged.add(label.key);
      label.suggestion = receipt.suggestion;
      if (typeof receipt.foil === "boolean") this.foils.set(cell, receipt.foil);
      if (!receipt.accepted) this.answers.delete(cell);
    }
    tellFoils(this, receipts);
    const refused = new Map(receipts.filter(r => !r.accepted).map(r => [r.key, r]));   // also of a page that was left
    for (const { reason } of refused.values()) this.said = tr("One answer was refused: {reason}", { reason });
    if (refused.size) this.past = this.past.map(s => ({ ...s, labels: s.labels.filter(l => !refused.has(l.key)) })).filter(s => s.labels.length);
    for (const receipt of receipts) if (own.has(receipt.key)) this.tally[receipt.accepted ? "saved" : "refused"]++;
    this.drawTiles();
  }

  elsewhere(event) {
    if (event.kind === "label" && this.items.some(i => i.cell === event.cell)) this.answers.set(event.cell, { ...event, suggestion: null });
    if (event.kind === "undo") withoutUndone(this, event);
    this.drawTiles();
  }

  // ---- choosing and answering

  get columns() { return Math.max(1, getComputedStyle(this.grid).gridTemplateColumns.split(" ").length); }
  offers() { return true; }
  get helpLead() { return galleryLead(); }
  isKnown(label) { return this.acknowledged.has(label.key); }
  say(sentence) { this.said = sentence; this.drawState(); }
  isOpen(item) { return !this.answers.has(item.cell); }

  key(event) {
    if (isTyping(event) || isShortcut(event) || this.sheets.takes(event) || !this.root.isConnected) return;
    const key = keyOf(event), category = this.byKey.get(key), command = this.commands.get(key);
    const isOnButton = event.composedPath()[0].tagName === "BUTTON" && /^(Enter| )$/.test(event.key);
    const move = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns }[key];
    if (isOnButton || (!category && !command && !move)) return;
    event.preventDefault(); event.stopPropagation();
    if (move) return this.moveTo(this.cursor + move, event.shiftKey);
    if (event.repeat) return;
    if (category) this.answer(category);
    else this.command(command.id === "undo" && event.shiftKey ? "redo" : command.id);
  }

  moveTo(index, isExtending) {
    if (!this.items.length) return this.isLoading ? this.say(notHere()) : null;
    this.cursor = Math.max(0, Math.min(this.items.length - 1, index));
    if (isExtending) this.range(this.anchor, this.cursor); else this.anchor = this.cursor;
    this.drawTiles();
    this.tiles[this.cursor]?.scrollIntoView({ block: "nearest" });
  }

  range(a, b) { for (let i = Math.min(a, b); i <= Math.max(a, b); i++) if (this.isOpen(this.items[i])) this.chosen.add(this.items[i].cell); }

  toggle(index) {
    const item = this.items[index];
    if (!item || !this.isOpen(item)) return;
    if (!this.chosen.delete(item.cell)) this.chosen.add(item.cell);
  }

  click(index, event) {
    this.cursor = index;
    if (event.shiftKey) this.range(this.anchor, index); else { this.toggle(index); this.anchor = index; }
    this.drawTiles();
  }

  command(id) {
    const open = this.items.filter(i => this.isOpen(i)).map(i => i.cell);
    if (this.isLoading && /^(pick|all|invert|like|slide|example)$/.test(id)) return this.say(notHere());
    ({
      pick: () => { this.toggle(this.cursor); this.drawTiles(); },
      all: () => { open.forEach(c => this.chosen.add(c)); this.drawTiles(); },
      invert: () => { this.chosen = new Set(open.filter(c => !this.chosen.has(c))); this.drawTiles(); },
      none: () => { if (!this.sheets.close()) this.chosen.clear(); this.said = ""; this.draw(); },
      undo: () => this.undo(), redo: () => this.redo(),
      like: () => { const { cell } = this.items[this.cursor] || {}; if (cell) leaveChoice(this, "like", () => this.load(cell)); },
      slide: () => { if (this.items[this.cursor]) location.assign(`/slide?cell=${this.items[this.cursor].cell}&from=gallery`); },
      example: () => this.example(), next: () => leaveChoice(this, "next", () => this.load("")), help: () => this.sheets.toggle("help"),
    })[id]();
  }

  answer(category) {
    const cells = this.items.filter(i => this.chosen.has(i.cell) && this.isOpen(i));
    if (this.outbox.signedOut) return;
    if (this.sheets.isCovering) {
      this.sheets.close(); this.tally.ignored++;
      return this.say(tr("Key {key} was not taken: the cells were covered.", category));
    }
    if (!cells.length) return this.say(this.isLoading ? notHere() : tr("Choose cells first, then press {key}: it answers all chosen cells at once.", { key: category.key }));
    const step = uuid();
    this.redoStack = [];
    this.push({ step, labels: cells.map(i => ({ cell: i.cell, image: i.image, mpp: i.mpp, key: uuid(), category: category.id, suggestion: null })) });
    this.chosen.clear();
    this.said = "";
    this.draw();
  }

  push(step) {
    this.outbox.addStep(step);
    for (const l of step.labels) this.answers.set(l.cell, l);
    if (step.labels.length === 1) step.step = step.labels[0].key;
    this.tally.taken += step.labels.length;
    this.past.push(step);
    this.outbox.send();
  }

  // One after the other: a second press means the outcome of the first.
  example() {
    const item = this.items[this.cursor];
    if (item && !this.outbox.signedOut) this.exampling = Promise.resolve(this.exampling).then(() => this.toggleExample(item));
  }

  async toggleExample(item) {
    const category = this.byId.get(this.answers.get(item.cell)?.category), was = this.examples.get(item.cell);
    const [now, said] = await toggleExample(this.csrf, item.cell, was ? this.byId.get(was) : category, Boolean(was));
    if (now) this.examples.set(item.cell, now); else this.examples.delete(item.cell);
    this.said = said;
    this.drawTiles();
  }

  undo() { return undoGalleryStep(this); }
  redo() { return redoGalleryStep(this); }
  renewed(csrf) { this.outbox.renew(csrf); if (this.problem) this.load(this.like); }

  // ---- drawing

  build() {
    const r = this.root;
    r.classList.add("cj");
    this.sheets = new Sheets(this);
    this.title = el("div", "ask"); this.saved = el("div", "saved"); this.saved.setAttribute("role", "status");
    const help = button("pill help", () => this.command("help"), "?");
    help.setAttribute("aria-label", tr("Keys and help"));
    this.grid = el("div", "grid"); this.grid.setAttribute("role", "listbox"); this.grid.setAttribute("aria-multiselectable", "true"); this.grid.setAttribute("aria-label", tr("Cells of this page"));
    this.grid.tabIndex = 0;
    this.message = el("div", "message"); this.notice = el("div", "notice"); this.notice.setAttribute("role", "alert");
    this.view = { node: el("div", "frame", el("div", "board", this.grid, this.message), this.notice) };      // where sheets open
    this.scale = el("div", "scalebar"); this.bar = el("div", "answerbar"); this.tools = el("div", "keys");
    for (const c of this.categories) {
      const b = button("answer", () => this.answer(c), keycap(c.key, c.color), shapeOf(c), el("span", "", c.name));
      b.title = c.description;
      this.bar.append(b);
    }
    for (const [key, c] of this.commands) {
      if (key === c.key && c.short) this.tools.append(button("tool", () => this.command(c.id), keycap(shownKey(key)), c.short));
    }
    r.replaceChildren(el("div", "top", this.title,
      ...galleryChoices(this),
      this.saved, help), this.view.node, this.bar, el("div", "foot", this.tools, el("div", "grow"), this.scale));
  }

  draw() {
    this.grid.style.setProperty("--tile", `${this.tile}px`);
    this.tiles = this.items.map((item, index) => this.tileOf(item, index));
    const nodes = [];
    let group;
    for (const [index, item] of this.items.entries()) {
      const name = item.suggestion ? this.byId.get(item.suggestion.category)?.name : null;
      if (name && name !== group) nodes.push(el("h3", "band", tr("Suggested: {name}", { name: group = name })));
      nodes.push(this.tiles[index]);
    }
    this.grid.replaceChildren(...nodes);
    this.drawTiles();
  }

  tileOf(item, index) {
    const tile = el("div", "tile", el("span", "mark"));
    tile.setAttribute("role", "option");
    const rows = Math.ceil(this.items.length / this.atlas_columns), columns = Math.min(this.items.length, this.atlas_columns);
    tile.style.backgroundImage = `url("${this.sheet}")`;
    tile.style.backgroundSize = `${columns * this.tile}px ${rows * this.tile}px`;
    tile.style.backgroundPosition = `-${(item.place % this.atlas_columns) * this.tile}px -${Math.floor(item.place / this.atlas_columns) * this.tile}px`;
    tile.dataset.cell = item.cell;
    tile.addEventListener("click", event => this.click(index, event));
    return tile;
  }

  drawTiles() {
    for (const [index, item] of this.items.entries()) {
      const tile = this.tiles[index], answer = this.answers.get(item.cell), category = answer && this.byId.get(answer.category);
      const isChosen = this.chosen.has(item.cell);
      tile.classList.toggle("chosen", isChosen); tile.classList.toggle("cursor", index === this.cursor); tile.classList.toggle("done", Boolean(answer)); tile.classList.toggle("foil", Boolean(answer && this.foils.get(item.cell)));
      tile.classList.toggle("example", this.examples.has(item.cell));
      tile.setAttribute("aria-selected", String(isChosen));
      const differs = answer && answer.suggestion && answer.suggestion.category !== answer.category;
      tile.setAttribute("aria-label", tr("Cell {n}", { n: index + 1 }) + (category ? `, ${category.name}` : "") + (isChosen ? tr(", chosen") : "") + (this.examples.has(item.cell) ? tr(", an example") : ""));
      const mark = tile.firstChild;
      mark.textContent = category ? category.name + (differs ? ` \u2260 ${this.byId.get(answer.suggestion.category)?.name}` : "") : "";
      mark.title = differs ? tr("The suggestion was {name} {percent}", { name: this.byId.get(answer.suggestion.category)?.name, percent: percent(answer.suggestion.probability) }) : "";
      mark.style.background = category ? category.color : ""; mark.style.color = category ? inkOn(category.color) : "";
    }
    this.drawState();
  }

  drawState() {
    const n = this.outbox.size, open = this.items.filter(i => this.isOpen(i)).length;
    drawSaved(this.saved, this.outbox);
    drawGalleryTitle(this, open);
    Object.assign(this.root.dataset, { chosen: this.chosen.size, open, waiting: n, taken: this.tally.taken, acknowledged: this.tally.saved });
    for (const b of this.bar.children) b.disabled = !this.chosen.size;
    drawGalleryMessage(this); drawGalleryScale(this);
    drawNotice(this.notice, this.said, this.outbox);
  }
}

export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".gallery");
  return mounted(GALLERIES, root, data, () => new Gallery(root, data));
}
