// What lies within a loop, and the shape of a point.
function inside(polygon, x, y) {
  let isIn = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i], [xj, yj] = polygon[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) isIn = !isIn;
  }
  return isIn;
}

function rowsOfDisc(side) {  // how far each row of a disc begins behind its square's edge
  const r = side / 2;
  return Array.from({ length: side }, (_, row) => side < 5 ? 0 : Math.round(r - Math.sqrt(Math.max(0, r * r - (row + 0.5 - r) ** 2))));
}
