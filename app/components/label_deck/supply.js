// Where the next cells come from: leased ahead of need, as many as the hand is fast.
const PATIENCE = 1500;         // milliseconds until an answer that did not come is asked for again
const KEPT = 3, KEPT_OF_FAST = 15;     // cells that stay when the list has been made anew: enough until the others are here
const EMPTY_AGAIN = 20000;     // milliseconds until a deck without cells looks whether there are some now
const REDRAW_EVERY = 5000, PAUSE = 600;    // milliseconds; a hand that makes no such pause gets a new deck soon by itself

async function fillDeck(deck, check) {
  if (deck.isGone || deck.isFetching || (!check && !deck.isLow && deck.current)) return;
  deck.isFetching = true;
  const era = deck.era, saved = deck.tally.saved;
  deck.answeredSince = new Set();
  try {
    const others = new Set(deck.holds.others(HOLD_MOST));
    const held = new Set([...deck.outbox.cells(), ...deck.mine()]);
    const url = `/api/v1/worklist?limit=${Math.max(1, deck.ahead - deck.queue.length)}&held=${[...held, ...others].slice(0, 400).join(",")}${deck.which.query()}`;
    const answer = await getJson(url);
    if (era === deck.era && !deck.isGone) arrived(deck, answer, saved === deck.tally.saved);
    else await letGo(deck, answer.items.map(i => i.cell), answer.until);     // asked for before the doctor chose otherwise, or left
  } catch (error) {
    deck.failed(error);
    if (error.status === 404) deck.which.forget();             // a slide or category that the study has no more
    clearTimeout(deck.refill);
    deck.refill = setTimeout(() => deck.fill(), PATIENCE);
  } finally { deck.isFetching = false; }
  if (era !== deck.era) return deck.fill(true);
  if (!deck.isGone) deck.draw();
}

// `isNewest`: no answer was stored since this was asked for. If one was, its receipt told more than this knows.
function arrived(deck, { items, done, progress, until, edition }, isNewest) {
  const sent = new Set([...deck.outbox.cells(), ...deck.mine(), ...deck.answeredSince]);
  deck.queue.push(...items.filter(i => !sent.has(i.cell)).map(i => ({ ...i, edition })));
  if (edition > deck.edition) deck.edition = edition;
  deck.until = until;
  const asked = deck.queue.findIndex(i => i.cell === deck.asked);     // where somebody comes back from the slide
  if (asked > 0) deck.queue.unshift(...deck.queue.splice(asked, 1));
  deck.asked = null;
  deck.drop(done.filter(cell => !deck.reopened.has(cell)));
  if (isNewest) deck.progress = progress;
  deck.problem = "";
  deck.isEmpty = !deck.queue.length && !deck.current;
  if (deck.isEmpty) { clearTimeout(deck.refill); deck.refill = setTimeout(() => deck.fill(true), EMPTY_AGAIN); }
  if (!deck.current) deck.next();
  const ahead = () => deck.queue.forEach(item => deck.decode(item)), drawAhead = () => { ahead(); deck.draw(); };
  if (deck.current && !deck.painted) deck.decode(deck.current).then(drawAhead, drawAhead); else ahead();   // on a slow line they would share it
  if (deck.which.isOn) deck.which.count();
}

// Cells that nobody is to see now are free for others at once; where that does not arrive, their lease ends by itself.
// Where it arrives late, what was asked for meanwhile stays.
function letGo(deck, cells, until = deck.until) {
  return cells.length ? postJson("/api/v1/release", deck.csrf, { cells, until }).catch(() => null) : null;
}

// The page is left: colleagues get at once what nobody has seen. The next cells stay, for a reload finds them again.
// This may arrive when the next page has asked already: what was renewed for that one stays too.
function leave(deck) {
  const unseen = [...deck.queue.slice(KEPT), ...deck.aside].filter(item => !deck.reopened.has(item.cell));
  if (!unseen.length) return;
  deck.queue = deck.queue.filter(item => !unseen.includes(item)); deck.aside = [];
  postJson("/api/v1/release", deck.csrf, { cells: unseen.map(item => item.cell), unseen: true, until: deck.until }, { keepalive: true }).catch(() => null);
}

// The list has been made anew since these cells were fetched: those that are not next, and that nobody has seen, go back
// and the best of now come instead. They are put aside first, so that none can come on screen while it is given back.
// It waits for a pause of the hand: a burst of keys must find the deck full.
function redrawSoon(deck) { clearTimeout(deck.redrawing); deck.redrawing = setTimeout(() => redraw(deck), PAUSE); }

async function redraw(deck) {
  const now = performance.now(), keep = deck.ahead === AHEAD ? KEPT : KEPT_OF_FAST;
  const isOld = item => item.edition !== deck.edition && !deck.reopened.has(item.cell);
  const isBusy = deck.isFetching || deck.outbox.isFailing || now - (deck.times.at(-1) || 0) < PAUSE * 0.9 || now - deck.redrawnAt < REDRAW_EVERY;
  const old = deck.queue.slice(keep).filter(isOld), era = deck.era;
  if (!old.length) return;
  if (isBusy) return redrawSoon(deck);         // later, without waiting for the next answer
  deck.redrawnAt = now;
  deck.isFetching = true;
  deck.aside = old;
  deck.queue = deck.queue.filter(item => !old.includes(item));
  const cells = old.map(item => item.cell);
  const isGiven = await postJson("/api/v1/release", deck.csrf, { cells, unseen: true, until: deck.until }).then(() => true, () => false);
  deck.isFetching = false;
  if (!isGiven && era === deck.era) deck.queue.push(...deck.aside);        // the network is away: they are most likely still ours
  if (isGiven || era !== deck.era) await deck.fill(true);
  deck.aside = [];
  deck.draw();
}

// The doctor wants other cells: what is on screen and what was fetched goes back, answers that were taken back stay.
async function drawOthers(deck) {
  deck.era++;
  const stays = item => deck.reopened.has(item.cell), given = [deck.current, ...deck.queue].filter(i => i && !stays(i));
  deck.queue = deck.queue.filter(stays);
  if (deck.current && !stays(deck.current)) deck.current = deck.queue.shift() || null;
  deck.isEmpty = false; deck.said = "";
  deck.show();
  await letGo(deck, given.map(i => i.cell));
  await deck.fill(true);
}
