// Shows the place of an end three times as large, away from the finger that covers it.

const ZOOM = 3;
const SIZE_PX = 120;
const LINGER_MS = 1500;

export class Magnifier {
  constructor(canvas, picture, stage) {
    this.canvas = canvas;
    this.picture = picture;
    this.stage = stage;
    this.target = null;
    this.timer = 0;
    canvas.width = SIZE_PX * 2;
    canvas.height = SIZE_PX * 2;
  }

  // Show the end *at* of *line*, both as the page holds them, until `hide`.
  show(line, at) {
    clearTimeout(this.timer);
    this.target = { line, at };
    this.draw();
  }

  hide() {
    clearTimeout(this.timer);
    this.target = null;
    this.canvas.hidden = true;
  }

  // Show it for a moment, as after a nudge.
  flash(line, at) {
    this.show(line, at);
    this.timer = setTimeout(() => this.hide(), LINGER_MS);
  }

  draw() {
    if (!this.target) return;
    const { line, at } = this.target;
    const point = line.points[at];
    if (!point) { this.hide(); return; }
    const { width, height } = this.stage.getBoundingClientRect();
    const [x, y] = [point[0] * width, point[1] * height];
    // In the corner that is farthest from the finger.
    this.canvas.classList.toggle("right", x < width / 2);
    this.canvas.classList.toggle("low", y < height / 2 && height > 2 * SIZE_PX);
    this.canvas.hidden = false;
    const context = this.canvas.getContext("2d");
    const scale = 2 * ZOOM;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#0d1316";
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    context.setTransform(scale, 0, 0, scale, SIZE_PX - x * scale, SIZE_PX - y * scale);
    context.drawImage(this.picture, 0, 0, width, height);
    const tint = getComputedStyle(this.canvas).getPropertyValue(`--line-${line.tint}`).trim();
    context.strokeStyle = tint;
    context.lineWidth = 1;
    context.beginPath();
    line.points.forEach(([px, py], index) => {
      if (index) context.lineTo(px * width, py * height); else context.moveTo(px * width, py * height);
    });
    context.stroke();
    context.beginPath();
    context.arc(x, y, 4, 0, 2 * Math.PI);
    context.stroke();
  }
}
