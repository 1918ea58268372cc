// Marking a cell that nobody has found: a click is a point, a drag a box. A mark waits in the browser like a
// label until the server has stored it; then it is a cell, chosen and ready for its answer.
const LEAST_DRAG = 5;           // CSS pixels; less is a click

class Marking {
  constructor(page) {
    this.page = page;
    this.isOn = false; this.box = null; this.placed = new Map();
    this.outbox = new Outbox({ name: "finds", account: page.account, url: "/api/finds", csrf: page.csrf,
      on: { change: () => page.draw(), receipts: (list, own) => this.receive(list, own), elsewhere: () => page.draw() } });
    this.outbox.send();
  }

  destroy() { this.outbox.destroy(); }

  toggle(isOn = !this.isOn) {
    this.isOn = isOn; this.box = null;
    if (isOn) {
      this.page.deselect(); this.page.rings.isOn = true;
      this.page.stage.node.focus({ preventScroll: true });     // Enter marks, also where a button has begun this
    }
    this.page.stage.node.classList.toggle("marking", isOn);
    this.page.root.dataset.marking = String(isOn);
    this.page.said = isOn ? tr("Click the nucleus of the missed cell, or draw a box round the cell. Enter marks the middle of the view, Esc ends.") : "";
    this.page.draw(); this.page.rings.draw();
  }

  press(at) { if (this.page.stage.transform()) this.box = { from: at, to: at }; }
  drag(at) { if (this.box) { this.box.to = at; this.page.rings.draw(); } }

  release() {
    const { box, page } = this;
    if (!box) return;
    const a = page.stage.pixel(box.from.x, box.from.y), b = page.stage.pixel(box.to.x, box.to.y);
    const isPoint = Math.hypot(box.to.x - box.from.x, box.to.y - box.from.y) < LEAST_DRAG;
    this.mark((a.x + b.x) / 2, (a.y + b.y) / 2, isPoint ? 0 : Math.abs(a.x - b.x), isPoint ? 0 : Math.abs(a.y - b.y));
  }

  justMarked() { return performance.now() - (this.markedAt ?? -1e9) < 400; }   // the click that ends a mark chooses nothing

  markCenter() {
    const at = this.page.stage.center();
    if (at) this.mark(at.x, at.y, 0, 0); else slideNotHere(this.page);
  }

  mark(x, y, width, height) {
    const { slide, plane } = this.page.stage, tenth = value => Math.round(value * 10) / 10;
    this.toggle(false); this.markedAt = performance.now();
    this.outbox.add({ key: uuid(), kind: "find", slide: slide.slide, x: tenth(x), y: tenth(y), width: tenth(width), height: tenth(height), z: slide.planes[plane] });
    this.page.draw(); this.page.rings.draw();
    this.outbox.send();
  }

  receive(receipts, own) {
    const { page, sent } = this;
    for (const r of receipts) {
      const event = sent.get(r.key);
      if (!own.has(r.key) || !event || event.slide !== page.stage.slide?.slide) continue;
      if (r.cell) this.placed.set(r.cell, { event, isNew: r.accepted });
      if (!r.accepted) page.said = tr("The mark was not taken: {reason}", { reason: r.reason });
    }
    this.place();
  }

  // Marks become cells of the slide, once those that the server knows are there. A cell that the doctor has chosen in
  // the meantime stays chosen: his next key is meant for it.
  place() {
    const { page } = this;
    if (page.opening || page.root.dataset.cells === "") return;
    for (const [cell, { event, isNew }] of this.placed) {
      if (event.slide !== page.root.dataset.slide) continue;
      let i = page.cells.ids.indexOf(cell);
      if (isNew && i < 0) i = addCell(page, cell, event);
      this.placed.delete(cell);
      if (i >= 0 && page.selected === null && !this.isOn && !page.sheets.isCovering) page.select(i);
    }
    page.rings.draw();
  }

  // The outbox forgets an event with its receipt; the place of the mark is needed a moment longer.
  get sent() {
    for (const e of this.outbox.events()) (this.known ||= new Map()).set(e.key, e);
    return this.known || new Map();
  }

  draw(pen, view) {
    const outline = (x, y, w, h) => {
      for (const [width, color] of [[4, "rgba(255,255,255,.9)"], [1.8, "#14171d"]]) {
        pen.lineWidth = width; pen.strokeStyle = color; pen.setLineDash(width === 4 ? [] : [5, 4]);
        pen.beginPath(); if (w && h) pen.rect(x - w / 2, y - h / 2, w, h); else pen.arc(x, y, 11, 0, 7);
        pen.stroke();
      }
      pen.setLineDash([]);
    };
    for (const e of this.sent.values()) {
      if (this.outbox.waiting.has(e.key) && e.slide === this.page.stage.slide?.slide) outline(view.x + e.x * view.scale, view.y + e.y * view.scale, e.width * view.scale, e.height * view.scale);
    }
    const { box } = this;
    if (box) outline((box.from.x + box.to.x) / 2, (box.from.y + box.to.y) / 2, Math.abs(box.from.x - box.to.x), Math.abs(box.from.y - box.to.y));
    if (this.isOn && !box) {                   // where Enter would mark
      const w = this.page.stage.node.clientWidth / 2, h = this.page.stage.node.clientHeight / 2;
      for (const [width, color] of [[4, "rgba(255,255,255,.85)"], [1.6, "#14171d"]]) {
        pen.lineWidth = width; pen.strokeStyle = color; pen.beginPath();
        for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) { pen.moveTo(w + 5 * dx, h + 5 * dy); pen.lineTo(w + 15 * dx, h + 15 * dy); }
        pen.stroke();
      }
    }
  }
}
