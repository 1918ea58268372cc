// The cells of the slide on screen, and which of them have an answer. What the server tells may be older than what
// this page knows: answers, undos and marks of the moment are put back on top of it.
const noCells = mpp => ({ ids: [], xs: [], ys: [], radii: [], planes: null, guesses: null, mpp });

// Of what needs a slide; where it is not even on its way, the page tells why.
function slideNotHere(page) { page.say(page.opening ? tr("The slide is still on its way.") : ""); }

async function loadSlideCells(page, slide) {
  // The answer may not know yet what is waiting now, and that may be acknowledged before the answer is here.
  const sent = page.outbox.events();
  try {
    const found = await getJson(`/api/slide-cells/${slide.slide}`);
    if (page.root.dataset.slide !== slide.slide) return;
    page.cells = { ids: found.cells, xs: found.x, ys: found.y, radii: found.radius_um, planes: found.planes, guesses: found.guesses, mpp: slide.mpp };
    page.answers = new Map(found.answers.map(a => [a.cell, a]));
    found.answers.forEach(a => page.acknowledged.add(a.key));
    const { gone } = page.outbox;
    for (const [cell, a] of page.answers) if (gone.has(a.key)) { page.answers.delete(cell); page.claims.takenBack(a); }
    for (const e of [...sent, ...page.outbox.events()]) if (isMissing(page, e, gone)) rememberAnswer(page, e);
    page.root.dataset.cells = found.cells.length;
  } catch (error) { page.failed(error); page.said = tr("The cells of this slide did not arrive: {reason} {key} tries again.", { reason: error.message, key: page.keyFor("next") }); }
  page.draw();
}

function addCell(page, cell, { x, y, width, height }) {
  const { ids, xs, ys, radii, planes, guesses, mpp } = page.cells;
  ids.push(cell); xs.push(x); ys.push(y); radii.push(mpp ? (Math.max(width, height) * mpp) / 2 : 0); guesses?.push(null); planes?.push(null);
  page.root.dataset.cells = ids.length;
  return ids.length - 1;
}

function isMissing(page, e, gone) {
  return e.kind === "label" && !gone.has(e.key) && !page.refused.has(e.key) && (page.outbox.waiting.has(e.key) || !page.answers.has(e.cell));
}

function rememberAnswer(page, event) {  // an answer that the server has not acknowledged yet
  if (page.cells.ids.includes(event.cell)) page.answers.set(event.cell, { ...event, image: `/api/v1/cells/${event.cell}/image`, suggestion: null });
}
