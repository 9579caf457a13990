// The lines, and what a finger or a mouse does to them. The server has the last word on each line's faults.

import { Picture, clock, listen, post } from "/picture.js";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const TAP_PX = 8;
const NEAR_PX = 18;
const SEND_MS = 90;

const picture = new Picture($("picture"), $("stage"));
const cards = new Map();
let lines = [];
let chosen = 0;
let touched = false;
let sending = 0;

// --- the picture and what is drawn over it ---------------------------------------------------------------------------

function box() { return $("stage").getBoundingClientRect(); }

function place(event) {
  const { left, top, width, height } = box();
  const share = (value) => Math.round(1000 * Math.min(1, Math.max(0, value))) / 1000;
  return [share((event.clientX - left) / width), share((event.clientY - top) / height)];
}

function tint(line) { return `tint-${lines.indexOf(line) % 4}`; }

function middle(line) {
  const { points } = line;
  const at = Math.floor((points.length - 1) / 2);
  const [one, other] = [points[at], points[at + 1]];
  return { x: (one[0] + other[0]) / 2, y: (one[1] + other[1]) / 2, one, other };
}

function arrow(line, width, height) {
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

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function drawLines() {
  const { width, height } = box();
  const parts = [];
  for (const line of lines) {
    const points = line.points.map(([x, y]) => `${x * width},${y * height}`).join(" ");
    const picked = line.number === chosen ? " chosen" : "";
    parts.push(shape("polyline", { points, class: "halo" }));
    parts.push(shape("polyline", { points, class: tint(line) + picked }));
    const { path, label } = arrow(line, width, height);
    parts.push(shape("path", { d: path, class: `arrow ${tint(line)}` }));
    const text = shape("text", { x: label[0], y: label[1], class: tint(line) });
    text.textContent = "in";
    parts.push(text);
  }
  $("lines").replaceChildren(...parts);
  placeHandles();
}

function placeHandles() {
  const wanted = lines.flatMap((line) => line.points.map((point, at) => ({ line, point, at })));
  const present = [...$("handles").children];
  wanted.forEach(({ line, point, at }, index) => {
    const handle = present[index] ?? newHandle();
    handle.className = `handle ${tint(line)}`;
    handle.dataset.line = line.number;
    handle.dataset.at = at;
    handle.style.left = `${100 * point[0]}%`;
    handle.style.top = `${100 * point[1]}%`;
    const end = at === 0 ? "first end" : at === line.points.length - 1 ? "second end" : `bend ${at}`;
    handle.setAttribute("aria-label", `${line.name}: ${end}; arrow keys move it`);
  });
  present.slice(wanted.length).forEach((handle) => handle.remove());
}

function newHandle() {
  const handle = document.createElement("button");
  handle.type = "button";
  handle.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    event.stopPropagation();
    handle.focus();
    const line = lineOf(handle);
    choose(line.number);
    drag(handle, event, (now) => { line.points[Number(handle.dataset.at)] = place(now); });
  });
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const far = event.shiftKey ? 0.05 : 0.01;
    const point = lineOf(handle).points[Number(handle.dataset.at)];
    const moved = point.map((value, axis) => Math.min(1, Math.max(0, value + far * step[axis])));
    lineOf(handle).points[Number(handle.dataset.at)] = moved.map((value) => Math.round(1000 * value) / 1000);
    changed();
  });
  $("handles").append(handle);
  return handle;
}

function lineOf(handle) { return lines.find((line) => line.number === Number(handle.dataset.line)); }

function drag(target, first, move) {
  target.setPointerCapture(first.pointerId);
  const go = (event) => {
    if (event.pointerId !== first.pointerId) return;
    move(event);
    changed();
  };
  const stop = (event) => {
    if (event.pointerId !== first.pointerId) return;
    target.removeEventListener("pointermove", go);
    target.removeEventListener("pointerup", stop);
    target.removeEventListener("pointercancel", stop);
  };
  target.addEventListener("pointermove", go);
  target.addEventListener("pointerup", stop);
  target.addEventListener("pointercancel", stop);
}

