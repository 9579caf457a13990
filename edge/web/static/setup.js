// Draws the lines, and lets a finger, a mouse or keys change them. The server judges each line and sends its advice.

import { History } from "/history.js";
import { onHold } from "/hold.js";
import { arrow, distance, endName, middle, mirroredInside, moved, rounded } from "/lines.js";
import { Magnifier } from "/magnifier.js";
import { Picture, clock, listen, post } from "/picture.js";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const TAP_PX = 8; // a finger that moves less has tapped
const SLOP_PX = 3; // an end stays where it is until the finger has moved so far
const NEAR_PX = 18; // a finger so near a line means it
const SEND_MS = 90;
const NUDGE = 0.005; // of the picture
const LAST_MINUTE_S = 60;

const picture = new Picture($("picture"), $("stage"));
const magnifier = new Magnifier($("magnifier"), $("picture"), $("stage"));
const history = new History();
const cards = new Map();
let lines = []; // number, name, points, inside; and what the server told: counts, advice, faults
let inFile = new Map(); // number: the line's name in the file
let saved = null; // what the file holds, as JSON; null if that isn't known
let chosen = { number: 0, at: 0 }; // a line, and one of its ends or null for all of it
let sending = 0; // the timer of the next request
let sent = Promise.resolve(); // the last request

// --- what is drawn, and what is saved --------------------------------------------------------------------------------

function drawn() { return lines.map(({ number, name, points, inside }) => ({ number, name, points, inside })); }

function isUnsaved() { return JSON.stringify(drawn()) !== saved; }

function lineAt(number) { return lines.find((line) => line.number === number); }

function chosenLine() { return lineAt(chosen.number) ?? lines[0]; }

function choose(number, at) {
  chosen = { number, at };
  show();
}

function keep(what = null) { history.keep(drawn(), what); }

function changed() {
  say("");
  show();
  if (!sending) sending = setTimeout(send, SEND_MS);
}

function show() {
  drawLines();
  showCards();
  showBar();
  magnifier.draw();
}

function showBar() {
  const unsaved = isUnsaved();
  $("state").textContent = unsaved ? "Not saved" : "Saved";
  $("state").classList.toggle("warn", unsaved);
  $("save").textContent = unsaved ? "Save…" : "Saved";
  $("save").disabled = !unsaved;
  $("undo").disabled = history.isEmpty;
  const line = chosenLine();
  if (line) $("which").textContent = endName(line, chosen.at);
}

// --- the picture -----------------------------------------------------------------------------------------------------

function box() { return $("stage").getBoundingClientRect(); }

function place(event) {
  const { left, top, width, height } = box();
  return [(event.clientX - left) / width, (event.clientY - top) / height];
}

function isNear(line, event) {
  const { left, top, width, height } = box();
  return distance(line, event.clientX - left, event.clientY - top, width, height) < NEAR_PX;
}

function tint(line) { return `tint-${line.tint}`; }

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function drawLines() {
  const { width, height } = box();
  const parts = [];
  lines.forEach((line, index) => { line.tint = index % 4; });
  for (const line of lines) {
    const points = line.points.map(([x, y]) => `${x * width},${y * height}`).join(" ");
    const picked = line === chosenLine() ? " chosen" : "";
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
    const isChosen = line === chosenLine() && at === chosen.at;
    handle.className = `handle ${tint(line)}${isChosen ? " chosen" : ""}`;
    handle.dataset.line = line.number;
    handle.dataset.at = at;
    handle.style.left = `${100 * point[0]}%`;
    handle.style.top = `${100 * point[1]}%`;
    handle.setAttribute("aria-label", `${line.name}: ${endName(line, at)}; arrow keys move it`);
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
    const [line, at] = [lineAt(Number(handle.dataset.line)), Number(handle.dataset.at)];
    choose(line.number, at);
    if (event.pointerType !== "mouse") magnifier.show(line, at);
    const before = line.points[at];
    // By as much as the finger moves, wherever in the handle it lies: the end never jumps to it.
    drag(handle, event, (dx, dy) => { line.points[at] = [rounded(before[0] + dx), rounded(before[1] + dy)]; });
  });
  handle.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    choose(Number(handle.dataset.line), Number(handle.dataset.at));
    nudge(step, event.shiftKey ? 0.05 : 0.01, event.repeat);
  });
  $("handles").append(handle);
  return handle;
}

