// The steps of the tour. `cell`: which drawn cell; `until`: what brings the next step: any answer, one
// answer, or a command; `say`: what is told when it was done.
const TOUR_STEPS = [
  { cell: 0, until: "answer", title: word("One cell, one key"),
    text: word("The cell between the marks is meant. The bar at the lower left is a length. Which answer would you give? Press its key, or click it.") ,
    say: word("Saved: on the real page it says so at the top right. Here nothing is saved.") },
  { cell: 1, until: "answer", title: word("You answer first"),
    text: word("The suggestion comes after your answer, so that it cannot lead you. Answer this one, then look below."),
    reveal: true, say: word("If a suggestion makes you think again, take your answer back and give another. Both are kept.") },
  { cell: 1, until: "undo", title: word("Nothing is final"), text: word("Press Z. It takes your last answer back, today or next week."),
    say: word("Shift and Z put it back.") },
  { cell: 2, until: "wide", title: word("Look around"), text: word("Hold F: you see a field four times as wide. Let go and the cell is back."),
    say: "" },
  { cell: 3, until: "ring", title: word("How large is it?"), text: word("Press M. The ring is as large as the nucleus of an intermediate cell, 35 \u00b5m\u00b2."),
    say: word("The ring follows the pointer.") },
  { cell: 4, until: "stain", title: word("Only the nucleus"), text: word("Press E. It shows where haematoxylin is. Press it again for the colours."), say: "" },
  { cell: 3, until: "U", title: word("You may not know"), text: word("Press U when the picture does not decide it. Q means abnormal squamous of unclear grade. " +
      "ASC-US is a finding, not a way to say \u201cI do not know\u201d."), say: word("That helps more than a guess.") },
];
const TOUR_COMMANDS = [
  { id: "undo", key: "Z", also: [] }, { id: "wide", key: "F", also: [] }, { id: "ring", key: "M", also: [] }, { id: "stain", key: "E", also: [] },
];
