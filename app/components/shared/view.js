// One cell, seen closely: zoom, pan, tone, the haematoxylin alone, a ruler, the wider field.
const MOST_ZOOM = 12;
const BAR_STEPS_UM = [1, 2, 5, 10, 20, 50, 100, 200];
const NEUTRAL = { brightness: 0, contrast: 0, gamma: 1 };
// Optical density of haematoxylin, eosin and what is neither: Ruifrok and Johnston 2001 ("Quantification
// of histochemical staining by color deconvolution"). A Pap smear has more dyes than these two, so the
// picture shows where haematoxylin is, not how much of it.
const HAEMATOXYLIN = [0.65, 0.70, 0.29], EOSIN = [0.07, 0.99, 0.11];

function rowOfHaematoxylin() {  // first row of the inverse of the matrix of the three densities
  const unit = v => v.map(x => x / Math.hypot(...v));
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const h = unit(HAEMATOXYLIN), e = unit(EOSIN), rest = unit(cross(h, e));
  const normal = cross(e, rest), volume = h[0] * normal[0] + h[1] * normal[1] + h[2] * normal[2];
  return normal.map(x => x / volume);
}
const UNMIX = rowOfHaematoxylin();
const DENSITY = Float32Array.from({ length: 256 }, (_, v) => -Math.log((v + 1) / 256));

function toneTable({ brightness, contrast, gamma }) {
  return Uint8ClampedArray.from({ length: 256 }, (_, v) => {
    const curved = 255 * (v / 255) ** (1 / gamma);
    return (curved - 127.5) * (1 + contrast / 100) + 127.5 + 1.28 * brightness;
  });
}

function recolor(pixels, tone, stain) {
  const table = toneTable(tone), d = pixels.data;
  for (let i = 0; i < d.length; i += 4) {
    if (stain) {
      const od = UNMIX[0] * DENSITY[d[i]] + UNMIX[1] * DENSITY[d[i + 1]] + UNMIX[2] * DENSITY[d[i + 2]];
      d[i] = d[i + 1] = d[i + 2] = 255 * Math.exp(-Math.max(0, od));
    }
    d[i] = table[d[i]]; d[i + 1] = table[d[i + 1]]; d[i + 2] = table[d[i + 2]];
  }
  return pixels;
}

