// The list of keys over the gallery.
function galleryHelp(gallery) {
  const act = id => () => { gallery.help(); if (id !== "help") gallery.command(id); };
  const commands = [...gallery.commands].filter(([key, c]) => key === c.key);
  const sheet = el("div", "sheet", button("quiet close", () => gallery.help(), tr("Close "), keycap("Esc")), el("h2", "", tr("Keys of the gallery")),
    el("p", "lead", tr("Find the cells that do not belong: choose and answer them, then choose all that is left and answer those. All chosen cells get the answer in one step, and one undo takes that step back. " +
      "Arrows move; with \u21e7 they choose a range. After your answer, \u2260 tells that the suggestion was another one. A few known cells are mixed in; after a sweep you are told whether you saw them.")),
    el("div", "columns", ...commands.map(([key, c]) => keyLine(key, c.text, { act: act(c.id) })), ...gallery.categories.map(c => keyLine(c.key, c.name, c))));
  sheet.setAttribute("role", "dialog"); sheet.setAttribute("aria-label", tr("Keys of the gallery")); sheet.tabIndex = 0;
  return sheet;
}
