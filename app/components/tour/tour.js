// Three minutes of keys on drawn cells. It knows no address of the server: nothing here is a label.
const TOURS = new WeakMap();

class Tour {
  constructor(root, data) {
    Object.assign(this, data);
    speak(data, root);
    this.root = root;
    this.byKey = new Map(this.categories.map(c => [c.key.toUpperCase(), c]));
    this.commands = commandKeys(TOUR_COMMANDS);
    this.at = 0; this.last = null; this.said = "";
    this.build();
    document.addEventListener("keydown", this.onKey = e => this.key(e), true);
    document.addEventListener("keyup", this.onKeyUp = e => { if (this.commands.get(keyOf(e))?.id === "wide") this.wideOver(); }, true);
    window.addEventListener("blur", this.onBlur = () => this.wideOver());
    this.show();
  }

  destroy() {
    document.removeEventListener("keydown", this.onKey, true);
    document.removeEventListener("keyup", this.onKeyUp, true);
    window.removeEventListener("blur", this.onBlur);
    this.view.destroy();
  }

  get step() { return TOUR_STEPS[this.at] || null; }
  get cell() { return this.step && this.cells[this.step.cell]; }

  build() {
    this.root.classList.add("cj");
    this.view = new View({ referenceUm2: this.reference_um2, wideFactor: this.wide_factor, onChange: () => {} });
    this.words = el("div", "words");
    this.words.setAttribute("aria-live", "polite");
    const rows = this.categories.map(c => button("row", () => this.answer(c), keycap(c.key, c.color), shapeOf(c), el("b", "", c.name)));
    this.skip = el("a", "pill skip", tr("Skip the tour")); this.skip.href = "/";
    const commands = [...this.commands.values()].map(c => button("quiet", () => this.command(c.id, true), keycap(c.key),
      { undo: tr("take back"), wide: tr("wider field"), ring: tr("ring"), stain: tr("haematoxylin") }[c.id]));
    this.root.replaceChildren(el("div", "top", el("h2", "", tr("Three minutes with drawn cells")), el("div", "grow"), this.skip),
      this.view.node, el("div", "side", this.words, el("div", "rows", ...rows), el("div", "commands", ...commands)));
  }

  async show() {
    this.draw();
    if (!this.cell) return this.view.clear();
    const image = new Image(), cell = this.cell;
    image.src = cell.image;
    await image.decode();
    if (this.cell === cell) this.view.show(cell, image);
    this.root.dataset.step = this.at;
  }

  key(event) {
    if (isTyping(event) || isShortcut(event) || !this.root.isConnected) return;
    const key = keyOf(event), category = this.byKey.get(key), command = this.commands.get(key);
    if (!category && !command) return;
    event.preventDefault(); event.stopPropagation();
    if (event.repeat) return;
    if (category) this.answer(category); else this.command(command.id);
  }

  answer(category) {
    const step = this.step;
    if (!step) return;
    this.last = { answer: category, drawn: step.reveal ? this.cell.category : null };
    if (step.until === "answer" || step.until === category.key) this.done();
    else this.draw();
  }

  command(id, isClick = false) {
    if (!this.step) return;
    if (id === "ring") this.view.toggleRing();
    if (id === "stain") this.view.toggleStain();
    if (id === "wide") this.wideBegins(isClick);
    if (id === "undo") this.last = null;
    if (this.step.until === id && id !== "wide") this.doneAfter(id === "undo" ? 0 : 1300);
  }

  doneAfter(pause) {  // a key that is pressed twice ends one step, not two
    const { step } = this;
    setTimeout(() => { if (this.step === step) this.done(); }, pause);
  }

  // The wider field is seen as long as its key is held, and a moment at least, however late it arrives.
  async wideBegins(isClick) {
    const { step } = this;
    this.isHeld = !isClick; this.isSeen = false;
    await this.wide(true);
    setTimeout(() => { this.isSeen = true; if (!this.isHeld && this.step === step) this.wideOver(); }, isClick ? 1200 : 900);
  }

  wideOver() {
    const isAsked = this.step?.until === "wide";
    this.isHeld = false;
    if (isAsked && !this.isSeen) return;      // its timer comes
    this.wide(false);
    if (isAsked) this.done();
  }

  async wide(isOn) {
    const cell = this.cell;
    if (!isOn || !cell) { if (this.view.isWide) this.view.setWide(null); return; }
    const image = new Image();
    image.src = cell.wide;
    await image.decode();
    if (this.cell === cell) this.view.setWide(image);
  }

  done() {
    if (!this.step) return;
    this.said = this.step.say;
    if (this.view.stain) this.view.toggleStain();
    if (this.view.hasRing) this.view.toggleRing();
    this.view.setWide(null);
    this.at += 1;
    this.show();
    this.root.dataset.step = this.at;
  }

  draw() {
    const step = this.step, lines = [];
    if (this.last) lines.push(el("p", "you", tr("You: "), el("b", "", this.last.answer.name)));
    if (this.last && this.last.drawn) lines.push(el("p", "you", tr("Suggestion: "), el("b", "", this.last.drawn), tr(" (made up for this tour)")));
    if (this.said) lines.push(el("p", "said", tr(this.said)));
    if (step) {
      lines.push(el("p", "count", tr("Step {n} of {all}", { n: this.at + 1, all: TOUR_STEPS.length })), el("h3", "", tr(step.title)), el("p", "", tr(step.text)));
    } else {
      const start = el("a", "", tr("Start labelling")), again = button("quiet", () => { this.at = 0; this.last = null; this.said = ""; this.show(); }, tr("Once more"));
      start.href = "/";
      lines.push(el("h3", "", tr("That is all")), el("p", "", tr("? shows all keys, and this tour is there again. Unsaved answers stay in your browser; " +
        "after 25 minutes the page offers a break.")), el("p", "", start), again);
    }
    this.skip.textContent = step ? tr("Skip the tour") : tr("To the cells");
    this.words.replaceChildren(...lines);
  }
}

export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".tour");
  if (!TOURS.has(root)) TOURS.set(root, new Tour(root, data));
  return () => { TOURS.get(root)?.destroy(); TOURS.delete(root); };
}
