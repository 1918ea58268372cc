// What a doctor says of the whole slide. Nothing is chosen beforehand; what is saved is only added to.
const ADEQUACY = [["satisfactory", word("Satisfactory")], ["unsatisfactory", word("Unsatisfactory")]];
const ZONE = [["present", word("Present")], ["absent", word("Absent")]];

function isEmpty({ adequacy, zone, category, comment }) { return !adequacy && !zone && !category && !comment; }

const named = (pairs, value) => pairs.find(([id]) => id === value)?.[1] || value;

class SlideOpinion {
  constructor(page) {
    this.page = page;
    this.said = {}; this.drafts = new Map(); this.history = []; this.node = null; this.slide = null;
    this.outbox = new Outbox({ name: "opinions", account: page.account, url: "/api/opinions", csrf: page.csrf,
      on: { change: () => page.draw(), receipts: list => this.receive(list), elsewhere: () => page.draw(), isUnfinished: () => [...this.drafts.values()].some(said => !isEmpty(said)) } });
    this.outbox.send();
  }

  destroy() { this.outbox.destroy(); }

  load(slide) {
    // What was begun on another slide is there again when the doctor comes back to it.
    this.slide = slide; this.said = this.drafts.get(slide) || {}; this.history = []; this.note = "";
    this.drafts.set(slide, this.said);
    if (this.node) this.comment.value = this.said.comment || "";
    this.redraw();
    return this.read();
  }

  // What is being chosen and written meanwhile stays as it is, and of two answers the one that was asked for last counts.
  async read() {
    const isNewest = newest(this, "opinions"), { slide } = this;
    try {
      const { opinions } = await getJson(`/api/opinions?slide=${slide}`);
      if (isNewest()) this.history = opinions;
    } catch { /* the notice of the page tells that the server is away */ }
    this.page.draw();
    this.redraw();
  }

  receive(receipts) {
    const refused = receipts.find(r => !r.accepted);
    this.note = refused ? tr("Not taken: {reason}", { reason: refused.reason }) : tr("Saved.");
    if (this.slide) this.read();
  }

  get isEmpty() { return isEmpty(this.said); }

  save() {
    const { adequacy = null, zone = null, category = null, comment = null } = this.said;
    this.outbox.add({ key: uuid(), kind: "opinion", slide: this.slide, adequacy, zone, category, comment });
    this.drafts.set(this.slide, this.said = {});
    this.note = this.comment.value = "";
    this.outbox.send();
    this.redraw(); this.page.draw();
  }

  sheet() {
    // Made once: whoever writes in it must not lose the place when something arrives.
    this.comment = el("textarea", "noteinput");
    Object.assign(this.comment, { value: this.said.comment || "", maxLength: 500, rows: 2, placeholder: tr("Comment; no names") });
    this.comment.setAttribute("aria-label", tr("Comment on the slide"));
    this.comment.addEventListener("input", () => { this.said.comment = this.comment.value.trim() || null; this.drawSaving(); });
    this.button = button("quiet save", () => this.save(), tr("Save"));
    this.state = el("span", "hint"); this.state.setAttribute("role", "status");
    this.below = el("div", "opinion"); this.chosen = [];
    const categories = this.page.categories.filter(c => c.group_id !== "Other").map(c => [c.id, c.name]);
    this.node = el("div", "opinion", this.choices(tr("Adequacy"), "adequacy", ADEQUACY), this.choices(tr("Endocervical or transformation zone cells"), "zone", ZONE),
      this.choices(tr("Opinion"), "category", categories), this.comment, el("div", "savebar", this.button, this.state), this.below);
    this.redraw();
    return this.page.sheets.sheet(tr("The whole slide"), tr("Your own words on this slide, for research only. Nothing is chosen for you, and no colleague " +
      "sees it here. What is saved stays on record; a newer one counts in its place."), this.node);
  }

  choices(title, name, values) {
    const buttons = values.map(([value, text]) => {
      const node = button("quiet", () => { this.said[name] = this.said[name] === value ? null : value; this.redraw(); }, tr(text));
      this.chosen.push([node, name, value]);
      return node;
    });
    return el("fieldset", "", el("legend", "", title), ...buttons);
  }

  redraw() {
    if (!this.node) return;
    const rows = this.history.map((o, i) => el("li", "", el("b", "", new Date(o.made_at).toLocaleString(this.page.language, { dateStyle: "medium", timeStyle: "short" })), i === 0 ? tr(" (counts) ") : " ", this.words(o)));
    this.drawSaving();
    for (const [node, name, value] of this.chosen) node.setAttribute("aria-pressed", String(this.said[name] === value));
    this.below.replaceChildren(...(rows.length ? [el("h3", "", tr("What you have said")), el("ul", "", ...rows)] : []));
  }

  drawSaving() {  // what is being written is not what was saved
    const waiting = this.outbox.entries().filter(({ event }) => event.slide === this.slide);
    this.button.disabled = this.isEmpty;
    this.state.textContent = waiting.some(entry => entry.isLost) ? tr("Waits for the server.")
      : waiting.length ? tr("Waits for the server; kept in this browser.") : this.isEmpty ? this.note || "" : "";
  }

  words({ adequacy, zone, category, comment }) {
    const parts = [adequacy && tr(named(ADEQUACY, adequacy)), zone && tr("zone cells: {value}", { value: tr(named(ZONE, zone)) }), category && (this.page.byId.get(category)?.name || category), comment && `\u201c${comment}\u201d`].filter(Boolean);
    return parts.length ? parts.join(", ") : tr("withdrawn");
  }
}
