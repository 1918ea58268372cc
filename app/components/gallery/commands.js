// Keys of the gallery that are not answers; see commandKeys. Arrows move, with shift they choose.
const GALLERY_COMMANDS = [
  { id: "pick", keys: ["X", "+"], also: [" "], text: "choose this cell, or not; also the space bar, or click", short: "choose" },
  { id: "all", keys: ["A", "*"], text: "choose all that have no answer yet", short: "all" },
  { id: "invert", keys: ["I", "-"], text: "choose the others instead", short: "the others" },
  { id: "none", keys: ["Escape"], text: "choose none; closes what is open", short: "none" },
  { id: "undo", keys: ["Z"], text: "take back the last step, all its cells at once", short: "take back" },
  { id: "redo", keys: ["\u21e7Z"], text: "put back what was taken back" },
  { id: "like", keys: ["L", "Y"], text: "a page of cells like this one", short: "cells like this" },
  { id: "slide", keys: ["V", "G"], text: "the place of the cell under the frame on its slide" },
  { id: "next", keys: ["Enter"], text: "next page", short: "next page" },
  { id: "help", keys: ["?"], text: "this list", short: "all keys" },
];

function galleryHelp(gallery) {
  const line = (key, text, color) => el("div", "keyline", keycap(shownKey(key), color), el("span", "", text));
  const commands = [...gallery.commands].filter(([key, c]) => key === c.key);
  const sheet = el("div", "sheet", button("quiet close", () => gallery.help(), "Close ", keycap("Esc")), el("h2", "", "Keys of the gallery"),
    el("p", "lead", "Choose cells, then press an answer: all chosen cells get it in one step, and one undo takes that step back. " +
      "Often it is quickest to choose the odd ones, answer them, then choose all that is left. Arrows move; with \u21e7 they choose a range. After your answer, \u2260 tells that the suggestion was another one."),
    el("div", "columns", ...commands.map(([key, c]) => line(key, c.text)), ...gallery.categories.map(c => line(c.key, c.name, c.color))));
  sheet.setAttribute("role", "dialog"); sheet.setAttribute("aria-label", "Keys of the gallery"); sheet.tabIndex = 0;
  return sheet;
}
