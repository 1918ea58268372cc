// Events on their way to the server. Each is kept in the browser under a name of its own until the
// server has acknowledged it, so that windows of one account never overwrite each other's, and a
// reload, a crash or a lost connection loses none. A resend is harmless: the server knows the key.
// A page asks the server for cells once `ready` tells that all of the last visit's are known.
const MOST_IN_MESSAGE = 200;
const MOST_MESSAGE_CHARS = 60000;
const MOST_KEPT_ALIVE = 20000;      // characters that a browser surely goes on sending when the page is left
const FIRST_PAUSE = 250;            // milliseconds; doubled with each failure
const LONGEST_PAUSE = 4000;
const ORPHAN_AGE = 5000;            // another window's event that is still here after this long is sent by us
const DISK_MOST = 1000;             // a disk that does not answer must not keep the doctor waiting
const GIVE_UP = 10000;              // for one message; then it is sent again
const EARLIER = 12;                 // steps that are asked for at once, to be taken back

class Outbox {
  // on: { change(), receipts(list, own, body), elsewhere(event), isUnfinished() }, the last one where there is work that is not in here yet
  constructor({ name, account, url, csrf, on }) {
    Object.assign(this, { url, csrf, on });
    this.prefix = `cytojepa/${name}/${encodeURIComponent(account)}/`;
    this.waiting = new Map();       // key -> { at, event, mpp, own }
    this.gone = new Set();          // keys of labels that were taken back, also where the server knows it meanwhile
    this.pause = 0; this.inFlight = false; this.signedOut = false; this.most = MOST_IN_MESSAGE;
    this.lastAt = 0; this.status = 0;
    this.disk = new Disk(this.prefix);
    this.adopt(0);
    this.ready = Promise.race([this.recover(), new Promise(done => setTimeout(done, DISK_MOST))]);
    window.addEventListener("storage", this.onStorage = e => this.seen(e));
    window.addEventListener("online", this.onOnline = () => { this.pause = 0; this.send(); });
    window.addEventListener("cytojepa-leave", this.onLeave = e => {      // the lock, see lock/lock.js
      if (this.isUnkept || on.isUnfinished?.()) e.preventDefault();
      this.signedOut = true; on.change();
    });
    this.adopter = setInterval(() => this.adopt(ORPHAN_AGE), ORPHAN_AGE);
  }

  destroy() {
    window.removeEventListener("storage", this.onStorage);
    window.removeEventListener("online", this.onOnline);
    window.removeEventListener("cytojepa-leave", this.onLeave);
    clearInterval(this.adopter); clearTimeout(this.timer);
  }

  get size() { return this.waiting.size; }
  get signedOut() { return this.isRefused; }

  set signedOut(isRefused) {
    this.isRefused = isRefused;
    if (isRefused) window.dispatchEvent(new Event("cytojepa-refused"));      // see lock/lock.js
  }

  get isFailing() { return this.signedOut || (this.pause > 0 && this.size > 0); }
  get isUnkept() { return [...this.waiting.values()].some(entry => entry.isLost); }     // the browser's store is full or forbidden
  entries() { return [...this.waiting.values()].sort((a, b) => a.at - b.at); }
  events() { return this.entries().map(entry => entry.event); }
  isTakingBack(key) { return this.events().some(e => e.kind === "undo" && e.label_key === key); }
  cells() { return this.events().filter(e => e.kind === "label").map(e => e.cell); }

  // What waits is newer than all that the server tells of, which may have been asked before it arrived there.
  steps() {
    const found = new Map();
    for (const { event: e, mpp = null } of this.entries()) {
      if (e.kind !== "label" || this.gone.has(e.key)) continue;
      const step = e.step || e.key, { key, cell, category, confidence, comment } = e;
      if (!found.has(step)) found.set(step, { step, labels: [] });
      found.get(step).labels.push({ key, cell, category, confidence, comment, mpp, image: `/api/v1/cells/${cell}/image`, suggestion: null });
    }
    return [...found.values()];
  }

  add(event, mpp = null) {
    const at = this.lastAt = Math.max(Date.now(), this.lastAt + 0.001);
    const entry = { at, event, mpp };
    this.hold({ ...entry, own: true, isLost: !keep(this.prefix + event.key, entry) });
    this.disk.set(event.key, entry);
  }

  // The answers of one step: what is taken back together.
  addStep(step, seconds = null) {
    const now = new Date().toISOString();
    for (const l of step.labels) {
      this.add({ key: l.key, kind: "label", cell: l.cell, category: l.category, decided_at: now, seconds,
        confidence: l.confidence || null, comment: l.comment || null, step: step.labels.length > 1 ? step.step : null }, l.mpp);
    }
  }

