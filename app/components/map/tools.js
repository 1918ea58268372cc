// What the keys of the map do, as buttons too: for the mouse, and for fingers.
const MAP_KEYS = [
  ["A", word("choose all that is in view"), map => map.chooseView()], ["L", word("cells like this"), map => map.openAlike()],
  ["+", word("closer"), map => map.scaleBy(1.4)], ["-", word("farther"), map => map.scaleBy(1 / 1.4)], ["Escape", word("see all"), map => map.reset()],
];
const MAP_MOVES = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] };

function mapTools(map) {
  return el("div", "keys", ...MAP_KEYS.map(([key, text, act]) => button("tool", () => { act(map); map.soon(); }, keycap(shownKey(key)), tr(text))));
}

// What a key does, wherever the focus is, as on the other pages; undefined where it does nothing here.
function mapAct(map, key) {
  const found = MAP_KEYS.find(([name]) => name === (key === "=" ? "+" : key)), move = MAP_MOVES[key];
  if (found) return () => found[2](map);
  if (move) return () => { map.x += move[0]; map.y += move[1]; };
  return key === "Enter" ? () => map.openGallery() : undefined;
}
