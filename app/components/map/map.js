// All cells as points of two dimensions. Points are written straight into the canvas's pixels: a
// hundred thousand of them take a few milliseconds.
const MAPS = new WeakMap();
const LOOK_AGAIN = 10000;       // milliseconds, while there is no map yet
const FULL = 65535, NEAR = 9, FINGER = 22;   // pixels within which a point is "under" the pointer, or under a finger

class CellMap {
  constructor(root, data) {
    Object.assign(this, data);
    this.root = root;
    speak(data, root);
    this.of = ""; this.points = null; this.codes = null; this.legend = []; this.by = this.ways[0]; this.layout = "pca"; this.hovered = -1; this.hidden = new Set();
    this.zoom = 1; this.x = 0; this.y = 0; this.lasso = []; this.chosen = []; this.problem = ""; this.said = "";
    this.build();
    this.load();
  }

  destroy() { newest(this, "places"); document.removeEventListener("keydown", this.onKey); this.resizer.disconnect(); clearTimeout(this.again); clearTimeout(this.hovering); }

  async bytes(url) {
    const answer = await ask(url, { signal: AbortSignal.timeout(30000) }).catch(error => { throw this.stale(error); });
    return [await answer.arrayBuffer(), answer.headers.get("X-Map-Of")];
  }

  // Rows are numbers of one set of vectors. Where the study has others by now, a number would be another cell.
  stale(error) {
    if (error.status === 409) {
      [this.points, this.codes, this.chosen, this.lasso, this.before, this.said] = [null, null, [], [], null, error.message];
      this.pointAtNone();
      this.canvas.width = this.over.width = 0;
      this.layout = this.layouts.value = "pca";      // the one that there always is
      this.load(error.message);
    }
    return error;
  }

  async load(told = "") {     // what was said of a map on its way is over once it is here
    const isNewest = newest(this, "places");
    clearTimeout(this.again);
    try {
      const started = performance.now();
      const [bytes, of] = await this.bytes(`/api/map/points?layout=${this.layout}`);
      if (!isNewest()) return;
      if (!bytes.byteLength) throw new HttpError(204);
      this.points = new Uint16Array(bytes); this.of = of; this.problem = "";
      if (!await this.color(this.colorSelect.value)) throw new HttpError(undefined, this.said);
      this.root.dataset.drawnMs = Math.round(performance.now() - started);
      this.said = told;
    } catch (error) {
      if (!isNewest()) return;
      if (!this.codes) this.points = null;         // without colours nothing can be drawn
      this.problem = error.status === 204 ? "none" : error.message;
      this.again = setTimeout(() => this.load(), LOOK_AGAIN);
    }
    this.root.dataset.ready = this.points ? this.points.length / 2 : 0;
    this.drawState();
  }

  get asOf() { return this.of ? `&of=${this.of}` : ""; }

  // The same cells in other places; what was chosen stays chosen. Of two answers the one that was asked for last counts.
  async arrange(layout, select) {
    const isNewest = newest(this, "places"), isFirst = !this.points;
    try {
      const [bytes] = await this.bytes(`/api/map/points?layout=${layout}${this.asOf}`);
      if (!isNewest()) return;
      if (!bytes.byteLength) { this.said = tr("That map is not drawn yet: a data manager or admin starts it on the page Jobs, Draw the map."); select.value = this.layout; }
      else { this.points = new Uint16Array(bytes); this.layout = layout; this.lasso = []; this.said = ""; }
    } catch (error) {
      if (!isNewest()) return;
      this.said = error.message; select.value = this.layout;
    }
    this.root.dataset.layout = this.layout;
    if (isFirst) return this.load(this.said);      // the one under way stopped for this
    this.draw(); this.drawState();
  }

  async color(by) {     // whether it has arrived, or another one is under way instead
    const isNewest = newest(this, "colors");
    try {
      const bytes = new Uint8Array((await this.bytes(`/api/map/colors?by=${by}${this.asOf}`))[0]), end = bytes.indexOf(10);
      if (!isNewest()) return true;
      this.legend = JSON.parse(new TextDecoder().decode(bytes.subarray(0, end)));
      this.codes = bytes.subarray(end + 1);
      this.by = by; this.hidden.clear();
    } catch (error) {
      if (!isNewest()) return true;
      this.said = error.message; this.colorSelect.value = this.by;
      this.drawState();
      return false;
    }
    Object.assign(this.root.dataset, { by: this.by, of: this.of });
    this.draw(); this.drawState();
    return true;
  }

