// The slide itself: OpenSeadragon over our own tiles, its scale bar, its focal planes.
const SCALE_STEPS_UM = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];
const CLOSEST = 4;              // screen pixels for a pixel of the slide
const CELL_VIEW_UM = 160;       // what is seen around a cell that somebody jumps to

function scaleSource(source) {
  const published = /^published: (.*)/.exec(source);
  return published ? tr("published for {name}", { name: published[1] }) : source === "file" ? tr("told by the file") : tr("given at the import");
}

let viewerScript = null;
function loadViewer(url) {
  viewerScript ||= window.OpenSeadragon ? Promise.resolve() : new Promise((resolve, reject) => {
    const node = document.createElement("script");
    node.src = url; node.onload = resolve;
    node.onerror = () => { viewerScript = null; node.remove(); reject(new Error(tr("The viewer did not arrive."))); };
    document.head.append(node);
  });
  return viewerScript;
}

class SlideStage {
  constructor(page) {
    this.page = page;
    this.viewer = null; this.slide = null; this.plane = 0; this.images = new Map();
    this.holder = el("div", "osd");
    this.scale = el("div", "scale"); this.scale.hidden = true; this.state = el("div", "viewstate"); this.message = el("div", "message");
    this.node = el("div", "stage slidestage", this.holder, this.scale, this.state, this.message);
    this.node.tabIndex = 0;
    this.node.setAttribute("role", "application");
    this.node.setAttribute("aria-label", tr("The slide. Arrows move, plus and minus change the scale; {key} goes to the next cell.", { key: page.keyFor("next") }));
  }

  destroy() { clearTimeout(this.late); this.viewer?.destroy(); this.viewer = null; }