  hold(entry) {
    this.waiting.set(entry.event.key, entry);
    if (entry.event.kind === "undo") this.gone.add(entry.event.label_key);
  }

  adopt(age) {
    let count = 0;
    for (let i = 0; i < localStorage.length; i++) {
      const name = localStorage.key(i);
      if (!name.startsWith(this.prefix) || this.waiting.has(name.slice(this.prefix.length))) continue;
      const entry = kept(name, null);
      if (!entry || !entry.event || Date.now() - entry.at < age) continue;
      this.hold({ ...entry, own: false });
      count++;
    }
    if (count) { this.send(); this.on.change(); }
  }

  async recover() {  // what a browser that was killed had not brought into localStorage
    const found = (await this.disk.entries()).filter(entry => !this.waiting.has(entry.event.key));
    for (const entry of found) { this.hold({ ...entry, own: false }); this.on.elsewhere(entry.event); }
    if (found.length) { this.send(); this.on.change(); }
  }

  seen(change) {  // another window of this account added an event, or got its receipt
    if (!change.key || !change.key.startsWith(this.prefix)) return;
    if (change.newValue === null) this.waiting.delete(change.key.slice(this.prefix.length));
    else try {
      const { event } = JSON.parse(change.newValue);
      if (event.kind === "undo") this.gone.add(event.label_key);
      this.on.elsewhere(event);
    } catch { return; }
    this.on.change();
  }

  // After a sign-in in another window, see `mounted`: what waits goes on from here.
  renew(csrf) {
    this.csrf = csrf; this.signedOut = false; this.pause = 0;
    this.send(); this.on.change();
  }

  message() {
    const events = [];
    let chars = 0;
    for (const event of this.events()) {
      chars += JSON.stringify(event).length;
      if (events.length && (events.length >= this.most || chars > MOST_MESSAGE_CHARS)) break;
      events.push(event);
    }
    return events;
  }

  async send() {
    if (this.inFlight || this.signedOut || !this.size) return;
    this.inFlight = true;
    clearTimeout(this.timer);
    const events = this.message(), content = JSON.stringify({ events }), { csrf } = this;
    try {
      const answer = await fetch(this.url, {
        method: "POST", body: content, keepalive: content.length < MOST_KEPT_ALIVE, signal: AbortSignal.timeout(GIVE_UP),
        headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
      });
      if ((answer.status === 401 || answer.status === 403) && csrf === this.csrf) this.signedOut = true;       // not where it was renewed meanwhile
      const body = await answer.json();
      if (answer.status === 400) this.refused(events, body.error);
      else if (!answer.ok) throw new HttpError(answer.status);
      else this.acknowledged(body);
      this.pause = this.status = 0;
    } catch (error) {
      this.status = error.status || 0;
      this.pause = Math.min(LONGEST_PAUSE, this.pause ? this.pause * 2 : FIRST_PAUSE);
      if (!this.signedOut) this.timer = setTimeout(() => this.send(), this.pause);
    } finally {
      this.inFlight = false;
    }
    this.on.change();
    if (!this.pause) this.send();
  }

  // One event that makes no sense must not keep the others back: from now on each travels alone.
  refused(events, reason) {
    if (events.length > 1) this.most = 1;
    else this.acknowledged({ receipts: [{ key: events[0].key, accepted: false, reason }] });
  }

  acknowledged(body) {
    const { receipts } = body;
    const own = new Set();
    let count = 0;
    for (const receipt of receipts) {
      if (this.waiting.get(receipt.key)?.own) own.add(receipt.key);
      count += this.waiting.delete(receipt.key);
      localStorage.removeItem(this.prefix + receipt.key);
      this.disk.remove(receipt.key);
    }
    if (!this.size) this.most = MOST_IN_MESSAGE;
    this.on.receipts(receipts, own, body);
    if (!count) throw new Error("an answer without the receipts that were asked for");
  }
}

// What to tell of boxes whose content waits, null where all goes its way: what has happened, and what becomes of it.
function troubleOf(...boxes) {
  const n = boxes.reduce((sum, box) => sum + box.size, 0), isUnkept = boxes.some(box => box.isUnkept);
  if (boxes.some(box => box.signedOut)) {
    const link = el("a", "", tr("sign in again"));
    link.href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
    if (isUnkept) { link.href = "/login"; link.target = "_blank"; }       // in a window of its own: this one goes on then
    return [signedOutWords(n, isUnkept), link, "."];
  }
  const why = isUnkept ? tr("This browser does not let the page keep unsaved answers: do not close it while answers are waiting.")
    : boxes.map(box => (box.isFailing ? whyUnsaved(box.status) : "")).find(Boolean);
  return why ? [why] : null;
}

