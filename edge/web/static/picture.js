// Draws the preview of the sealed vision process: edges, flat shapes, heads as dots, the last three seconds of tracks.

const TRAIL_MS = 3000;
const SILENCE_MS = 10000;  // a box that was silent for so long is off
const EDGE = [170, 196, 206];
const SOMEBODY = [122, 148, 170, 150];
const NAMES = { DARK: "It is too dark", COVERED: "Something is in front of the lens", FROZEN: "The picture stands still",
  MOVED: "The camera was moved", CAMERA_LOST: "The camera gives no pictures", SLOW: "The pictures come too slowly" };

export class Picture {
  constructor(canvas, stage) {
    this.canvas = canvas;
    this.stage = stage;
    this.context = canvas.getContext("2d");
    this.small = document.createElement("canvas");
    this.trails = new Map();
    this.loose = [];
    this.now = 0;
  }

  show(event) {
    const [width, height] = event.size;
    if (width > 1 && this.canvas.width !== 1280) this.fit(width, height);
    this.now = event.t;
    this.loose = [];
    for (const [track, x, y, diameter, t] of event.points) {
      if (track === 0) {
        if (t === event.t) this.loose.push([x, y, diameter]);
      } else {
        if (!this.trails.has(track)) this.trails.set(track, []);
        this.trails.get(track).push([x, y, diameter, t]);
      }
    }
    for (const [track, trail] of this.trails) {
      while (trail.length && this.now - trail[0][3] > TRAIL_MS) trail.shift();
      if (!trail.length) this.trails.delete(track);
    }
    this.stage.classList.toggle("seen", event.seen && width > 1);
    this.draw(event);
  }

  fit(width, height) {
    document.body.style.setProperty("--ratio", (width / height).toFixed(4));
    this.canvas.width = 1280;
    this.canvas.height = Math.round(1280 * height / width);
  }

  draw(event) {
    const { context, canvas } = this;
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (event.cells) this.drawCells(event);
    for (const trail of this.trails.values()) this.drawTrail(trail);
    context.lineWidth = 2;
    context.strokeStyle = "#ffffff88";
    for (const [x, y] of this.loose) this.dot(x, y, 6, false);
    for (const trail of this.trails.values()) {
      const [x, y, , t] = trail[trail.length - 1];
      if (this.now - t < 600) this.dot(x, y, 9, true);
    }
    const said = event.flags.map((flag) => NAMES[flag]).filter(Boolean).join(". ");
    if (said) {
      context.font = "500 34px system-ui, sans-serif";
      context.fillStyle = "#ffd08a";
      context.fillText(`${said}.`, 28, canvas.height - 34);
    }
  }

  drawCells(event) {
    const { columns, rows } = event;
    const cells = atob(event.cells);
    const image = new ImageData(columns, rows);
    for (let at = 0; at < cells.length; at += 1) {
      const value = cells.charCodeAt(at);
      if (value === 15) image.data.set(SOMEBODY, 4 * at);
      else if (value) image.data.set([...EDGE, Math.min(255, 30 + value * 16)], 4 * at);
    }
    this.small.width = columns;
    this.small.height = rows;
    this.small.getContext("2d").putImageData(image, 0, 0);
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(this.small, 0, 0, this.canvas.width, this.canvas.height);
  }

  drawTrail(trail) {
    const { context, canvas } = this;
    context.lineCap = "butt";
    context.lineWidth = 5;
    for (let at = 1; at < trail.length; at += 1) {
      const [x1, y1] = trail[at - 1];
      const [x2, y2, , t] = trail[at];
      context.strokeStyle = `rgba(255, 255, 255, ${0.75 * (1 - (this.now - t) / TRAIL_MS)})`;
      context.beginPath();
      context.moveTo(x1 * canvas.width, y1 * canvas.height);
      context.lineTo(x2 * canvas.width, y2 * canvas.height);
      context.stroke();
    }
  }

  dot(x, y, radius, filled) {
    const { context, canvas } = this;
    context.beginPath();
    context.arc(x * canvas.width, y * canvas.height, radius, 0, 2 * Math.PI);
    context.fillStyle = "#ffffff";
    if (filled) context.fill(); else context.stroke();
  }
}

export function clock(seconds) {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

export async function post(path, body) {
  const token = document.querySelector("meta[name=token]").content;
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Token": token },
    body: JSON.stringify(body),
  });
  return answer.json();
}

export function listen(hear, over) {
  const source = new EventSource("/events");
  let silence = 0;
  const end = (event) => { clearTimeout(silence); source.close(); over(event); };
  source.onmessage = (message) => {
    clearTimeout(silence);
    silence = 0;
    const event = JSON.parse(message.data);
    if (event.over) end(event); else hear(event);
  };
  source.onerror = () => {
    // A page that was refused is not asked again. A box that is off is asked again and again, by the browser itself.
    if (source.readyState === EventSource.CLOSED) end(null);
    else silence ||= setTimeout(end, SILENCE_MS, null);
  };
}