// On the ground: a tap says where the shop is, or picks a line; a drag that begins on a line moves all of it.
$("stage").addEventListener("pointerdown", (first) => {
  if (!lines.length) return;
  first.preventDefault();
  const begin = place(first);
  const met = lines.find((line) => distance(line, first) < NEAR_PX);
  if (met) {
    choose(met.number);
    const before = met.points.map((point) => [...point]);
    drag($("stage"), first, (event) => {
      const [x, y] = place(event);
      const [dx, dy] = room(before, x - begin[0], y - begin[1]);
      met.points = before.map(([px, py]) => [Math.round(1000 * (px + dx)) / 1000, Math.round(1000 * (py + dy)) / 1000]);
    });
    return;
  }
  $("stage").addEventListener("pointerup", (last) => {
    if (Math.hypot(last.clientX - first.clientX, last.clientY - first.clientY) > TAP_PX) return;
    const line = lines.find((one) => one.number === chosen);
    if (!line || distance(line, last) < NEAR_PX) return;
    line.inside = place(last);
    changed();
  }, { once: true });
});

function room(points, dx, dy) {
  const clamp = (step, values) => Math.min(1 - Math.max(...values), Math.max(-Math.min(...values), step));
  return [clamp(dx, points.map((point) => point[0])), clamp(dy, points.map((point) => point[1]))];
}

function distance(line, event) {
  const { left, top, width, height } = box();
  const [x, y] = [event.clientX - left, event.clientY - top];
  let nearest = Infinity;
  for (let at = 1; at < line.points.length; at += 1) {
    const [x1, y1] = [line.points[at - 1][0] * width, line.points[at - 1][1] * height];
    const [dx, dy] = [line.points[at][0] * width - x1, line.points[at][1] * height - y1];
    const along = Math.min(1, Math.max(0, ((x - x1) * dx + (y - y1) * dy) / (dx * dx + dy * dy || 1)));
    nearest = Math.min(nearest, Math.hypot(x - x1 - along * dx, y - y1 - along * dy));
  }
  return nearest;
}

function choose(number) {
  chosen = number;
  drawLines();
  showCards();
}

// --- the cards -------------------------------------------------------------------------------------------------------

function card(line) {
  if (cards.has(line.number)) return cards.get(line.number);
  const made = $("card").content.firstElementChild.cloneNode(true);
  const name = made.querySelector(".name");
  name.value = line.name;
  name.addEventListener("input", () => {
    const tidy = name.value.toLowerCase().replace(/[\s_]+/g, "-");
    if (tidy !== name.value) name.value = tidy;
    lines.find((one) => one.number === line.number).name = tidy;
    changed();
  });
  made.addEventListener("pointerdown", () => choose(line.number));
  made.querySelector(".flip").addEventListener("click", () => flip(lines.find((one) => one.number === line.number)));
  made.querySelector(".delete").addEventListener("click", () => {
    lines = lines.filter((one) => one.number !== line.number);
    cards.delete(line.number);
    chosen = lines[0].number;
    changed();
  });
  cards.set(line.number, made);
  return made;
}

function flip(line) {
  const { width, height } = box();
  const { x, y, one, other } = middle(line);
  const [dx, dy] = [(other[0] - one[0]) * width, (other[1] - one[1]) * height];
  const square = dx * dx + dy * dy || 1;
  const away = ((line.inside[0] - x) * width * -dy + (line.inside[1] - y) * height * dx) / square;
  const mirrored = [line.inside[0] + 2 * away * dy / width, line.inside[1] - 2 * away * dx / height];
  line.inside = mirrored.map((value) => Math.round(1000 * Math.min(1, Math.max(0, value))) / 1000);
  changed();
}

