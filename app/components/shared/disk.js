// A second copy of what waits, on the computer's disk within milliseconds. A browser brings localStorage there some
// seconds later: killed before that, or when the computer goes off, it would lose the last answers. Where a browser
// has no such store, or forbids it, localStorage alone has to do.
const DISK = "cytojepa", SHELF = "waiting";
let diskOpening = null;

function openDisk() {
  diskOpening ??= new Promise((done, fail) => {
    const asked = indexedDB.open(DISK, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(SHELF);
    asked.onsuccess = () => { asked.result.onclose = () => { diskOpening = null; }; done(asked.result); };
    asked.onerror = () => fail(asked.error);
  });
  return diskOpening;
}

class Disk {
  constructor(prefix) { this.prefix = prefix; this.changes = new Map(); this.isWriting = false; }

  set(key, entry) { this.changes.set(this.prefix + key, entry); this.write(); }
  remove(key) { this.set(key, null); }

  async write() {
    if (this.isWriting) return;
    this.isWriting = true;
    try {
      while (this.changes.size) {
        const changes = this.changes;
        this.changes = new Map();
        const transaction = (await openDisk()).transaction(SHELF, "readwrite", { durability: "strict" });
        const shelf = transaction.objectStore(SHELF);
        for (const [name, entry] of changes) if (entry) shelf.put(entry, name); else shelf.delete(name);
        await new Promise((done, fail) => { transaction.oncomplete = done; transaction.onabort = () => fail(transaction.error); });
      }
    } catch { /* what waits is in localStorage too */ } finally { this.isWriting = false; }
  }

  async entries() {
    try {
      const shelf = (await openDisk()).transaction(SHELF).objectStore(SHELF);
      const asked = shelf.getAll(IDBKeyRange.bound(this.prefix, `${this.prefix}\uffff`));
      return await new Promise((done, fail) => { asked.onsuccess = () => done(asked.result); asked.onerror = () => fail(asked.error); });
    } catch { return []; }
  }
}
