// What a doctor says of the whole slide. Nothing is chosen beforehand; what is saved is only added to.
const ADEQUACY = [["satisfactory", word("Satisfactory")], ["unsatisfactory", word("Unsatisfactory")]];
const ZONE = [["present", word("Present")], ["absent", word("Absent")]];

const named = (pairs, value) => pairs.find(([id]) => id === value)?.[1] || value;

class SlideOpinion {
  constructor(page) {
    this.page = page;
    this.said = {}; this.history = []; this.node = null; this.slide = null;
    this.outbox = new Outbox({ name: "opinions", account: page.account, url: "/api/opinions", csrf: page.csrf,
      on: { change: () => page.draw(), receipts: list => this.receive(list), elsewhere: () => page.draw() } });
    this.outbox.send();
  }

  destroy() { this.outbox.destroy(); }

  async load(slide) {
    this.slide = slide; this.said = {}; this.history = [];
    try {
      const { opinions } = await getJson(`/api/opinions?slide=${slide}`);
      if (this.slide === slide) this.history = opinions;
    } catch { /* the notice of the page tells that the server is away */ }
    this.page.draw();
    this.redraw();
  }

  receive(receipts) {
    const refused = receipts.find(r => !r.accepted);
    this.note = refused ? tr("Not taken: {reason}", { reason: refused.reason }) : tr("Saved.");
    if (this.slide) this.load(this.slide);
  }

  get isEmpty() { return !this.said.adequacy && !this.said.zone && !this.said.category && !this.said.comment; }

  save() {
    const { adequacy = null, zone = null, category = null, comment = null } = this.said;
    this.outbox.add({ key: uuid(), kind: "opinion", slide: this.slide, adequacy, zone, category, comment });
    this.said = {}; this.note = "";
    this.outbox.send();
    this.redraw(); this.page.draw();
  }

  sheet() {
    this.node = el("div", "opinion");
    this.redraw();
    const sheet = this.page.sheets.sheet(tr("The whole slide"), tr("Your own words on this slide, for research only. Nothing is chosen for you, and no colleague " +
      "sees it here. What is saved stays on record; a newer one counts in its place."), this.node);
    return sheet;
  }

  choices(title, name, values) {
    const group = el("fieldset", "", el("legend", "", title));
    for (const [value, text] of values) {
      const b = button("quiet", () => { this.said[name] = this.said[name] === value ? null : value; this.redraw(); }, tr(text));
      b.setAttribute("aria-pressed", String(this.said[name] === value));
      group.append(b);
    }
    return group;
  }

  redraw() {
    if (!this.node) return;
    const categories = this.page.categories.filter(c => c.group_id !== "Other").map(c => [c.id, c.name]);
    const comment = el("textarea", "noteinput");
    Object.assign(comment, { value: this.said.comment || "", maxLength: 500, rows: 2, placeholder: tr("Comment; no names") });
    comment.setAttribute("aria-label", tr("Comment on the slide"));
    const save = button("quiet save", () => this.save(), tr("Save"));
    save.disabled = this.isEmpty;
    comment.addEventListener("input", () => { this.said.comment = comment.value.trim() || null; save.disabled = this.isEmpty; });
    const waiting = this.outbox.events().filter(e => e.slide === this.slide).length;
    const state = el("span", "hint", waiting ? tr("Waits for the server; kept in this browser.") : this.note || "");
    state.setAttribute("role", "status");
    const rows = this.history.map((o, i) => el("li", "", el("b", "", new Date(o.made_at).toLocaleString(this.page.language, { dateStyle: "medium", timeStyle: "short" })), i === 0 ? tr(" (counts) ") : " ", this.words(o)));
    this.node.replaceChildren(this.choices(tr("Adequacy"), "adequacy", ADEQUACY), this.choices(tr("Endocervical or transformation zone cells"), "zone", ZONE),
      this.choices(tr("Opinion"), "category", categories), comment, el("div", "savebar", save, state),
      ...(rows.length ? [el("h3", "", tr("What you have said")), el("ul", "", ...rows)] : []));
  }

  words({ adequacy, zone, category, comment }) {
    const parts = [adequacy && tr(named(ADEQUACY, adequacy)), zone && tr("zone cells: {value}", { value: tr(named(ZONE, zone)) }), category && (this.page.byId.get(category)?.name || category), comment && `\u201c${comment}\u201d`].filter(Boolean);
    return parts.length ? parts.join(", ") : tr("withdrawn");
  }
}
