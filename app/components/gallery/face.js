// What the gallery says beside its cells.

function drawGalleryMessage(gallery) {
  const link = el("a", "", tr("See how far the study is")); link.href = "/progress";
  const content = gallery.isLoading ? [tr("Fetching the cells\u2026")]
    : gallery.problem ? [el("b", "", tr("The cells did not arrive.")), el("p", "", gallery.problem), button("quiet", () => gallery.load(gallery.like), tr("Try again"))]
    : !gallery.items.length ? [el("b", "", tr("Nothing is left for you.")), el("p", "", tr("Every cell has its label, or a colleague has it on screen.")), link]
    : [];
  gallery.message.replaceChildren(...content);
}

function drawGalleryScale(gallery) {
  const scales = new Set(gallery.items.map(i => i.mpp));
  const [mpp] = scales;
  if (scales.size !== 1 || mpp === null) { gallery.scale.replaceChildren(gallery.items.length ? tr("Scale unknown: sizes cannot be compared") : ""); return; }
  const line = el("i");
  line.style.width = `${(10 / (mpp * gallery.crop_px)) * gallery.tile}px`;
  gallery.scale.replaceChildren(line, tr("10 \u00b5m, the same for all cells"));
}

function notHere() { return tr("The cells are not here yet: nothing was chosen or answered."); }

// The question of a sweep is which cells are NOT like the rest: to find the odd ones is quicker and
// safer than to confirm each. Its name is told only where the study shows suggestions first.
function drawGalleryTitle(gallery, open) {
  const shown = new Set(gallery.items.map(i => i.suggestion?.category)), [only] = shown;
  const name = shown.size === 1 && only ? gallery.byId.get(only)?.name : null, n = gallery.chosen.size;
  const question = n ? tr("{n} chosen", { n })
    : !open ? tr("This page is done: \u21b5 brings the next")
    : name ? tr("Which of these are NOT {name}?", { name }) : tr("Which of these do not belong with the others?");
  const counts = tr("{open} open of {all}", { open, all: gallery.items.length });
  if (!gallery.items.length) return gallery.title.replaceChildren(el("b", "", tr("Gallery")));
  gallery.title.replaceChildren(el("b", "", question), ` ${counts}${gallery.seed ? tr(", sorted by likeness to the first") : ""}`);
}

function galleryChoices(gallery) {
  const choice = (label, values, current, set) => {
    const select = el("select", "quiet");
    select.setAttribute("aria-label", label);
    for (const [value, text] of values) { const o = el("option", "", text); o.value = value; o.selected = value === current; select.append(o); }
    select.addEventListener("change", () => { set(select.value); select.blur(); });
    return select;
  };
  const always = [
    choice(tr("Cells on a page"), [60, 120, 200].map(v => [String(v), String(v)]), String(gallery.size),
      v => { gallery.size = Number(v); keep("cytojepa/gallery-size", gallery.size); gallery.reload(); }),
    choice(tr("Size of a cell"), [["72", tr("small")], ["96", tr("medium")], ["128", tr("large")]], String(gallery.tile),
      v => { gallery.tile = Number(v); keep("cytojepa/gallery-tile", gallery.tile); gallery.draw(); }),
  ];
  if (gallery.mode !== "shown") return always;
  const classes = gallery.categories.filter(c => c.is_class).map(c => [c.id, tr("suggested: {name}", { name: c.name })]);
  return [
    choice(tr("Which cells"), [["", tr("any suggestion")], ...classes], gallery.suggested, v => { gallery.suggested = v; gallery.reload(); }),
    choice(tr("Order of the cells"), [["likeness", tr("most alike first")], ["certainty", tr("surest first")]], gallery.order, v => { gallery.order = v; gallery.reload(); }),
    ...always,
  ];
}

// Known cells in a sweep, told after it and calmly: how many were noticed, and which to look at again.
function tellFoils(gallery, receipts) {
  const found = receipts.filter(r => r.accepted && typeof r.foil === "boolean"), missed = found.filter(r => r.foil).length;
  if (!found.length) return;
  const all = found.length;
  gallery.said = missed ? tr("{missed} of {all} known cells among these got another answer than is known. They are marked; look at the sweep once more, or go on.", { missed, all })
    : all === 1 ? tr("There was a known cell among these, and you saw it.") : tr("There were {all} known cells among these, and you saw them all.", { all });
}

function galleryLead() {
  return tr("Find the cells that do not belong: choose and answer them, then choose all that is left and answer those. All chosen cells get the answer in one step, and one undo takes that step back. " +
    "Arrows move; with \u21e7 they choose a range. After your answer, \u2260 tells that the suggestion was another one. A few known cells are mixed in; after a sweep you are told whether you saw them.");
}

// Cells that are chosen and not answered: leaving them behind is asked once.
function leaveChoice(gallery, id, leave) {
  const key = shownKey(keyOfCommand(gallery.commands, id));
  const asked = tr("Chosen without an answer: {n}. {key} once more leaves them behind.", { n: gallery.chosen.size, key });
  if (!gallery.chosen.size || gallery.said === asked) return leave();
  gallery.say(asked);
}
