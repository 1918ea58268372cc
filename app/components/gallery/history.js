// Steps back and forward; a step is all cells that were answered at once.

function undoGalleryStep(gallery) {
  const step = gallery.past.pop();
  if (!step) return takeBackEarlier(gallery, undoGalleryStep);
  for (const l of step.labels) { gallery.outbox.add({ key: uuid(), kind: "undo", label_key: l.key }); gallery.answers.delete(l.cell); }
  gallery.tally.taken += step.labels.length;
  gallery.redoStack.push(step);
  gallery.chosen = new Set(gallery.items.map(i => i.cell).filter(c => step.labels.some(l => l.cell === c)));
  gallery.said = step.labels.length === 1 ? tr("1 label was taken back.") : tr("{n} labels were taken back.", { n: step.labels.length });
  gallery.outbox.send();
  gallery.draw();
  if (gallery.past.length < 4) gallery.older();
}

function redoGalleryStep(gallery) {
  const step = gallery.redoStack.pop();
  if (!step) return gallery.say(tr("There is nothing to put back."));
  gallery.push({ step: uuid(), labels: step.labels.map(l => ({ ...l, key: uuid(), suggestion: null })) });
  gallery.chosen.clear();
  gallery.said = "";
  gallery.draw();
}