function svgNode(tag, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

class View {
  constructor({ referenceUm2, wideFactor, onChange }) {
    Object.assign(this, { referenceUm2, wideFactor, onChange });
    this.zoom = 1; this.x = 0; this.y = 0;                 // shift of the picture's centre in CSS pixels
    this.tone = { ...NEUTRAL, ...kept("cytojepa/tone", {}) }; this.stain = false; this.hasRing = false; this.isWide = false;
    this.item = null; this.image = null; this.wide = null;
    this.canvas = el("canvas");
    this.canvas.setAttribute("role", "img"); this.canvas.setAttribute("aria-label", tr("The cell to label, in the centre"));
    this.ring = svgNode("svg", { class: "ruler", "aria-hidden": "true" });
    this.box = el("i", "cropbox");
    this.lens = el("div", "lens", this.canvas, this.ring, this.box, ...["n", "e", "s", "w"].map(side => el("i", `tick ${side}`)));
    this.scale = el("div", "scale"); this.state = el("div", "viewstate");
    this.node = el("div", "stage empty", this.lens, this.scale, this.state);
    this.listen();
    this.resizer = new ResizeObserver(() => this.place());
    this.resizer.observe(this.node);
  }

  destroy() { this.resizer.disconnect(); }

  listen() {
    const isOver = e => e.target.closest(".sheet, .tone, .notebox");   // what is open over the picture
    this.node.addEventListener("wheel", e => {
      if (isOver(e)) return;
      e.preventDefault();
      this.zoomBy(Math.exp(-e.deltaY / 400), e);
    }, { passive: false });
    this.node.addEventListener("dblclick", e => { if (!isOver(e)) this.reset(); });
    this.lens.addEventListener("pointerdown", e => {
      if (e.button || this.zoom <= 1) return;
      this.drag = { x: e.clientX - this.x, y: e.clientY - this.y };
      this.lens.setPointerCapture(e.pointerId);
    });
    this.lens.addEventListener("pointermove", e => {
      if (this.drag) { this.x = e.clientX - this.drag.x; this.y = e.clientY - this.drag.y; this.place(); }
      this.pointer = { x: e.clientX, y: e.clientY };
      if (this.hasRing) this.drawRing();
    });
    for (const name of ["pointerup", "pointercancel"]) this.lens.addEventListener(name, () => { this.drag = null; });
    pinched(this.node, { begin: () => { this.drag = null; }, move: (factor, at, dx, dy) => { this.zoomBy(factor, at); this.pan(dx, dy); } });
  }

  get spanUm() { return this.item && this.item.mpp !== null && this.image ? this.item.mpp * this.image.naturalWidth : null; }
  get shownUm() { return this.spanUm === null ? null : this.spanUm * (this.isWide ? this.wideFactor : 1); }

  show(item, image) {  // draws at once; the caller has decoded the picture
    this.item = item; this.image = image; this.wide = null; this.isWide = false;
    this.zoom = 1; this.x = this.y = 0;
    this.draw();
  }

  clear() { this.item = this.image = this.wide = null; this.node.classList.add("empty"); this.place(); }

  draw() {
    const picture = this.isWide ? this.wide : this.image;
    if (!picture) return;
    this.node.classList.remove("empty");
    this.node.classList.toggle("wide", this.isWide);
    const { naturalWidth: w, naturalHeight: h } = picture;
    const turn = this.item.turn || 0, [across, down] = turn % 2 ? [h, w] : [w, h];
    if (this.canvas.width !== across || this.canvas.height !== down) { this.canvas.width = across; this.canvas.height = down; }
    const pen = this.canvas.getContext("2d", { willReadFrequently: true });
    pen.setTransform(...[[1, 0, 0, 1, 0, 0], [0, 1, -1, 0, h, 0], [-1, 0, 0, -1, w, h], [0, -1, 1, 0, 0, w]][turn]);
    pen.drawImage(picture, 0, 0);
    if (this.stain || this.isToned) pen.putImageData(recolor(pen.getImageData(0, 0, across, down), this.tone, this.stain), 0, 0);
    this.place();
  }

  get isToned() { return Object.keys(NEUTRAL).some(name => this.tone[name] !== NEUTRAL[name]); }
  get side() { return Math.max(0, Math.min(this.node.clientWidth, this.node.clientHeight) - 24); }

  place() {
    const zoom = this.isWide ? 1 : this.zoom, reach = (this.side * (zoom - 1)) / 2;
    const shift = value => (this.isWide ? 0 : Math.max(-reach, Math.min(reach, value)));
    this.lens.style.width = this.lens.style.height = `${this.side}px`;
    this.lens.style.transform = `translate(${shift(this.x)}px, ${shift(this.y)}px) scale(${zoom})`;
    this.lens.style.setProperty("--z", zoom);
    this.box.style.width = this.box.style.height = `${100 / this.wideFactor}%`;
    this.drawScale(zoom); this.drawRing(); this.drawState(zoom);
  }

  drawScale(zoom) {
    this.scale.hidden = !this.item;
    if (!this.item) return;
    const um = this.shownUm;
    this.scale.classList.toggle("unknown", um === null);
    if (um === null) { this.scale.replaceChildren(tr("Scale unknown: sizes cannot be compared")); return; }
    const pxPerUm = (this.side * zoom) / um;
    const length = BAR_STEPS_UM.find(step => step * pxPerUm >= 60) || BAR_STEPS_UM[BAR_STEPS_UM.length - 1];
    const line = el("i");
    line.style.width = `${length * pxPerUm}px`;
    this.scale.replaceChildren(line, `${length} \u00b5m`);
    this.scale.dataset.um = length;
  }

  drawRing() {
    const um = this.shownUm;
    this.ring.replaceChildren();
    this.node.classList.toggle("ringed", this.hasRing);
    if (!this.hasRing || um === null) return;
    const box = this.lens.getBoundingClientRect(), p = this.pointer;
    const isInside = p && p.x > box.left && p.x < box.right && p.y > box.top && p.y < box.bottom;
    const at = isInside ? { cx: ((p.x - box.left) / box.width) * um, cy: ((p.y - box.top) / box.height) * um } : { cx: um / 2, cy: um / 2 };
    const radius = Math.sqrt(this.referenceUm2 / Math.PI);
    this.ring.setAttribute("viewBox", `0 0 ${um} ${um}`);
    for (const [r, name] of [[radius, "one"], [radius * Math.sqrt(3), "three"]]) {
      this.ring.append(svgNode("circle", { ...at, r, class: `${name} under` }), svgNode("circle", { ...at, r, class: name }));
    }
    this.ring.dataset.diameterUm = (2 * radius).toFixed(2);
  }

  drawState(zoom) {
    const words = [];
    if (this.isWide) words.push(tr("Wider field, {n} times", { n: this.wideFactor }));
    else if (zoom > 1.01) words.push(tr("{n} times", { n: zoom.toFixed(1) }));
    if (this.item?.focus) words.push(this.item.focus);
    if (this.stain) words.push(tr("haematoxylin alone"));
    if (this.isToned) words.push(tr("tone changed"));
    if (this.hasRing) words.push(this.shownUm === null ? tr("no ring: scale unknown")
      : tr("ring {um2} \u00b5m\u00b2 (intermediate nucleus), dashed 3 times that", { um2: this.referenceUm2 }));
    this.state.textContent = this.item ? words.join(" \u00b7 ") : "";
  }

  zoomBy(factor, at) {
    const zoom = Math.max(1, Math.min(MOST_ZOOM, this.zoom * factor));
    if (at) {  // what is under the pointer stays there
      const box = this.node.getBoundingClientRect(), k = 1 - zoom / this.zoom;
      this.x += (at.clientX - box.left - box.width / 2 - this.x) * k;
      this.y += (at.clientY - box.top - box.height / 2 - this.y) * k;
    } else { this.x *= zoom / this.zoom; this.y *= zoom / this.zoom; }
    this.zoom = zoom;
    const reach = (this.side * (zoom - 1)) / 2;
    this.x = Math.max(-reach, Math.min(reach, this.x)); this.y = Math.max(-reach, Math.min(reach, this.y));
    this.place(); this.onChange();
  }

  pan(dx, dy) { this.x += dx; this.y += dy; this.place(); }

  setTone(name, value) { this.tone[name] = value; keep("cytojepa/tone", this.tone); this.draw(); this.onChange(); }
  toggleStain() { this.stain = !this.stain; this.draw(); }
  toggleRing() { this.hasRing = !this.hasRing; this.place(); }

  reset() {
    this.zoom = 1; this.x = this.y = 0; this.stain = false; this.tone = { ...NEUTRAL };
    keep("cytojepa/tone", this.tone);
    this.draw(); this.onChange();
  }

  setWide(image) {  // null: back to the cell
    this.wide = image || this.wide; this.isWide = Boolean(image);
    this.draw();
  }
}
