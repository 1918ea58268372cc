// The right to decide the chosen cell: asked for when it is chosen, given back when another one is.
class Claims {
  constructor(page) { this.page = page; this.back = new Map(); this.fresh = new Set(); }

  takenBack(label) {  // by this account; the server may not know it yet
    for (const [cell, { key }] of this.back) if (!this.page.outbox.isTakingBack(key)) this.back.delete(cell);
    this.back.set(label.cell, label);
  }

  post(url, content) { return postJson(url, this.page.csrf, content, { keepalive: true, signal: AbortSignal.timeout(8000) }); }

  async take(cell) {
    const { page } = this, item = { cell, image: `/api/v1/cells/${cell}/image`, mpp: null, suggestion: null };
    if (page.answers.has(cell)) return this.have(cell, item);   // an answer of one's own can be replaced without asking
    // An answer on its way back brings the right with it; a question that overtakes it would be refused.
    const back = this.back.get(cell);
    if (back && page.outbox.isTakingBack(back.key)) return this.have(cell, { ...item, mpp: back.mpp });
    try {
      const body = await this.post(`/api/slide-cells/${page.stage.slide.slide}/claim`, { cell });
      if (body.is_new) this.fresh.add(cell);        // also when it is chosen again before it was given back
      if (body.item) return this.have(cell, { ...body.item, isNew: this.fresh.has(cell), until: body.until });
      this.refused(cell, body.reason);
    } catch (error) {
      // Without network, or where a proxy answers for the server, the answer waits in this browser, as everywhere.
      if (error.status === undefined || (error.status >= 500 && !error.isTold)) return this.have(cell, item);
      if (error.status === 401 || error.status === 403) page.outbox.signedOut = true;
      this.refused(cell, error.message);
    }
  }

  refused(cell, reason) {
    const { page } = this;
    if (page.isSelected(cell)) { page.claiming = null; page.say(reason); }
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