function drag(target, first, move) {
  const start = place(first);
  let isMoving = false;
  target.setPointerCapture(first.pointerId);
  const go = (event) => {
    if (event.pointerId !== first.pointerId) return;
    const far = Math.hypot(event.clientX - first.clientX, event.clientY - first.clientY);
    if (!isMoving && far < SLOP_PX) return;
    if (!isMoving) keep();
    isMoving = true;
    const [x, y] = place(event);
    move(x - start[0], y - start[1]);
    changed();
  };
  const stop = (event) => {
    if (event.pointerId !== first.pointerId) return;
    target.removeEventListener("pointermove", go);
    target.removeEventListener("pointerup", stop);
    target.removeEventListener("pointercancel", stop);
    magnifier.hide();
  };
  target.addEventListener("pointermove", go);
  target.addEventListener("pointerup", stop);
  target.addEventListener("pointercancel", stop);
}

// Beside the ends, a tap says where the shop is or chooses a line; a drag that begins on a line moves all of it.
$("stage").addEventListener("pointerdown", (first) => {
  if (!lines.length) return;
  first.preventDefault();
  const met = lines.find((line) => isNear(line, first));
  if (met) {
    choose(met.number, null);
    const before = met.points;
    drag($("stage"), first, (dx, dy) => { met.points = moved(before, dx, dy); });
    return;
  }
  $("stage").addEventListener("pointerup", (last) => {
    if (Math.hypot(last.clientX - first.clientX, last.clientY - first.clientY) > TAP_PX) return;
    const line = chosenLine();
    if (isNear(line, last)) return;
    keep();
    line.inside = place(last).map(rounded);
    changed();
  }, { once: true });
});

// --- the arrow buttons -----------------------------------------------------------------------------------------------

function nudge(step, far, goesOn) {
  const line = chosenLine();
  if (!goesOn) history.pause();
  keep("nudge");
  if (chosen.at === null) {
    line.points = moved(line.points, far * step[0], far * step[1]);
  } else {
    const [x, y] = line.points[chosen.at];
    line.points[chosen.at] = [rounded(x + far * step[0]), rounded(y + far * step[1])];
    magnifier.flash(line, chosen.at);
  }
  changed();
}

for (const button of document.querySelectorAll("[data-nudge]")) {
  const step = button.dataset.nudge.split(",").map(Number);
  onHold(button, (goesOn) => nudge(step, NUDGE, goesOn));
}

$("which").addEventListener("click", () => {
  const line = chosenLine();
  const next = chosen.at === null ? 0 : chosen.at + 1;
  choose(line.number, next < line.points.length ? next : null);
});

// --- the cards -------------------------------------------------------------------------------------------------------

function card(number) {
  if (cards.has(number)) return cards.get(number);
  const made = $("card").content.firstElementChild.cloneNode(true);
  const name = made.querySelector(".name");
  name.addEventListener("input", () => {
    keep(`name of ${number}`);
    const tidy = name.value.toLowerCase().replace(/[\s_]+/g, "-");
    if (tidy !== name.value) name.value = tidy;
    lineAt(number).name = tidy;
    changed();
  });
  name.addEventListener("blur", () => history.pause());
  made.addEventListener("pointerdown", () => { if (chosen.number !== number) choose(number, 0); });
  made.querySelector(".flip").addEventListener("click", () => {
    const { width, height } = box();
    keep();
    lineAt(number).inside = mirroredInside(lineAt(number), width, height);
    changed();
  });
  made.querySelector(".delete").addEventListener("click", () => {
    const { name: gone } = lineAt(number);
    keep();
    lines = lines.filter((line) => line.number !== number);
    chosen = { number: lines[0].number, at: 0 };
    changed();
    say(`${gone} is deleted. Undo brings it back.`);
  });
  cards.set(number, made);
  return made;
}