function showCards() {
  const wanted = lines.map(card);
  const present = [...$("cards").children];
  if (wanted.length !== present.length || wanted.some((one, at) => one !== present[at])) {
    $("cards").replaceChildren(...wanted);
  }
  for (const line of lines) {
    const made = card(line);
    made.className = `card ${tint(line)}${line.number === chosen ? " chosen" : ""}`;
    made.querySelector(".delete").disabled = lines.length === 1;
    if (line.counts) {
      made.querySelector(".in b").textContent = line.counts.in;
      made.querySelector(".out b").textContent = line.counts.out;
    }
    const said = [...(line.faults ?? []).map((text) => ["fault", text]), ...(line.advice ?? []).map((text) => ["", text])];
    const list = made.querySelector(".advice");
    if (list.dataset.said !== JSON.stringify(said)) {
      list.dataset.said = JSON.stringify(said);
      list.replaceChildren(...said.map(([kind, text]) => {
        const item = document.createElement("li");
        item.className = kind;
        item.textContent = text;
        return item;
      }));
    }
  }
  $("add").disabled = lines.length >= 8;
}

$("add").addEventListener("click", () => {
  const number = Math.max(0, ...lines.map((line) => line.number)) + 1;
  let count = lines.length + 1;
  while (lines.some((line) => line.name === `line-${count}`)) count += 1;
  const y = lines.some((line) => line.points.some((point) => Math.abs(point[1] - 0.35) < 0.06)) ? 0.65 : 0.35;
  lines.push({ number, name: `line-${count}`, was: null, points: [[0.25, y], [0.75, y]], inside: [0.5, y + 0.2] });
  choose(number);
  changed();
});

// --- talking to the box ----------------------------------------------------------------------------------------------

function changed() {
  touched = true;
  drawLines();
  showCards();
  say("");
  if (!sending) sending = setTimeout(send, SEND_MS);
}

async function send() {
  sending = 0;
  const sent = lines.map(({ number, name, was, points, inside }) => ({ number, name, was, points, inside }));
  const answer = await post("/lines", { lines: sent });
  if (answer.error) say(answer.error, true);
}

function say(text, bad = false) {
  $("said").textContent = text;
  $("said").classList.toggle("bad", bad);
}

async function flush() {
  clearTimeout(sending);
  await send();
}

$("save").addEventListener("click", async () => {
  await flush();
  const answer = await post("/preview", {});
  if (answer.error) { say(answer.error, true); return; }
  if (!answer.diff) { say("Nothing has changed, so there is nothing to write."); return; }
  $("diff").replaceChildren(...answer.diff.trimEnd().split("\n").map((text) => {
    const row = document.createElement("span");
    if (/^\+(?!\+\+)/.test(text)) row.className = "plus";
    if (/^-(?!--)/.test(text)) row.className = "minus";
    row.textContent = `${text}\n`;
    return row;
  }));
  $("review").showModal();
});

$("cancel").addEventListener("click", () => $("review").close());

$("write").addEventListener("click", async () => {
  $("write").disabled = true;
  const answer = await post("/save", {});
  $("write").disabled = false;
  $("review").close();
  say(answer.error ?? answer.said, Boolean(answer.error));
  if (answer.error) return;
  touched = false;
  for (const line of lines) line.was = line.name;
});

$("done").addEventListener("click", async () => {
  if (touched && !$("done").dataset.sure) {
    $("done").dataset.sure = "yes";
    say("Some changes aren't saved. Press Done once more to leave without them.", true);
    return;
  }
  await post("/end", {});
});

listen((event) => {
  picture.show(event);
  $("camera").textContent = `at ${event.camera}`;
  $("left").textContent = `ends by itself in ${clock(event.left_s)}`;
  if (!lines.length) {
    lines = event.lines;
    chosen = lines[0].number;
    drawLines();
  } else {
    for (const told of event.lines) {
      const line = lines.find((one) => one.number === told.number);
      if (line) Object.assign(line, { counts: told.counts, advice: told.advice, faults: told.faults });
    }
  }
  showCards();
}, (event) => {
  const saved = event?.saved ? "The lines are saved." : "Nothing was saved.";
  $("over-said").textContent = event
    ? `${saved} The camera counts again by itself. You can close this page.`
    : "The box no longer answers. Look at the terminal.";
  if ($("review").open) $("review").close();
  $("over").showModal();
});

addEventListener("resize", drawLines);
new ResizeObserver(drawLines).observe($("stage"));
