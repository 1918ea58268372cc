// Which cells a doctor wants to see: kept in the browser for the account, counted by the server, told in the top line.
class Which {
  constructor(deck) {
    this.deck = deck;
    this.name = `cytojepa/which/${encodeURIComponent(deck.account)}`;
    this.wanted = Which.clean(kept(this.name, {}));
    this.left = null;
    this.open = button("pill choose", () => this.toggle(), el("span", "funnel"), el("span", "text", tr("Which cells")));
    this.open.setAttribute("aria-haspopup", "dialog");
    this.clear = button("clear", () => this.set({}), "\u00d7");
    this.clear.setAttribute("aria-label", tr("All cells again")); this.clear.title = tr("All cells again");
    this.node = el("div", "which", this.open, this.clear);
    this.draw();
    if (this.isOn) this.count();
  }

  static clean(value) {  // what an older page or another program may have left there
    const text = name => (typeof value?.[name] === "string" ? value[name] : "");
    return { slides: text("slides"), suggested: text("suggested"), ground: text("ground") };
  }

  get isOn() { return Object.values(this.wanted).some(Boolean); }

  query() {
    const { wanted, deck } = this;
    // A study that has turned to asking first refuses the suggestion that was chosen before.
    return Object.entries(wanted).filter(([name, value]) => value && (name !== "suggested" || deck.mode === "shown"))
      .map(([name, value]) => `&${name}=${encodeURIComponent(value)}`).join("");
  }

  set(wanted) {
    this.wanted = Which.clean(wanted);
    keep(this.name, this.wanted);
    this.left = null;
    this.draw(); this.count();
    drawOthers(this.deck);
  }

  forget() { if (this.isOn) { this.wanted = Which.clean({}); keep(this.name, this.wanted); this.draw(); } }

  async count() {  // also what stands beside the choices
    const asked = this.query();
    try {
      const found = await getJson(`/api/v1/choices?${asked.slice(1)}`);
      if (asked !== this.query()) return;
      const isSame = JSON.stringify(found) === JSON.stringify(this.found) && this.left !== null && !this.problem;
      this.found = found; this.left = found.left; this.problem = "";
      if (isSame) return;                    // a list that is open would close
    } catch (error) { this.problem = error.message; }
    this.draw();
    if (this.panel?.isConnected) this.fillPanel();
  }

  draw() {
    const { suggested, slides, ground } = this.wanted, of = this.deck.byId.get(suggested);
    const parts = [slides, this.deck.mode === "shown" && suggested && (of?.name || suggested), ground && groundNames()[ground]].filter(Boolean);
    const count = this.left === null ? "" : `${tr("{n} left", { n: this.left })}: `;   // first, so that a narrow screen cuts the rest
    const text = parts.length ? count + parts.join(" \u00b7 ") : tr("Which cells");
    this.open.lastChild.textContent = text;
    this.open.title = parts.length ? `${tr("Only these cells")}: ${text}` : tr("Choose which cells you are asked");
    this.open.setAttribute("aria-expanded", String(Boolean(this.panel?.isConnected)));
    this.clear.hidden = !this.isOn;
    this.node.classList.toggle("on", this.isOn);
    if (this.isOn) this.deck.root.dataset.which = parts.join(" "); else delete this.deck.root.dataset.which;
  }

  // ---- the choices

  toggle() {
    const { sheets } = this.deck;
    if (this.panel?.isConnected) return this.close();
    sheets.close();
    this.panel = el("div", "whichpanel");
    this.panel.setAttribute("role", "dialog"); this.panel.setAttribute("aria-label", tr("Which cells"));
    this.panel.addEventListener("keydown", event => {
      if (event.key !== "Escape") return;
      event.preventDefault(); event.stopPropagation();
      this.close();
    });
    sheets.show("which", this.panel);
    this.fillPanel(); this.draw(); this.count();
    this.panel.querySelector("select")?.focus();
  }

  close() { this.deck.sheets.close(); this.draw(); this.open.focus(); }

  fillPanel() {
    const { found, deck, panel } = this;
    const at = panel.contains(panel.getRootNode().activeElement) ? panel.getRootNode().activeElement.name : null;
    const slides = (found?.slides || []).map(s => [s.slide, s.slide, s.left]);
    const rows = [this.choice("slides", tr("Slide"), tr("any slide"), slides)];
    if (deck.mode === "shown") {
      const named = (found?.categories || []).filter(c => c.left).map(c => [c.category, deck.byId.get(c.category)?.name || c.category, c.left]);
      rows.push(this.choice("suggested", tr("Suggestion"), tr("any suggestion"), named));
    }
    rows.push(this.choice("ground", tr("Why asked"), tr("for any reason"), (found?.grounds || []).map(g => [g.ground, groundNames()[g.ground], g.left])));
    const foot = el("div", "ending", el("span", "", this.problem || (this.left === null ? tr("Counting\u2026") : tr("{n} cells left for you", { n: this.left }))),
      ...(this.isOn ? [button("quiet", () => { this.set({}); this.fillPanel(); }, tr("All cells"))] : []), button("quiet", () => this.close(), tr("Close "), keycap("Esc")));
    foot.firstChild.setAttribute("role", "status");
    const note = deck.mode === "shown" ? tr("Check cells still come in between: they keep the figures honest.")
      : tr("Check cells still come in between: they keep the figures honest. There is no choice by suggestion: it would tell it before your answer.");
    panel.replaceChildren(el("b", "", tr("Which cells")), ...rows, el("p", "", note), foot);
    if (at) panel.querySelector(`[name=${at}]`)?.focus();
  }

  choice(name, title, any, options) {
    const select = el("select");
    select.name = name;
    const chosen = this.wanted[name], known = options.some(([value]) => value === chosen);
    for (const [value, text, left] of [["", any], ...(chosen && !known ? [[chosen, name === "ground" ? groundNames()[chosen] : chosen, 0]] : []), ...options]) {
      const option = el("option", "", left === undefined ? text : `${text} (${left})`);
      option.value = value; option.selected = value === chosen;
      select.append(option);
    }
    select.addEventListener("change", () => this.set({ ...this.wanted, [name]: select.value }));
    return el("label", "", el("span", "", title), select);
  }
}

function groundNames() { return { unclear: tr("unclear between two answers"), unlike: tr("unlike the cells labelled so far") }; }