// A page's line of words: trouble of its boxes first, else what it has to say.
function drawNotice(node, words, ...boxes) {
  const trouble = troubleOf(...boxes);
  node.classList.toggle("calm", !trouble);
  node.replaceChildren(...(trouble || (words ? [words] : [])));
}

function signedOutWords(n, isUnkept) {
  return isUnkept ? tr("Signed out, and this browser does not let the page keep unsaved answers. Leave it open: it saves them when you ")
    : n === 0 ? tr("Signed out. No answer is waiting; to go on, ")
    : n === 1 ? tr("Signed out. 1 answer is kept in this browser and will be saved when you ")
    : tr("Signed out. {n} answers are kept in this browser and will be saved when you ", { n });
}

// What the server says of a study that stores nothing at the moment; "" where nothing is known.
function whyUnsaved(status) {
  if (status === 507) return tr("The disk of the study is full or broken: answers are kept in this browser and saved when that is mended. Tell who runs the server.");
  return status === 503 ? tr("The database of the study does not answer: answers are kept in this browser and saved when it does.") : "";
}

// Taking back where the page knows no step: earlier ones are on their way or have to be asked for, and only the server
// knows that there are none. The key counts when they are here, unless an answer was given meanwhile.
async function takeBackEarlier(page, undo) {
  const { taken } = page.tally, asked = page.isLeft = {};
  page.say(tr("Earlier answers are being fetched\u2026"));
  const error = await page.older();
  if (page.isLeft !== asked) return;         // the key was pressed again
  if (page.past.length && page.tally.taken === taken) return undo(page);
  page.say(error ? tr("Earlier answers did not arrive: {reason}", { reason: error.message }) : page.past.length ? "" : tr("There is nothing more to take back."));
}

// Steps before those that the page knows, so that undo reaches back beyond a reload. Returns why they did not arrive, else null.
function readEarlier(page, isOut) {
  return page.reading ||= (async () => {
    try {
      await page.outbox.ready;         // what waits is newer, and taken back first
      const known = page.past.find(step => step.labels.every(l => page.isKnown(l)));
      const { steps } = await getJson(`/api/v1/recent?limit=${EARLIER}${known ? `&before=${known.step}` : ""}`);
      withEarlier(page, steps, isOut);
      return null;
    } catch (error) {
      if (error.status === 401) page.outbox.signedOut = true;
      return error;
    } finally { page.reading = null; }
  })();
}

// Puts the steps that the server tells before those that the page knows, without what was taken back meanwhile.
function withEarlier(page, steps, isOut = () => false) {
  const { gone } = page.outbox, here = new Set(page.past.map(step => step.step));
  const found = steps.map(s => ({ ...s, labels: s.labels.filter(l => !gone.has(l.key) && !isOut(l.key)) }))
    .filter(s => s.labels.length && !here.has(s.step));
  found.forEach(s => s.labels.forEach(l => page.acknowledged.add(l.key)));
  page.past = [...found.reverse(), ...page.past];
}

// A step that another window took back is not taken back here again.
function withoutUndone(page, event) {
  for (const [cell, answer] of page.answers || []) if (answer.key === event.label_key) page.answers.delete(cell);
  page.past = page.past.map(s => ({ ...s, labels: s.labels.filter(l => l.key !== event.label_key) })).filter(s => s.labels.length);
}

// Which cells the other windows of this account show, so that no two windows ask for the same one.
class Holds {
  constructor(account) {
    this.prefix = `cytojepa/holds/${encodeURIComponent(account)}/`;
    this.name = this.prefix + uuid();
    window.addEventListener("pagehide", this.onHide = () => this.destroy());
  }

  destroy() { window.removeEventListener("pagehide", this.onHide); localStorage.removeItem(this.name); }
  publish(cells) { keep(this.name, { at: Date.now(), cells }); }

  others(maxAge) {
    const found = [];
    for (let i = 0; i < localStorage.length; i++) {
      const name = localStorage.key(i);
      if (!name.startsWith(this.prefix) || name === this.name) continue;
      const { at, cells } = kept(name, { at: 0, cells: [] });
      if (Date.now() - at < maxAge) found.push(...cells);
    }
    return found;
  }
}
