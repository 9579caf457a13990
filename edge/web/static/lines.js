// The geometry of lines. Points are shares of the picture, 0 to 1; width and height are the stage's, px.

export function rounded(value) { return Math.round(1000 * Math.min(1, Math.max(0, value))) / 1000; }

export function middle(line) {
  const at = Math.floor((line.points.length - 1) / 2);
  const [one, other] = [line.points[at], line.points[at + 1]];
  return { x: (one[0] + other[0]) / 2, y: (one[1] + other[1]) / 2, one, other };
}

// The arrow into the shop as an SVG path, and where its label stands.
export function arrow(line, width, height) {
  const { x, y, one, other } = middle(line);
  const [dx, dy] = [(other[0] - one[0]) * width, (other[1] - one[1]) * height];
  const length = Math.hypot(dx, dy) || 1;
  let [nx, ny] = [-dy / length, dx / length];
  if ((line.inside[0] - x) * width * nx + (line.inside[1] - y) * height * ny < 0) [nx, ny] = [-nx, -ny];
  const [fromX, fromY] = [x * width + nx * 8, y * height + ny * 8];
  const [toX, toY] = [x * width + nx * 38, y * height + ny * 38];
  const [sx, sy] = [-ny * 8, nx * 8];
  const [bx, by] = [toX - nx * 10, toY - ny * 10];
  return {
    path: `M${fromX} ${fromY}L${toX} ${toY}M${bx + sx} ${by + sy}L${toX} ${toY}L${bx - sx} ${by - sy}`,
    label: [toX + nx * 15, toY + ny * 15],
  };
}

// The distance of a place of the stage, px, from a line.
export function distance(line, x, y, width, height) {
  let nearest = Infinity;
  for (let at = 1; at < line.points.length; at += 1) {
    const [x1, y1] = [line.points[at - 1][0] * width, line.points[at - 1][1] * height];
    const [dx, dy] = [line.points[at][0] * width - x1, line.points[at][1] * height - y1];
    const along = Math.min(1, Math.max(0, ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1)));
    nearest = Math.min(nearest, Math.hypot(x - x1 - along * dx, y - y1 - along * dy));
  }
  return nearest;
}

// The points moved together by a step, as far as the picture has room.
export function moved(points, dx, dy) {
  const clamp = (step, values) => Math.min(1 - Math.max(...values), Math.max(-Math.min(...values), step));
  const [right, down] = [clamp(dx, points.map((point) => point[0])), clamp(dy, points.map((point) => point[1]))];
  return points.map(([x, y]) => [rounded(x + right), rounded(y + down)]);
}

// The point on the shop's side, mirrored at the line.
export function mirroredInside(line, width, height) {
  const { x, y, one, other } = middle(line);
  const [dx, dy] = [(other[0] - one[0]) * width, (other[1] - one[1]) * height];
  const square = dx * dx + dy * dy || 1;
  const normal = ((line.inside[0] - x) * width * -dy + (line.inside[1] - y) * height * dx) / square;
  return [rounded(line.inside[0] + 2 * normal * dy / width), rounded(line.inside[1] - 2 * normal * dx / height)];
}

export function endName(line, at) {
  if (at === null) return "Whole line";
  const last = line.points.length - 1;
  if (at > 0 && at < last) return `Bend ${at}`;
  const [one, other] = [line.points[at], line.points[last - at]];
  const isFlat = Math.abs(one[0] - other[0]) >= Math.abs(one[1] - other[1]);
  if (isFlat) return one[0] <= other[0] ? "Left end" : "Right end";
  return one[1] <= other[1] ? "Upper end" : "Lower end";
}
