// Keys that are not answers. An answer of the study always wins its key; a command then takes the
// next of its own, and the page's help shows the one in force.
const COMMANDS = [
  { id: "undo", keys: ["Z"], text: "take back the last step; again for the one before" },
  { id: "redo", keys: ["\u21e7Z"], text: "put back what was taken back" },
  { id: "wide", keys: ["F", "V"], text: "hold: see the wider field; release: back to the cell" },
  { id: "ring", keys: ["M", "N"], text: "ring of an intermediate nucleus (follows the pointer)" },
  { id: "stain", keys: ["E", "O"], text: "haematoxylin alone" },
  { id: "tone", keys: ["T", "B"], text: "brightness, contrast, gamma" },
  { id: "guide", keys: ["K", "J"], text: "criteria and reference cells of every answer" },
  { id: "note", keys: ["D", "P"], text: "comment on this cell" },
  { id: "like", keys: ["L", "Y"], text: "open cells like this one as a gallery" },
  { id: "marks", keys: ["H", "X"], text: "centre marks on or off" },
  { id: "unsure", keys: [","], text: "say that you are unsure (or hold \u21e7 while answering)" },
  { id: "sure", keys: ["."], text: "say that you are sure" },
  { id: "zoomIn", keys: ["+"], also: ["="], text: "closer; also the wheel; drag to move" },
  { id: "zoomOut", keys: ["-"], also: ["_"], text: "farther" },
  { id: "reset", keys: ["Escape"], text: "picture as it was; closes what is open" },
  { id: "darker", keys: ["["], text: "darker" },
  { id: "brighter", keys: ["]"], text: "brighter" },
  { id: "help", keys: ["?"], text: "this list" },
];

function commandKeys(categories) {  // -> Map key -> command
  const taken = new Set(categories.map(c => c.key.toUpperCase()));
  const found = new Map();
  for (const command of COMMANDS) {
    const key = command.keys.find(k => !taken.has(k)) || null;
    const chosen = { ...command, key };
    if (key) found.set(key, chosen);
    for (const other of command.also || []) found.set(other, chosen);
  }
  return found;
}

function shownKey(key) { return { Escape: "Esc", "-": "\u2212" }[key] || key; }
