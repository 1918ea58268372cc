// Steps back and forward. Both work without a server: they wait in the outbox like answers.

function undoStep(deck) {
  const step = deck.past.pop();
  if (!step) return takeBackEarlier(deck, undoStep);
  for (const l of step.labels) deck.outbox.add({ key: uuid(), kind: "undo", label_key: l.key });
  deck.tally.taken += step.labels.length;
  keep(deck.redoName, [...kept(deck.redoName, []), step]);
  if (step.labels.length === 1) {
    const [{ cell, image, mpp, turn, plane, planes }] = step.labels;
    deck.queue = deck.queue.filter(i => i.cell !== cell);
    if (deck.current && deck.current.cell !== cell) deck.queue.unshift(deck.current);
    // As it lay when it was answered: turned otherwise it would be another picture to look at.
    deck.current = { cell, image, mpp, turn, plane, planes, reason: tr("you took your answer back"), suggestion: null };
    deck.reopened.add(cell);
    deck.isEmpty = false; deck.said = "";
    deck.show();
  } else deck.say(tr("{n} labels of one step in the gallery were taken back.", { n: step.labels.length }));
  deck.outbox.send();
  if (deck.past.length < 6) deck.older();
}

function redoStep(deck) {
  const stack = kept(deck.redoName, []), step = stack.pop();
  if (!step) return deck.say(tr("There is nothing to put back."));
  keep(deck.redoName, stack);
  const labels = step.labels.map(l => ({ ...l, key: uuid(), suggestion: null }));
  deck.push({ step: labels.length > 1 ? uuid() : labels[0].key, labels }, null);
  labels.forEach(l => deck.reopened.delete(l.cell));
  deck.said = "";
  deck.drop(labels.map(l => l.cell));
  deck.draw();
  deck.outbox.send();
}
