// What opens over the picture: the keys, the criteria, the tone; and the field for a comment.
class Sheets {
  constructor(deck) {
    this.deck = deck;
    this.open = null; this.node = null;
  }

  get isCovering() { return ["help", "guide", "opinion", "which"].includes(this.open); }

  takes(event) { return event.key.startsWith("Arrow") && (this.isCovering || event.composedPath()[0].type === "range"); }    // to scroll, or for a slider

  toggle(name) {
    const isSame = this.open === name;
    this.close();
    if (!isSame) this.show(name, { help: () => this.help(), guide: () => this.guide(), tone: () => this.tonePanel(), opinion: () => this.deck.opinion.sheet() }[name]());
  }

  show(name, node) {
    this.open = name; this.node = node;
    node.dataset.sheet = name;
    this.deck.view.node.append(node);
    if (!this.isCovering) return;
    this.before = node.getRootNode().activeElement;
    node.focus({ preventScroll: true });       // arrows scroll it, and Tab goes through it
  }

  close() {
    if (!this.node) return false;
    this.node.remove();
    this.before?.focus({ preventScroll: true });
    this.node = this.open = this.before = null;
    return true;
  }

  sheet(title, lead, ...content) {
    const node = el("div", "sheet", button("quiet close", () => this.close(), tr("Close "), keycap("Esc")), el("h2", "", title), el("p", "lead", lead), ...content);
    node.setAttribute("role", "dialog"); node.setAttribute("aria-label", title); node.tabIndex = 0;
    return node;
  }

  help() {
    const { tally: t, categories, commands } = this.deck;
    const act = id => (id === "wide" ? undefined : () => { this.close(); if (id !== "help") this.deck.command(id); });
    const known = [...commands.entries()].filter(([key, c]) => key === c.key && this.deck.offers(c.id));
    return this.sheet(tr("Keys"), this.deck.helpLead,
      el("div", "columns", ...categories.map(c => keyLine(c.key, `${c.name}: ${c.description}`, c)), ...known.map(([key, c]) => keyLine(key, c.text, { act: act(c.id) }))),
      ...(this.deck.helpEnd ? [el("p", "lead", this.deck.helpEnd)] : []),
      ...(t ? [el("p", "lead", tourLink(tr("The three-minute tour with drawn cells"))),
        el("p", "lead count", tr("Since this page was opened: {taken} taken, {saved} saved, {refused} refused, {ignored} not taken", t))] : []));
  }

  guide() {
    const cards = new Map();
    const columns = el("div", "columns guide", ...this.deck.categories.map(c => {
      const cells = el("div", "cells");
      cards.set(c.id, cells);
      return el("section", "", el("h3", "", keycap(c.key, c.color), shapeOf(c), c.name),
        el("ul", "", ...(c.criteria.length ? c.criteria : [c.description]).map(text => el("li", "", text))), cells);
    }));
    const sheet = this.sheet(tr("Criteria"), tr("A reminder in short words, sizes relative to an intermediate nucleus of 35 \u00b5m\u00b2. " +
      "The cells below are decided ones or your own; they are never cells that you will be asked about."), columns);
    getJson("/api/references").then(({ categories }) => {
      for (const [id, cells] of Object.entries(categories)) {
        cards.get(id)?.append(...cells.map(cell => {
          const image = new Image();
          image.src = cell.image;
          image.title = image.alt = cell.source === "exemplar" ? tr("Reference cell (example)") : cell.source === "verdict" ? tr("Reference cell (verdict)") : tr("Reference cell (your label)");
          return image;
        }));
      }
    }).catch(error => columns.before(el("p", "lead", tr("The reference cells did not arrive: {reason}", { reason: error.message }))));
    return sheet;
  }

  tonePanel() {
    const view = this.deck.view;
    const slider = (name, text, min, max, step) => {
      const input = el("input");
      Object.assign(input, { type: "range", min, max, step, value: view.tone[name] });
      input.addEventListener("input", () => view.setTone(name, Number(input.value)));
      return el("label", "", el("span", "", text), input);
    };
    const node = el("div", "tone", slider("brightness", tr("Brightness"), -60, 60, 2), slider("contrast", tr("Contrast"), -60, 100, 2),
      slider("gamma", tr("Gamma"), 0.4, 2.5, 0.05), button("quiet", () => { view.reset(); this.toggle("tone"); this.toggle("tone"); }, tr("As scanned")));
    node.setAttribute("role", "group"); node.setAttribute("aria-label", tr("Tone of the picture"));
    return node;
  }

  note(cell) {       // of the cell that is seen now, whichever comes on screen while it is written
    this.close();
    const input = el("input", "noteinput");
    Object.assign(input, { type: "text", maxLength: 500, value: this.deck.comment, placeholder: tr("Comment on this cell; no names. Enter keeps it, Esc drops it.") });
    input.setAttribute("aria-label", tr("Comment on this cell"));
    input.addEventListener("keydown", event => {
      if (event.key !== "Enter" && event.key !== "Escape") return;
      event.preventDefault(); event.stopPropagation();
      const isSame = this.deck.isSelected(cell);
      if (event.key === "Enter" && isSame) this.deck.comment = input.value.trim();
      this.close();
      this.deck.root.focus();
      if (event.key === "Enter" && !isSame) this.deck.say(tr("The note was not kept: its cell is no longer the one on screen."), false);
      this.deck.draw();
    });
    this.show("note", el("div", "notebox", input));
    input.focus();
  }
}