  build() {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.viewer = new OpenSeadragon.Viewer({
      element: this.holder, drawer: "canvas", showNavigationControl: false, showNavigator: true, navigatorPosition: "TOP_RIGHT", navigatorSizeRatio: 0.17,
      navigatorAutoFade: false, navigatorOpacity: 1, navigatorBorderColor: "rgba(20,24,34,.35)", navigatorDisplayRegionColor: "#3f5fc4",
      gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true }, gestureSettingsTouch: { clickToZoom: false }, gestureSettingsPen: { clickToZoom: false },
      animationTime: calm ? 0 : 0.35, springStiffness: 9, visibilityRatio: 0.5, maxZoomPixelRatio: CLOSEST, minZoomImageRatio: 0.8, zoomPerScroll: 1.25,
      imageLoaderLimit: 6, timeout: 30000, tileRetryMax: 2, tileRetryDelay: 700, immediateRender: false, placeholderFillStyle: "#e8e8ea",
    });
    this.viewer.innerTracker.keyDownHandler = this.viewer.innerTracker.keyHandler = null;   // one place answers keys: the page
    this.viewer.canvas.append(this.page.rings.canvas);       // below the overview, above the tiles
    this.viewer.addHandler("update-viewport", () => this.drawn());
    this.viewer.addHandler("resize", () => this.drawn());
    const marking = () => this.page.marking?.isOn;
    this.viewer.addHandler("canvas-press", event => { if (marking()) this.page.marking.press(event.position); });
    this.viewer.addHandler("canvas-drag", event => { if (marking()) { event.preventDefaultAction = true; this.page.marking.drag(event.position); } });
    this.viewer.addHandler("canvas-release", () => { if (marking()) this.page.marking.release(); });
    this.viewer.addHandler("canvas-click", event => { if (!event.quick) return; if (marking() || this.page.marking?.justMarked()) return; this.page.click(event.position.x, event.position.y); });
    this.viewer.addHandler("tile-load-failed", () => { this.failed = true; this.drawScale(); });
  }

  source(z, s = this.slide) {
    return { width: s.width, height: s.height, tileSize: s.tile, tileOverlap: 0, minLevel: s.coarsest, maxLevel: s.finest,
      getTileUrl: (level, x, y) => `/api/slides/${s.slide}/tile/${level}/${x}/${y}?z=${z}` };
  }

  open(slide) {
    if (!this.viewer) this.build();
    this.slide = slide; this.failed = false; this.images.clear();
    this.started = performance.now();
    this.page.root.dataset.painted = "";
    this.plane = slide.planes.reduce((best, z, i) => (Math.abs(z) < Math.abs(slide.planes[best]) ? i : best), 0);
    return new Promise(resolve => {
      this.viewer.world.removeAll();
      this.viewer.addOnceHandler("open", () => {
        const image = this.viewer.world.getItemAt(0), name = slide.slide;
        this.images.set(this.plane, image);
        const whole = this.viewer.viewport.getHomeZoom(), finest = 1 << (slide.finest - slide.coarsest);
        // A slide without small levels would ask for hundreds of tiles at once: it is not shown as a whole.
        const least = (0.5 * slide.width) / finest / this.node.clientWidth;
        this.viewer.viewport.minZoomLevel = Math.max(whole * 0.8, least);
        const painted = () => {
          if (this.slide.slide !== name || !image.getFullyLoaded() || this.page.root.dataset.painted) return;
          requestAnimationFrame(() => { this.page.root.dataset.painted = Math.round(performance.now() - this.started); this.ahead(); });
        };
        image.addHandler("fully-loaded-change", () => { painted(); this.drawScale(); });
        painted();
        this.around();
        resolve();
      });
      this.viewer.open(this.source(slide.planes[this.plane]));
    });
  }

  ahead() {  // the next slide's coarsest tile: the server then has that slide open when it is chosen
    const { slides } = this.page, next = slides[slides.findIndex(s => s.slide === this.slide.slide) + 1];
    if (next) new Image().src = this.source(next.planes.reduce((best, z) => (Math.abs(z) < Math.abs(best) ? z : best)), next).getTileUrl(next.coarsest, 0, 0);
  }

  // ---- where things are

  transform() {  // pixels of the slide to CSS pixels of the view: x + px * scale
    if (!this.viewer?.isOpen() || !this.slide) return null;
    const v = this.viewer.viewport, zero = v.pixelFromPoint(new OpenSeadragon.Point(0, 0), true), one = v.pixelFromPoint(new OpenSeadragon.Point(1, 0), true);
    return { x: zero.x, y: zero.y, scale: (one.x - zero.x) / this.slide.width };
  }

  point(x, y) { return new OpenSeadragon.Point(x / this.slide.width, y / this.slide.width); }

  pixel(x, y) { const t = this.transform(); return t && { x: (x - t.x) / t.scale, y: (y - t.y) / t.scale }; }

  show(x, y, { closer = false } = {}) {  // brings a place into the middle; the scale stays where cells can be seen
    const v = this.viewer.viewport, span = this.slide.mpp ? CELL_VIEW_UM / this.slide.mpp : 500;
    const zoom = this.slide.width / span * Math.min(1, this.node.clientWidth / this.node.clientHeight);
    if (closer || v.getZoom() < zoom * 0.4) v.zoomTo(Math.min(zoom, v.getMaxZoom()), null, closer);
    v.panTo(this.point(x, y), closer);
    v.applyConstraints();
  }

  isShown(x, y) {  // not at the very edge
    const t = this.transform();
    if (!t) return false;
    const px = t.x + x * t.scale, py = t.y + y * t.scale, w = this.node.clientWidth, h = this.node.clientHeight;
    return px > w * 0.08 && px < w * 0.92 && py > h * 0.1 && py < h * 0.9;
  }

  center() { return this.pixel(this.node.clientWidth / 2, this.node.clientHeight / 2); }
  zoomBy(factor) { this.viewer?.viewport?.zoomBy(factor); this.viewer?.viewport?.applyConstraints(); }
  whole() { this.viewer?.viewport?.goHome(); }

  pan(dx, dy) {
    if (!this.viewer?.viewport) return;
    this.viewer.viewport.panBy(this.viewer.viewport.deltaPointsFromPixels(new OpenSeadragon.Point(dx, dy)));
    this.viewer.viewport.applyConstraints();
  }

  // ---- focal planes: the neighbours are fetched ahead, so that a key shows them at once

  around() {
    const { planes } = this.slide;
    for (const i of [this.plane, this.plane - 1, this.plane + 1]) {
      if (planes[i] === undefined || this.images.has(i)) continue;
      this.images.set(i, null);
      this.viewer.addTiledImage({ tileSource: this.source(planes[i]), opacity: 0, preload: true,
        success: ({ item }) => { this.images.set(i, item); item.addHandler("fully-loaded-change", () => this.drawScale()); this.stack(); } });
    }
    this.stack();
  }

  stack() {
    for (const [i, image] of this.images) {
      if (!image) continue;
      image.setOpacity(i === this.plane ? 1 : 0);
      image.setPreload(Math.abs(i - this.plane) <= 1);
    }
    this.drawScale();
  }

  toPlane(z) {  // the plane on which a cell is sharp
    const i = z === undefined || z === null ? -1 : this.slide.planes.indexOf(z);
    if (i < 0 || i === this.plane) return;
    this.plane = i;
    this.around();
  }

  focus(step) {
    if (!this.slide) return slideNotHere(this.page);
    const next = this.plane + step;
    if (this.slide.planes.length < 2) return this.page.say(tr("This slide has one focal plane."));
    if (this.slide.planes[next] === undefined) return this.page.say(step > 0 ? tr("This is the highest plane.") : tr("This is the lowest plane."));
    this.page.said = "";
    this.plane = next;
    this.around();
    this.page.draw();
  }

  // ---- what is drawn over it

  drawn() { this.drawScale(); this.page.rings.draw(); }

  // Coarser tiles are shown until the fine ones are here: on a slow network that looks like another focus.
  get isCoarse() {
    const isLoading = !this.images.get(this.plane)?.getFullyLoaded();
    if (!isLoading) { clearTimeout(this.late); this.late = null; this.isLate = false; }
    else this.late ||= setTimeout(() => { this.isLate = true; this.drawScale(); }, LATE);
    return isLoading && this.isLate;
  }

  drawScale() {
    const t = this.transform(), { slide } = this;
    this.scale.hidden = !t;
    if (!t) return;
    this.scale.classList.toggle("unknown", !slide.mpp);
    if (!slide.mpp) this.scale.replaceChildren(tr("Scale unknown: sizes cannot be compared"));
    else {
      const pxPerUm = t.scale / slide.mpp, length = SCALE_STEPS_UM.find(um => um * pxPerUm >= 70) || SCALE_STEPS_UM[SCALE_STEPS_UM.length - 1];
      const line = el("i");
      line.style.width = `${length * pxPerUm}px`;
      this.scale.replaceChildren(line, length >= 1000 ? `${length / 1000} mm` : `${length} \u00b5m`);
      this.scale.dataset.um = length;
    }
    const words = [];
    if (slide.mpp) words.push(`${slide.mpp.toFixed(3)} \u00b5m/px (${scaleSource(slide.mpp_source)})`);
    if (slide.planes.length > 1) words.push(tr("focus {um} \u00b5m, plane {n} of {all}", { um: signed(slide.planes[this.plane]), n: this.plane + 1, all: slide.planes.length }));
    if (t.scale > 1.02) words.push(tr("enlarged {n} times", { n: t.scale.toFixed(1) }));
    if (this.isCoarse) words.push(tr("not sharp yet: finer parts are on their way"));
    if (this.failed) words.push(tr("some of it cannot be read"));
    this.state.textContent = words.join(" \u00b7 ");
    this.page.root.dataset.plane = slide.planes[this.plane];
  }
}