  build() {
    const r = this.root;
    r.classList.add("cj");
    this.title = el("div", "ask");
    const names = { label: tr("colour by label"), slide: tr("colour by slide"), suggestion: tr("colour by suggestion"), certainty: tr("colour by certainty"), doctor: tr("colour by doctor") };
    const select = this.colorSelect = el("select", "quiet");
    select.setAttribute("aria-label", tr("Colour by"));
    for (const way of this.ways) { const option = el("option", "", names[way]); option.value = way; select.append(option); }
    select.addEventListener("change", () => { this.color(select.value); select.blur(); });
    const layouts = this.layouts = el("select", "quiet");
    layouts.setAttribute("aria-label", tr("Way of drawing"));
    for (const [value, text] of [["pca", tr("overall likeness (PCA)")], ["umap", tr("neighbourhoods (UMAP)")]]) { const option = el("option", "", text); option.value = value; layouts.append(option); }
    layouts.addEventListener("change", () => { this.arrange(layouts.value, layouts); layouts.blur(); });
    this.open = button("pill open", () => this.openGallery(), tr("Open as gallery "), keycap("\u21b5"));
    this.canvas = el("canvas"); this.over = el("canvas", "over"); this.tip = el("div", "tip"); this.message = el("div", "message");
    this.over.tabIndex = 0;
    this.over.setAttribute("role", "img"); this.over.setAttribute("aria-label", tr("Map of all cells. Arrows move, plus and minus change the scale; A chooses what is in view, or draw around cells."));
    this.board = el("div", "board", this.canvas, this.over, this.tip, this.message);
    this.legendNode = el("div", "legend");
    r.replaceChildren(el("div", "top", this.title, layouts, select, this.open), this.board, this.legendNode, mapTools(this));
    this.resizer = new ResizeObserver(() => this.draw());
    this.resizer.observe(this.board);
    this.listen();
  }

  listen() {
    const at = e => { const b = this.over.getBoundingClientRect(); return [e.clientX - b.left, e.clientY - b.top]; };
    this.over.addEventListener("wheel", e => {
      e.preventDefault();
      this.scaleBy(Math.exp(-e.deltaY / 400), at(e));
      this.soon();
    }, { passive: false });
    pinched(this.over, { begin: () => this.endLoop(),
      move: (factor, grip, dx, dy) => { this.scaleBy(factor, at(grip)); this.x += dx; this.y += dy; this.soon(); } });
    this.over.addEventListener("pointerdown", e => {
      this.over.setPointerCapture(e.pointerId);
      this.start = at(e);
      this.isMoving = e.shiftKey || e.button === 1;
      this.before = [this.lasso, this.chosen];
      if (!this.isMoving) { this.lasso = [this.onMap(this.start)]; this.chosen = []; this.pointAtNone(); }
    });
    this.over.addEventListener("pointermove", e => {
      const p = at(e);
      if (!this.start) return this.hover(p);
      if (this.isMoving) { this.x += p[0] - this.start[0]; this.y += p[1] - this.start[1]; this.start = p; this.soon(); }
      else { this.lasso.push(this.onMap(p)); this.drawLasso(); }
    });
    this.over.addEventListener("pointerup", e => {
      const isLasso = this.start && !this.isMoving;
      this.start = null;
      if (isLasso) this.choose();
      if (isLasso && !this.chosen.length) this.hover(at(e), e.pointerType === "touch" ? FINGER : NEAR);
    });
    this.over.addEventListener("pointerleave", e => { if (e.pointerType !== "touch") { clearTimeout(this.hovering); this.tip.hidden = true; } });
    this.over.addEventListener("dblclick", () => this.reset());
    document.addEventListener("keydown", this.onKey = e => {
      const act = mapAct(this, keyOf(e));
      const isPressed = /^(BUTTON|A)$/.test(e.composedPath()[0].tagName) && /^(Enter| )$/.test(e.key);      // what has the focus
      if (!act || isPressed || isTyping(e) || isShortcut(e) || !this.root.isConnected) return;
      e.preventDefault();
      act();
      this.soon();
    });
  }

