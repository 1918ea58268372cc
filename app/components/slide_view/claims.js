// The right to decide the chosen cell: asked for when it is chosen, given back when another one is.
class Claims {
  constructor(page) { this.page = page; this.back = new Map(); this.fresh = new Set(); }

  takenBack(label) { this.back.set(label.cell, label); }      // by this account; the server may not know it yet

  post(url, content) {
    return fetch(url, { method: "POST", body: JSON.stringify(content), keepalive: true, signal: AbortSignal.timeout(8000),
      headers: { "Content-Type": "application/json", "X-CSRF-Token": this.page.csrf } });
  }

  async take(cell) {
    const { page } = this, item = { cell, image: `/api/v1/cells/${cell}/image`, mpp: null, suggestion: null };
    if (page.answers.has(cell)) return this.have(cell, item);   // an answer of one's own can be replaced without asking
    // An answer on its way back brings the right with it; a question that overtakes it would be refused.
    const back = this.back.get(cell);
    if (back && page.outbox.isTakingBack(back.key)) return this.have(cell, { ...item, mpp: back.mpp });
    try {
      const answer = await this.post(`/api/slide-cells/${page.stage.slide.slide}/claim`, { cell });
      const body = await answer.json();
      if (answer.status === 401 || answer.status === 403) page.outbox.signedOut = true;
      if (body.is_new) this.fresh.add(cell);        // also when it is chosen again before it was given back
      if (body.item) return this.have(cell, { ...body.item, isNew: this.fresh.has(cell), until: body.until });
      if (page.isSelected(cell)) { page.claiming = null; page.say(body.reason || body.error); }
    } catch { this.have(cell, item); }          // without network the answer waits in this browser, as everywhere
  }

  have(cell, item) {
    const { page } = this;
    if (!page.isSelected(cell)) { if (item.isNew) this.giveBack(item); return; }
    page.current = item; page.claiming = null; page.shownAt = performance.now();
    page.root.dataset.claimed = cell;
    page.draw();
  }

  release() {  // a cell that was taken here and not answered goes back at once
    const item = this.page.current;
    if (item?.isNew && !this.page.answers.has(item.cell)) this.giveBack(item);
  }

  giveBack({ cell, until }) { this.post("/api/v1/release", { cells: [cell], until }).catch(() => null); }
}
