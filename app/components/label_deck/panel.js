// The right side: the answers, how sure, and what became of the last one.
class Panel {
  constructor(deck) {
    this.deck = deck;
    this.hint = tr("Your last answer appears here, with what the suggestion was.");
    this.rows = new Map();
    this.answers = el("div", "answers");
    this.answers.setAttribute("role", "group"); this.answers.setAttribute("aria-label", tr("Answers"));
    let group = null;
    for (const category of deck.categories) {
      if (category.group !== group) this.answers.append(el("div", "group", group = category.group));
      this.answers.append(this.row(category));
    }
    this.unsure = this.toggle("unsure", tr("Unsure"));
    this.sure = this.toggle("sure", tr("Sure"));
    this.note = button("quiet", () => deck.command("note"), tr("Note "), keycap(deck.keyFor("note")));
    this.last = el("div", "last");
    this.last.setAttribute("aria-live", "polite");
    this.node = el("div", "panel", this.answers, el("div", "how", this.unsure, this.sure, this.note), this.last);
  }

  row(category) {
    const text = el("span", "text", el("b", "", category.name), el("small", "", category.description));
    const row = button("row", click => this.deck.answer(category, { pressedAt: click.timeStamp }), keycap(category.key, category.color), shapeOf(category), text, el("span", "p"));
    row.style.setProperty("--c", category.color);
    row.title = category.description;
    row.dataset.category = category.id;
    this.rows.set(category.id, row);
    return row;
  }

  toggle(confidence, text) {
    const node = button("quiet", () => this.deck.command(confidence), `${text} `, keycap(this.deck.keyFor(confidence)));
    node.setAttribute("aria-pressed", "false");
    return node;
  }

  flash(category) {
    const row = this.rows.get(category.id);
    row.classList.add("chosen");
    clearTimeout(row.timer);
    row.timer = setTimeout(() => row.classList.remove("chosen"), 260);
  }

  draw() {
    const { current: item, confidence, comment, mode } = this.deck;
    for (const [id, row] of this.rows) {
      const s = mode === "shown" && item && item.suggestion;
      row.lastChild.textContent = s && s.category === id ? percent(s.probability) : "";
      row.classList.toggle("suggested", Boolean(s && s.category === id));
      row.disabled = !item;
    }
    this.unsure.setAttribute("aria-pressed", String(confidence === "unsure"));
    this.sure.setAttribute("aria-pressed", String(confidence === "sure"));
    this.note.setAttribute("aria-pressed", String(Boolean(comment)));
    this.drawLast();
  }

  drawLast() {
    const step = this.deck.past[this.deck.past.length - 1];
    if (!step) { this.last.replaceChildren(el("p", "hint", this.hint)); return; }
    const label = step.labels[step.labels.length - 1], category = this.deck.byId.get(label.category);
    const you = el("div", "", tr("You: "), el("b", "", category ? category.name : label.category),
      label.confidence ? ` (${label.confidence === "sure" ? tr("sure") : tr("unsure")})` : "", step.labels.length > 1 ? tr(", {n} cells at once", { n: step.labels.length }) : "");
    const lines = [you];
    const s = label.suggestion, guess = s && this.deck.byId.get(s.category);
    if (this.deck.mode !== "hidden") {
      const none = label.kept_back ? tr("kept back on check cells") : this.deck.isKnown(label) ? tr("none yet") : "\u2026";
      lines.push(el("div", "", tr("Suggestion: "), guess ? el("b", "", guess.name) : el("span", "", none), guess ? ` ${percent(s.probability)}` : ""));
    }
    if (guess && label.among) {
      const names = label.among.categories.map(id => this.deck.byId.get(id)?.name || id).join(", ");
      lines.push(el("div", "among", label.among.categories.length > 1 ? tr("One of {names} at {percent} %, from {labels} labels", { ...label.among, names }) : tr("{names} alone at {percent} %, from {labels} labels", { ...label.among, names })));
    }
    if (label.asked_because) lines.push(el("div", "because", tr("Why asked: {reason}", { reason: label.asked_because })));
    if (label.comment) lines.push(el("div", "because", tr("Note: {comment}", { comment: label.comment })));
    const back = button("quiet", () => this.deck.undo(), tr("Take back "), keycap("Z"));
    this.last.replaceChildren(this.deck.thumb(label, "l"), el("div", "words", ...lines), back);
  }
}

function thumbOf(page, item, place) {  // reused: a new element would be fetched and decoded again
  const name = place + item.cell;
  if (!page.thumbs.has(name)) {
    const image = new Image();
    image.src = item.image; image.alt = ""; image.draggable = false;
    page.thumbs.set(name, image);
    if (page.thumbs.size > 400) page.thumbs.delete(page.thumbs.keys().next().value);
  }
  const image = page.thumbs.get(name);
  image.style.rotate = `${90 * (item.turn || 0)}deg`;
  return image;
}