  endLoop() {     // the first of two fingers began a loop that nobody meant
    this.start = null;
    if (this.before) [this.lasso, this.chosen] = this.before;
    this.before = null;
    this.drawLasso(); this.drawState();
  }

  pointAtNone() { clearTimeout(this.hovering); this.hovered = -1; this.tip.hidden = true; }

  scaleBy(factor, [x, y] = this.size.map(side => side / 2)) {     // what lies there stays there
    const zoom = Math.max(1, Math.min(40, this.zoom * factor)), k = zoom / this.zoom;
    this.x = x - (x - this.x) * k; this.y = y - (y - this.y) * k; this.zoom = zoom;
  }

  onMap([x, y]) { return [(x - this.x) / this.zoom, (y - this.y) / this.zoom]; }     // where it is at zoom 1: a loop stays round its cells

  reset() { this.zoom = 1; this.x = this.y = 0; this.lasso = []; this.chosen = []; this.said = ""; this.soon(); this.drawState(); }
  soon() { if (!this.frame) this.frame = requestAnimationFrame(() => { this.frame = 0; this.draw(); }); }
  get size() { return [this.board.clientWidth, this.board.clientHeight]; }

  place(i) {
    const [w, h] = this.size;
    return [this.x + (24 + (this.points[2 * i] / FULL) * (w - 48)) * this.zoom, this.y + (24 + (1 - this.points[2 * i + 1] / FULL) * (h - 48)) * this.zoom];
  }

  draw() {
    const [w, h] = this.size, ratio = window.devicePixelRatio || 1;
    if (!this.points || !this.codes || !w || !h) return;
    const W = Math.round(w * ratio), H = Math.round(h * ratio);
    for (const canvas of [this.canvas, this.over]) if (canvas.width !== W || canvas.height !== H) { canvas.width = W; canvas.height = H; }
    const pen = this.canvas.getContext("2d"), picture = pen.createImageData(W, H), pixels = new Uint32Array(picture.data.buffer);
    const colors = this.legend.map(l => (255 << 24 | parseInt(l.color.slice(5, 7), 16) << 16 | parseInt(l.color.slice(3, 5), 16) << 8 | parseInt(l.color.slice(1, 3), 16)) >>> 0);
    const number = this.points.length / 2, dot = Math.max(2, Math.round((number > 30000 ? 1.6 : number > 3000 ? 3 : 5) * ratio * Math.sqrt(Math.min(this.zoom, 4))));
    const sx = ((w - 48) / FULL) * this.zoom * ratio, sy = ((h - 48) / FULL) * this.zoom * ratio;
    const ox = (this.x + 24 * this.zoom) * ratio, oy = (this.y + (h - 24) * this.zoom) * ratio;
    for (const isLast of [false, true]) {   // what has a meaning is drawn over what has none, and larger
      const side = isLast ? Math.round(dot * 1.5) : dot, spans = rowsOfDisc(side);
      for (let i = 0; i < number; i++) {
        const code = this.codes[i];
        if ((code > 0) !== isLast || this.hidden.has(code)) continue;
        const px = (ox + this.points[2 * i] * sx - side / 2) | 0, py = (oy - this.points[2 * i + 1] * sy - side / 2) | 0;
        if (px < 0 || py < 0 || px + side > W || py + side > H) continue;
        for (let row = 0; row < side; row++) pixels.fill(colors[code], (py + row) * W + px + spans[row], (py + row) * W + px + side - spans[row]);
      }
    }
    pen.putImageData(picture, 0, 0);
    this.drawLasso();
  }

