// The cells as rings on a canvas over the slide. Rings lie outside the nucleus: nothing covers chromatin.
const RING_UM = 9;              // radius where the nucleus has no box
const RING_WIDER = 1.5;         // times the nucleus's own radius
const LEAST_RING = 5, LEAST_HIT = 12;   // CSS pixels
const DOTS_BELOW = 7;           // a smaller ring is drawn as a dot
const OPEN = "open";
const GLYPHS = {                // the answers' shapes in a box of 16, drawn beside the ring
  circle: "M8 2a6 6 0 1 0 .01 0z", square: "M2.5 2.5h11v11h-11z", triangle: "M8 2 14.5 13.5H1.5z", diamond: "M8 1 15 8 8 15 1 8z",
  star: "M8 1l2 4.7 5 .5-3.8 3.3 1.2 5L8 11.9 3.6 14.5l1.2-5L1 6.2l5-.5z", cross: "M5.8 1.5h4.4v4.3h4.3v4.4h-4.3v4.3H5.8v-4.3H1.5V5.8h4.3z",
  ring: "M8 2a6 6 0 1 0 .01 0zM8 5a3 3 0 1 1-.01 0z", bar: "M1 5.5h14v5H1z", dot: "M8 4.5a3.5 3.5 0 1 0 .01 0z",
};

class SlideRings {
  constructor(page) {
    this.page = page;
    this.canvas = el("canvas", "rings");
    this.canvas.setAttribute("aria-hidden", "true");      // what it shows is said in words beside it
    this.glyphs = new Map();
    this.isOn = true; this.by = "answer"; this.pointer = null; this.hasRuler = false;
  }

  radius(i, view) {
    const { radii, mpp } = this.page.cells;
    const px = radii[i] ? (radii[i] * RING_WIDER) / mpp : mpp ? RING_UM / mpp : 30;
    return Math.max(LEAST_RING, px * view.scale);
  }

  // What a ring is drawn as: a legend's entry.
  kindOf(i) {
    const { page } = this, answer = page.answers.get(page.cells.ids[i]);
    if (this.by === "answer") return answer ? page.byId.get(answer.category)?.id || OPEN : OPEN;
    const guess = page.guessOf(i);
    if (!guess) return OPEN;
    return this.by === "suggestion" ? guess[0] : `p${Math.min(this.page.certainty_colors.length - 1, Math.floor(guess[1] * this.page.certainty_colors.length))}`;
  }

  look(kind) {
    const { page } = this;
    if (kind === OPEN) return { color: null, name: this.by === "answer" ? tr("no answer of yours") : tr("nothing to show yet"), shape: "ring" };
    if (page.byId.has(kind)) { const c = page.byId.get(kind); return { color: c.color, name: c.name, shape: c.shape }; }
    const step = Number(kind.slice(1)), n = page.certainty_colors.length;
    return { color: page.certainty_colors[step], name: tr("{low} to {high} %", { low: (100 * step) / n, high: (100 * (step + 1)) / n }), shape: "dot" };
  }

  legend() {  // kinds that are on this slide, in the order of the answers, with their number
    const counts = new Map();
    for (let i = 0; i < this.page.cells.ids.length; i++) { const kind = this.kindOf(i); counts.set(kind, (counts.get(kind) || 0) + 1); }
    const order = [OPEN, ...this.page.categories.map(c => c.id), ...this.page.certainty_colors.map((_, i) => `p${i}`)];
    return order.filter(kind => counts.has(kind)).map(kind => ({ kind, count: counts.get(kind), ...this.look(kind) }));
  }

  recolor() {
    const { mode } = this.page, ways = ["answer", ...(mode === "hidden" ? [] : ["certainty"]), ...(mode === "shown" ? ["suggestion"] : [])];
    this.by = ways[(ways.indexOf(this.by) + 1) % ways.length];
    if (ways.length < 2) this.page.say(tr("This study shows no suggestions: rings are coloured by your answers."));
    else if (mode === "after" && this.by !== "answer") this.page.say(tr("Certainty is shown for the cells that you have answered."));
  }

  nearestOpen(from) {  // the nearest cell without an answer, null where there is none
    const { answers, selected, cells: { ids, xs, ys } } = this.page;
    let best = null, least = Infinity;
    for (let i = 0; i < ids.length; i++) {
      const d = i === selected || answers.has(ids[i]) ? Infinity : Math.hypot(xs[i] - from.x, ys[i] - from.y);
      if (d < least) { best = i; least = d; }
    }
    return best;
  }

