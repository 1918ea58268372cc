// Everything of the surface that is neither picture nor panel: top line, strip, keys, notices.
class Face {
  constructor(deck) {
    this.deck = deck;
    this.why = el("div", "pill why"); this.count = el("div", "count"); this.rate = el("div", "rate");
    this.saved = el("div", "saved");
    this.saved.setAttribute("role", "status");
    const help = button("pill help", () => deck.command("help"), "?");
    help.setAttribute("aria-label", tr("Keys and help"));
    this.message = el("div", "message");
    deck.view.node.append(this.message);
    this.strip = el("div", "strip"); this.keys = el("div", "keys"); this.notice = el("div", "notice");
    this.notice.setAttribute("role", "alert");
    this.planes = ["focusUp", "focusDown"].map(id => this.tool(id));      // without a keyboard they had no way
    const tools = [...this.planes, ...["wide", "slide", "ring", "stain", "guide", "note", "like"].map(id => this.tool(id))];
    this.keys.append(this.hint("?", tr("all keys")), this.hint("Z", tr("take back")), this.hint("\u21e7Z", tr("put back")), ...tools);
    deck.root.replaceChildren(el("div", "top", this.why, deck.which.node, el("div", "grow"), this.rate, this.count, this.saved, help),
      deck.view.node, deck.panel.node, this.strip, el("div", "foot", this.keys));
    deck.view.node.append(this.notice);      // over the picture: a sentence that comes and goes moves nothing
  }

  hint(key, text) { return el("span", "", keycap(key), text); }

  tool(id) {
    const text = { wide: tr("hold: wider field"), slide: tr("on the slide"), ring: tr("nucleus ring"), stain: tr("haematoxylin"), guide: tr("criteria"), note: tr("note"), like: tr("cells like this"),
      focusUp: tr("plane above"), focusDown: tr("plane below") }[id];
    const node = button("tool", () => { if (id !== "wide") this.deck.command(id); }, keycap(this.deck.keyFor(id)), text);
    return id === "wide" ? held(node, isOn => this.deck.wide(isOn)) : node;
  }

  draw() {
    const { current: item, outbox, progress: p, tally, times, root } = this.deck, n = outbox.size;
    this.why.textContent = item ? tr("Why this cell: {reason}", { reason: item.reason }) : tr("No cell on screen");
    this.why.title = this.why.textContent;
    for (const node of this.planes) node.hidden = !item?.planes;
    this.rate.textContent = times.length > 4 ? tr("{n} / min", { n: times.filter(t => t > performance.now() - 60000).length }) : "";
    const bar = el("i");
    bar.style.width = `${p.cells ? (100 * p.labelled) / p.cells : 0}%`;
    this.count.hidden = !p.cells;          // not known yet
    this.count.replaceChildren(el("b", "", String(p.mine)), tr(" yours, {labelled} of {cells} cells", p), el("div", "bar", bar));
    drawSaved(this.saved, outbox);
    this.saved.title = tr("Since this page was opened: {taken} taken, {saved} saved, {refused} refused, {ignored} not taken", tally);
    Object.assign(root.dataset, { taken: tally.taken, acknowledged: tally.saved, ignored: tally.ignored, waiting: n });
    this.message.replaceChildren(...(root.dataset.cell ? [] : this.emptiness()));
    this.drawStrip(); this.drawNotice(); this.deck.which.draw();
  }

  emptiness() {
    if (this.deck.problem) return [el("b", "", tr("The next cells did not arrive.")), el("p", "", this.deck.problem)];
    if (!this.deck.isEmpty) return [tr("Fetching the next cells\u2026")];
    if (!this.deck.progress.cells) return [el("b", "", tr("This study has no cells yet.")), el("p", "", tr("An administrator adds them with cytojepa ingest; then they appear here."))];
    if (this.deck.which.isOn) {
      return [el("b", "", tr("Of these cells nothing is left for you.")), el("p", "", tr("They have their labels, or a colleague has them on screen. Others may be waiting.")),
        button("quiet", () => this.deck.which.set({}), tr("All cells again"))];
    }
    const link = el("a", "", tr("See how far the study is")); link.href = "/progress";
    return [el("b", "", tr("Nothing is left for you.")), el("p", "", tr("Every cell has its label, or a colleague has it on screen. What a colleague gives back comes to you by itself.")), link];
  }

  drawStrip() {
    const { past, queue, aside, current, byId } = this.deck;
    const old = past.slice(-5).map((step, i, all) => {
      const label = step.labels[step.labels.length - 1], category = byId.get(label.category), isLast = i === all.length - 1;
      const name = category ? category.name : label.category;
      const card = button(isLast ? "card last" : "card old", () => { if (isLast) this.deck.undo(); }, this.deck.thumb(label, "s"),
        el("span", "", step.labels.length > 1 ? `${step.labels.length} \u00d7 ${name}` : name));
      card.style.setProperty("--c", category ? category.color : "#666666");
      card.style.setProperty("--on", inkOn(category ? category.color : "#666666"));
      card.title = isLast ? tr("Take back (Z)") : name; card.disabled = !isLast;
      card.dataset.state = step.labels.every(l => this.deck.isKnown(l)) ? "saved" : "waiting";
      return card;
    });
    const now = current ? [el("div", "card now", this.deck.thumb(current, "s"))] : [];
    this.strip.replaceChildren(...old, ...now, ...[...queue, ...aside].filter(i => this.deck.images.has(i.cell)).slice(0, 12).map(i => el("div", "card next", this.deck.thumb(i, "s"))));
  }

  drawNotice() {
    const { outbox, deck } = { outbox: this.deck.outbox, deck: this.deck }, n = outbox.size;
    let isCalm = false, content = [];
    const offer = tourOffer(deck);
    const trouble = troubleOf(outbox);
    if (n >= MOST_WAITING && !outbox.signedOut && !outbox.isUnkept) content = [tr("{n} labels wait for the server and are kept in this browser. Labelling goes on when they are saved.", { n })];
    else if (trouble) content = trouble;
    else if (deck.said) { content = [deck.said]; isCalm = deck.isCalm; }
    else if (deck.sittingAt && deck.lastAt - deck.sittingAt > SITTING) {
      isCalm = true;
      content = [tr("25 minutes of labelling. A short break? Your place is kept."), button("quiet", () => { deck.sittingAt = Date.now(); this.draw(); }, tr("Go on"))];
    }
    if (!content.length && offer) [isCalm, content] = [true, offer];
    this.notice.classList.toggle("calm", isCalm);
    this.notice.replaceChildren(...content);
  }
}