  drawLasso() {
    const pen = this.over.getContext("2d"), ratio = window.devicePixelRatio || 1;
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, ...this.size);
    if (this.lasso.length < 2) return;
    pen.beginPath();
    for (const [x, y] of this.lasso) pen.lineTo(this.x + x * this.zoom, this.y + y * this.zoom);
    pen.closePath();
    pen.fillStyle = "rgba(63, 95, 196, .14)"; pen.fill();
    pen.lineWidth = 2; pen.strokeStyle = "#3f5fc4"; pen.stroke();
  }

  choose() {
    if (!this.codes) this.said = this.problem ? "" : tr("The map is still on its way.");
    if (!this.points || !this.codes || this.lasso.length < 3) { this.lasso = []; this.chosen = []; this.drawLasso(); return this.drawState(); }
    const found = [];
    for (let i = 0; i < this.points.length / 2; i++) if (!this.hidden.has(this.codes[i]) && inside(this.lasso, ...this.onMap(this.place(i)))) found.push(i);
    this.chosen = found; this.said = "";
    this.drawState();
  }

  chooseView() {
    const [w, h] = this.size;
    this.lasso = [[2, 2], [w - 2, 2], [w - 2, h - 2], [2, h - 2]].map(corner => this.onMap(corner));
    this.choose();
  }

  hover(p, reach = NEAR) {
    clearTimeout(this.hovering);
    this.hovering = setTimeout(async () => {
      if (!this.points || !this.codes) return;
      let best = -1, nearest = reach * reach;
      for (let i = 0; i < this.points.length / 2; i++) {
        const [x, y] = this.place(i), d = (x - p[0]) ** 2 + (y - p[1]) ** 2;
        if (d < nearest && !this.hidden.has(this.codes[i])) { nearest = d; best = i; }
      }
      this.tip.hidden = best < 0;
      if (best < 0) return;
      this.hovered = best;      // until the next: on the way to a button there are no cells
      const image = new Image();
      image.alt = "";
      this.tip.replaceChildren(image, el("span", "", this.legend[this.codes[best]].name));      // never the picture of the one before
      this.cells([best]).then(([cell]) => { image.src = `/api/v1/cells/${cell}/image`; }, () => null);
      this.tip.style.left = `${Math.min(p[0] + 16, this.size[0] - 150)}px`; this.tip.style.top = `${Math.min(p[1] + 16, this.size[1] - 160)}px`;
    }, 90);
  }

  async cells(rows) {
    return (await postJson("/api/map/cells", this.csrf, { rows, of: this.of }).catch(error => { throw this.stale(error); })).cells;
  }

  async openAlike() {
    if (this.hovered < 0) { this.said = tr("Point at a cell first; L then opens cells like it."); return this.drawState(); }
    try { location.assign(`/gallery?like=${(await this.cells([this.hovered]))[0]}`); }
    catch (error) { this.said = error.message; this.drawState(); }
  }

  async openGallery() {
    if (!this.chosen.length) { this.said = tr("Choose cells first: draw around them, or press A."); return this.drawState(); }
    try { location.assign(`/gallery?cells=${(await this.cells(this.chosen.slice(0, this.most))).join(",")}`); }
    catch (error) { this.said = error.message; this.drawState(); }
  }

  drawState() {
    const number = this.points ? this.points.length / 2 : 0, n = this.chosen.length;
    this.title.replaceChildren(el("b", "", n ? tr("{n} chosen", { n }) : number ? tr("{n} cells by likeness", { n: number }) : tr("Map")),
      ` ${this.said || (n > this.most ? tr("the gallery shows the first {most}", this) : n ? "" : tr("draw around cells to open them as a gallery; near in the map is only roughly alike"))}`);
    this.title.title = this.title.textContent;
    this.open.disabled = !n;
    this.root.dataset.chosen = n;
    this.legendNode.replaceChildren(...this.legend.map((l, code) => {
      const dot = el("i"); dot.style.background = l.color;
      const b = button("entry", () => { if (!this.hidden.delete(code)) this.hidden.add(code); this.draw(); this.drawState(); }, dot, l.name);
      b.setAttribute("aria-pressed", String(!this.hidden.has(code)));
      return b;
    }));
    this.message.replaceChildren(...(this.problem === "none" ? [el("b", "", tr("There is no map yet.")), el("p", "", tr("It is drawn from embeddings: an administrator runs cytojepa embed, then it appears here by itself within a minute."))]
      : this.problem ? [el("b", "", tr("The map did not arrive.")), el("p", "", this.problem)] : this.points ? [] : [tr("Fetching the map\u2026")]));
  }
}

export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".map");
  return mounted(MAPS, root, data, () => new CellMap(root, data));
}
