// Top line, legend, keys and notices of the slide view.
class SlideFace {
  constructor(page) {
    this.page = page;
    this.picker = el("select", "quiet picker");
    this.picker.setAttribute("aria-label", tr("Slide"));
    this.picker.addEventListener("change", () => { page.openSlide(this.picker.value); this.picker.blur(); });
    this.count = el("div", "count"); this.saved = el("div", "saved"); this.saved.setAttribute("role", "status");
    const step = (text, name, by) => { const b = button("pill help", () => page.stepSlide(by), text); b.setAttribute("aria-label", name); return b; };
    const help = button("pill help", () => page.command("help"), "?");
    help.setAttribute("aria-label", tr("Keys and help"));
    this.legend = el("div", "legend"); this.keys = el("div", "keys"); this.notice = el("div", "notice"); this.notice.setAttribute("role", "alert");
    this.spoken = el("div", "spoken"); this.spoken.setAttribute("aria-live", "polite");
    for (const [key, c] of page.commands) {
      if (key === c.key && c.short && page.offers(c.id)) this.keys.append(button("tool", () => page.command(c.id), keycap(shownKey(key)), c.short));
    }
    this.side = page.may_label ? page.panel.node : el("div", "panel", el("p", "hint", tr("Your role looks at slides; it does not answer cells.")));
    page.root.replaceChildren(el("div", "top", step("\u2039", tr("Slide before"), -1), this.picker, step("\u203a", tr("Next slide"), 1), el("div", "grow"), this.count, this.saved, help),
      page.stage.node, this.side, this.legend, el("div", "foot", this.keys), this.spoken);
    page.panel.hint = tr("Click a ring, or press {next} for the nearest open cell; then press the key of your answer.", { next: page.keyFor("next") });
    page.stage.node.append(this.notice);     // over the slide: a sentence that comes and goes moves nothing
  }

  listSlides() {
    const { slides } = this.page;
    this.picker.replaceChildren(...slides.map((s, i) => {
      const option = el("option", "", tr("Slide {n} of {all}: {slide} \u00b7 {cells} cells", { n: i + 1, all: slides.length, slide: s.slide, cells: s.cells }));
      option.value = s.slide;
      return option;
    }));
  }

  draw() {
    const { page } = this, { root, tally, stage, boxes } = page;
    const n = boxes.reduce((sum, box) => sum + box.size, 0), isFailing = boxes.some(box => box.isFailing);
    if (stage.slide) this.picker.value = stage.slide.slide;
    this.saved.dataset.state = n === 0 ? "saved" : isFailing ? "failed" : "waiting";
    this.saved.textContent = savedWords(n, isFailing);
    const open = page.cells.ids.length - page.answers.size;
    this.count.replaceChildren(el("b", "", String(page.answers.size)), tr(" yours, {open} open on this slide", { open }));
    this.saved.hidden = !page.may_label;
    this.count.hidden = !page.may_label || !root.dataset.cells;       // not known yet
    Object.assign(root.dataset, { waiting: n, taken: tally.taken, acknowledged: tally.saved, answers: page.answers.size });
    this.drawLegend(); this.drawNotice(); this.drawMessage();
    const place = page.selected === null ? "" : tr("Cell {n} of {all}: {words}", { n: page.selected + 1, all: page.cells.ids.length, words: page.wordsOf(page.selected) });
    if (this.spoken.textContent !== place) this.spoken.textContent = place;
  }

  drawLegend() {
    const { rings } = this.page, what = { answer: tr("Your answers"), certainty: tr("Certainty of the suggestion"), suggestion: tr("Suggestion") }[rings.by];
    const rows = rings.isOn ? rings.legend().map(({ color, name, shape, count }) => {
      const mark = color ? shapeOf({ color, shape }) : el("i", "openmark");
      return el("span", "entry", mark, `${name} `, el("small", "", String(count)));
    }) : [el("span", "entry", tr("Rings are off; {key} shows them", { key: this.page.keyFor("marks") }))];
    this.legend.replaceChildren(...(this.page.cells.ids.length ? [el("b", "", what), ...rows] : []));
  }

  drawMessage() {
    const { page } = this, { stage } = page;
    let content = [];
    if (!page.slides && !page.problem) content = [tr("Fetching the slide\u2026")];
    else if (page.problem) content = [el("b", "", tr("The slide did not arrive.")), el("p", "", page.problem), button("quiet", () => page.start(), tr("Try again"))];
    else if (page.slides && !page.slides.length) content = [el("b", "", tr("This study has no slides yet.")), el("p", "", tr("Single-cell pictures have no place on a slide. An administrator adds scans or fields with cytojepa ingest; then they appear here."))];
    stage.message.replaceChildren(...content);
  }

  drawNotice() {
    const { boxes, said, selected, claiming, current, may_label: mayLabel } = this.page;
    const words = said || (mayLabel && selected !== null && current && !claiming ? this.page.wordsOf(selected) : "");
    drawNotice(this.notice, words, ...boxes);
  }
}