  draw() {
    const { page, canvas } = this, view = page.stage.transform(), box = page.stage.node;
    const ratio = window.devicePixelRatio || 1, w = box.clientWidth, h = box.clientHeight;
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) { canvas.width = Math.round(w * ratio); canvas.height = Math.round(h * ratio); }
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, w, h);
    if (!view) return;
    const { ids, xs, ys } = page.cells;
    page.heat.draw(pen, view, w, h);
    let shown = 0;
    if (this.isOn) for (let i = 0; i < ids.length; i++) {
      const x = view.x + xs[i] * view.scale, y = view.y + ys[i] * view.scale, r = this.radius(i, view);
      if (i === page.selected || x < -r || y < -r || x > w + r || y > h + r) continue;
      this.ring(pen, x, y, r, this.look(this.kindOf(i)));
      shown++;
    }
    if (page.selected !== null) this.selected(pen, view);
    page.marking?.draw(pen, view);
    if (this.hasRuler) this.ruler(pen, view, w, h);
    page.root.dataset.shown = shown;
  }

  ring(pen, x, y, r, { color, shape }) {
    if (r < DOTS_BELOW) {
      pen.beginPath(); pen.arc(x, y, color ? 4 : 3, 0, 7);
      pen.fillStyle = color || "rgba(255,255,255,.85)"; pen.fill();
      pen.lineWidth = 1; pen.strokeStyle = color ? "#fff" : "rgba(20,24,34,.8)"; pen.stroke();
      return;
    }
    pen.beginPath(); pen.arc(x, y, r, 0, 7);
    const thin = r < 11 ? 0.7 : 1;             // far away, where there are many
    pen.lineWidth = thin * (color ? 5.5 : 3.4); pen.strokeStyle = "rgba(255,255,255,.88)"; pen.stroke();
    pen.lineWidth = thin * (color ? 3 : 1.3); pen.strokeStyle = color || "rgba(20,24,34,.9)"; pen.stroke();
    if (color && r > 11) this.glyph(pen, x + r * 0.72, y - r * 0.72, color, shape);
  }

  glyph(pen, x, y, color, shape) {
    if (!this.glyphs.has(shape)) this.glyphs.set(shape, new Path2D(GLYPHS[shape] || GLYPHS.dot));
    pen.beginPath(); pen.arc(x, y, 8, 0, 7); pen.fillStyle = "rgba(255,255,255,.94)"; pen.fill();
    pen.save();
    pen.translate(x - 5.2, y - 5.2); pen.scale(0.65, 0.65);
    pen.fillStyle = color; pen.fill(this.glyphs.get(shape), "evenodd");
    pen.restore();
  }

  selected(pen, view) {
    const { page } = this, i = page.selected, { xs, ys } = page.cells;
    const x = view.x + xs[i] * view.scale, y = view.y + ys[i] * view.scale, r = Math.max(this.radius(i, view), 16);
    page.root.dataset.at = `${x.toFixed(1)},${y.toFixed(1)}`;
    this.ring(pen, x, y, r, this.isOn ? this.look(this.kindOf(i)) : this.look(OPEN));
    for (const [width, color] of [[5, "rgba(255,255,255,.95)"], [2.4, "#14171d"]]) {
      pen.lineWidth = width; pen.strokeStyle = color;
      for (let k = 0; k < 4; k++) { pen.beginPath(); pen.arc(x, y, r + 8, k * Math.PI / 2 + 0.45, (k + 1) * Math.PI / 2 - 0.45); pen.stroke(); }
    }
  }

  ruler(pen, view, w, h) {
    const { mpp } = this.page.cells;
    if (!mpp) return;
    const at = this.pointer || { x: w / 2, y: h / 2 }, r = (Math.sqrt(this.page.reference_um2 / Math.PI) / mpp) * view.scale;
    for (const [radius, dash] of [[r, []], [r * Math.sqrt(3), [5, 4]]]) {
      pen.setLineDash(dash);
      for (const [width, color] of [[4, "rgba(255,255,255,.75)"], [1.6, "#14171d"]]) { pen.lineWidth = width; pen.strokeStyle = color; pen.beginPath(); pen.arc(at.x, at.y, radius, 0, 7); pen.stroke(); }
    }
    pen.setLineDash([]);
  }

  hit(x, y) {  // the nearest ring under a point of the view, null where there is none
    const view = this.page.stage.transform(), { ids, xs, ys } = this.page.cells;
    if (!view || !this.isOn) return null;
    let best = null, least = Infinity;
    for (let i = 0; i < ids.length; i++) {
      const d = Math.hypot(view.x + xs[i] * view.scale - x, view.y + ys[i] * view.scale - y);
      if (d < least && d <= Math.max(LEAST_HIT, this.radius(i, view) + 5)) { best = i; least = d; }
    }
    return best;
  }
}
