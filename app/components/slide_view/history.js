// Steps back and forward on the slide view; like answers they wait in the outbox.

function undoSlideStep(page) {
  const step = page.past.pop();
  if (!step) return takeBackEarlier(page, undoSlideStep);
  for (const l of step.labels) {
    page.outbox.add({ key: uuid(), kind: "undo", label_key: l.key });
    page.claims.takenBack(l);
    if (page.answers.get(l.cell)?.key === l.key) page.answers.delete(l.cell);
  }
  page.tally.taken += step.labels.length;
  page.redoStack.push(step);
  const place = page.cells.ids.indexOf(step.labels[0].cell);
  page.outbox.send();
  page.said = step.labels.length > 1 ? tr("{n} labels were taken back.", { n: step.labels.length })
    : place < 0 ? tr("An answer to a cell of another slide was taken back.") : "";
  if (place >= 0) page.reselect(place);
  if (page.past.length < 4) page.older();
  page.draw();
}

function redoSlideStep(page) {
  const step = page.redoStack.pop();
  if (!step) return page.say(tr("There is nothing to put back."));
  const labels = step.labels.map(l => ({ ...l, key: uuid(), suggestion: null }));
  page.said = "";
  page.push({ step: labels.length > 1 ? uuid() : labels[0].key, labels }, null);
  page.outbox.send();
  page.draw();
}

// Ways to other pages.

function backFromSlide(page) {
  const cell = page.selected === null ? "" : `?cell=${page.cells.ids[page.selected]}`;
  location.assign(page.from === "review" ? `/review${cell}` : page.from === "gallery" ? `/gallery${cell.replace("cell", "like")}` : `/${cell}`);
}

function toCellsLikeThis(page) {
  if (page.selected === null) return page.say(page.ringFirst("like"));
  location.assign(`/gallery?like=${page.cells.ids[page.selected]}`);
}
