// What the gallery says beside its cells.

function drawGalleryMessage(gallery) {
  const link = el("a", "", "See how far the study is"); link.href = "/progress";
  const content = gallery.isLoading ? ["Fetching the cells\u2026"]
    : gallery.problem ? [el("b", "", "The cells did not arrive."), el("p", "", gallery.problem), button("quiet", () => gallery.load(gallery.like), "Try again")]
    : !gallery.items.length ? [el("b", "", "Nothing is left for you."), el("p", "", "Every cell has its label, or a colleague has it on screen."), link]
    : [];
  gallery.message.replaceChildren(...content);
}

function drawGalleryScale(gallery) {
  const scales = new Set(gallery.items.map(i => i.mpp));
  const [mpp] = scales;
  if (scales.size !== 1 || mpp === null) { gallery.scale.replaceChildren(gallery.items.length ? "Scale unknown: sizes cannot be compared" : ""); return; }
  const line = el("i");
  line.style.width = `${(10 / (mpp * gallery.crop_px)) * gallery.tile}px`;
  gallery.scale.replaceChildren(line, "10 \u00b5m, the same for all cells");
}
