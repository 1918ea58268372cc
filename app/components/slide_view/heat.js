// Heat of suggestions: where the slide is suggested to hold a lesion, in one hue, below the rings. Drawn only
// where the study shows suggestions before the answer.
const CALM_GROUPS = ["Negative", "Normal", "Other", "Classes"];     // answers that are no lesion, or where nobody knows
const HEAT_UM = 45, LEAST_HEAT_PX = 26;

class Heat {
  constructor(page) { this.page = page; this.isOn = false; }

  get isOffered() { return this.page.mode === "shown" && this.page.may_label && this.page.categories.some(c => !CALM_GROUPS.includes(c.group_id)); }

  toggle() {
    this.isOn = !this.isOn;
    this.page.said = this.isOn ? tr("Warm places: a lesion is suggested there, the more the surer. It is no finding.") : "";
    this.page.root.dataset.heat = String(this.isOn);
  }

  draw(pen, view, w, h) {
    const { cells, byId } = this.page;
    if (!this.isOn || !cells.guesses) return;
    const r = Math.max(LEAST_HEAT_PX, cells.mpp ? (HEAT_UM / cells.mpp) * view.scale : LEAST_HEAT_PX);
    for (let i = 0; i < cells.ids.length; i++) {
      const guess = cells.guesses[i];
      if (!guess || CALM_GROUPS.includes(byId.get(guess[0])?.group_id ?? "Other")) continue;
      const x = view.x + cells.xs[i] * view.scale, y = view.y + cells.ys[i] * view.scale;
      if (x < -r || y < -r || x > w + r || y > h + r) continue;
      const glow = pen.createRadialGradient(x, y, 0, x, y, r);
      glow.addColorStop(0, `rgba(214, 84, 20, ${(0.42 * guess[1]).toFixed(3)})`); glow.addColorStop(1, "rgba(214, 84, 20, 0)");
      pen.fillStyle = glow;
      pen.fillRect(x - r, y - r, 2 * r, 2 * r);
    }
  }
}