function showCards() {
  const wanted = lines.map((line) => card(line.number));
  const present = [...$("cards").children];
  if (wanted.length !== present.length || wanted.some((one, at) => one !== present[at])) {
    $("cards").replaceChildren(...wanted);
  }
  for (const line of lines) {
    const made = card(line.number);
    const name = made.querySelector(".name");
    made.className = `card ${tint(line)}${line === chosenLine() ? " chosen" : ""}`;
    made.querySelector(".delete").disabled = lines.length === 1;
    if (name.value !== line.name) name.value = line.name;
    if (line.counts) {
      made.querySelector(".in b").textContent = line.counts.in;
      made.querySelector(".out b").textContent = line.counts.out;
      const reasons = Object.entries(line.uncounted ?? {}).map(([reason, count]) => `${count} ${reason}`);
      made.querySelector(".uncounted").hidden = !reasons.length;
      made.querySelector(".uncounted").textContent = `not counted: ${reasons.join(", ")}`;
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
  keep();
  // An undone line's number isn't given again: the server knows a line by it.
  const number = Math.max(0, ...cards.keys()) + 1;
  let count = lines.length + 1;
  while (lines.some((line) => line.name === `line-${count}`)) count += 1;
  const y = lines.some((line) => Math.abs(middle(line).y - 0.35) < 0.06) ? 0.65 : 0.35;
  lines.push({ number, name: `line-${count}`, points: [[0.25, y], [0.75, y]], inside: [0.5, y + 0.2] });
  chosen = { number, at: 0 };
  changed();
});

$("undo").addEventListener("click", () => {
  const before = history.undo();
  if (!before) return;
  lines = before.map((line) => ({ ...lineAt(line.number), ...line }));
  if (!lineAt(chosen.number)) chosen = { number: lines[0].number, at: 0 };
  magnifier.hide();
  changed();
});

// --- talking to the box ----------------------------------------------------------------------------------------------

// One request after the other: two at once could arrive in the wrong order, and the older lines would stay.
function send() {
  clearTimeout(sending);
  sending = 0;
  sent = sent.then(async () => {
    const now = drawn().map((line) => ({ ...line, was: inFile.get(line.number) ?? null }));
    const answer = await post("/lines", { lines: now });
    if (answer.error) say(answer.error, true);
  }).catch(() => say("The box does not answer; look at the terminal.", true));
  return sent;
}

function say(text, bad = false) {
  $("said").textContent = text;
  $("said").classList.toggle("bad", bad);
}

$("save").addEventListener("click", async () => {
  await send();
  const answer = await post("/preview", {});
  if (answer.error) { say(answer.error, true); return; }
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
  saved = JSON.stringify(drawn());
  inFile = new Map(lines.map((line) => [line.number, line.name]));
  showBar();
});

$("done").addEventListener("click", () => { if (isUnsaved()) $("leave").showModal(); else post("/end", {}); });
$("stay").addEventListener("click", () => $("leave").close());
$("leave-unsaved").addEventListener("click", async () => {
  // What was drawn last counts as unsaved for the box, too.
  await send();
  await post("/end", {});
});

function outcome(event) {
  if (!event) return "The box no longer answers. Look at the terminal.";
  const told = event.saved ? "The lines are saved." : "Nothing was saved.";
  const lost = event.saved ? "The lines were saved, but your changes after that were not." : "Your changes were not saved.";
  return `${event.unsaved ? lost : told} The camera counts again by itself. You can close this page.`;
}

listen((event) => {
  picture.show(event);
  magnifier.draw();
  $("camera").textContent = `at ${event.camera}`;
  $("left").textContent = `ends in ${clock(event.left_s)}`;
  $("left").classList.toggle("warn", event.left_s <= LAST_MINUTE_S);
  $("refused").hidden = !event.refused;
  $("refused").textContent = `The box saw ${event.refused} ${event.refused === 1 ? "crossing" : "crossings"} of its own ` +
    "lines and did not count them: the camera was shaken, or the picture was dark, covered or frozen.";
  if (!lines.length) {
    lines = event.lines.map(({ was, ...line }) => line);
    inFile = new Map(event.lines.filter(({ was }) => was !== null).map(({ number, was }) => [number, was]));
    saved = event.unsaved ? null : JSON.stringify(drawn());
    chosen = { number: lines[0].number, at: 0 };
    show();
  } else {
    for (const told of event.lines) {
      const line = lineAt(told.number);
      if (line) Object.assign(line, { counts: told.counts, uncounted: told.uncounted, advice: told.advice, faults: told.faults });
    }
  }
  showCards();
}, (event) => {
  $("over-said").textContent = outcome(event);
  for (const dialog of ["review", "leave"]) if ($(dialog).open) $(dialog).close();
  $("over").showModal();
});

addEventListener("resize", drawLines);
new ResizeObserver(drawLines).observe($("stage"));
