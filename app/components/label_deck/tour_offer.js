// The way to the tour on drawn cells: offered until a first answer is given or the offer is put away.
function tourLink(text) {
  const link = el("a", "tourlink", text);
  link.href = "/tour";
  return link;
}

function tourOffer(deck) {  // null: nothing to offer
  const name = `cytojepa/tour/${encodeURIComponent(deck.account)}`;
  if (!deck.current || deck.progress.mine || deck.tally.taken || kept(name, false)) return null;
  return [el("span", "", tr("New here? "), tourLink(tr("Three minutes with drawn cells")), tr(" show the keys. Nothing is saved there.")),
    button("quiet", () => { keep(name, true); deck.draw(); }, tr("Not now"))];
}
