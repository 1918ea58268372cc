// Focal planes of the cell on screen: two keys go through them, the neighbours are fetched ahead.
class Focus {
  constructor(deck) { this.deck = deck; }

  layer(item, i) {  // a plane's picture, null where there is none
    if (!item.planes || item.planes[i] === undefined) return null;
    item.layers ||= new Map();
    if (!item.layers.has(i)) {
      const image = new Image();
      image.src = item.planes[i] === item.plane ? item.image : `${item.image}?z=${item.planes[i]}`;
      const ready = image.decode().then(() => image);
      ready.catch(() => item.layers.delete(i));
      item.layers.set(i, ready);
    }
    return item.layers.get(i);
  }

  place(item) { return item.shownPlane ??= item.planes.indexOf(item.plane); }

  ahead(item) {
    if (!item.planes) return;
    for (const by of [-1, 1]) this.layer(item, this.place(item) + by)?.catch(() => null);
  }

  async step(by) {
    const { deck } = this, item = deck.current;
    if (!item) return;
    if (!item.planes) return deck.say(tr("This cell was scanned in one focal plane."));
    const next = this.place(item) + by, layer = this.layer(item, next);
    if (!layer) return deck.say(by > 0 ? tr("This is the highest plane.") : tr("This is the lowest plane."));
    item.shownPlane = next;
    try {
      const image = await layer;
      if (deck.current !== item || item.shownPlane !== next) return;
      item.focus = item.planes[next] === item.plane ? "" : tr("focus {um} \u00b5m from the sharpest", { um: signed(item.planes[next] - item.plane) });
      deck.view.image = image; deck.view.draw();
      deck.root.dataset.plane = item.planes[next];
      deck.said = "";
      this.ahead(item);
    } catch {
      if (item.shownPlane !== next) return;
      deck.said = tr("This plane did not arrive; press the key again."); item.shownPlane = next - by;
    }
    deck.draw();
  }
}
