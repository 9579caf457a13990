// Each tap goes to the box at once, and the page shows what the box answers.

import { clock, listen, post } from "/picture.js";

const $ = (id) => document.getElementById(id);
const KEYS = { i: "in", o: "out", u: "undo" };
const PARTS = ["waiting", "ready", "counting", "signing", "over"];
let phase = "waiting";
let newest = 0;

function showPart(name) {
  phase = name;
  for (const part of PARTS) $(`${part}-part`).hidden = part !== phase;
}

function show(event) {
  // The answer to a tap and the stream of events come on two connections, in any order.
  if (event.number < newest) return;
  newest = event.number;
  showPart(event.over ? "over" : event.phase);
  $("camera").textContent = `of ${event.camera}`;
  $("left").textContent = phase === "ready" || phase === "counting" ? `${clock(event.left_s)} left` : "";
  for (const way of ["in", "out"]) {
    $(way).textContent = event.person[way];
    $(`box-${way}`).textContent = event.box ? `box: ${event.box[way]}` : "";
  }
  $("box").hidden = event.shown;
  if (phase === "signing" && event.result) showResult(event.result);
  if (phase === "over") {
    const none = event.over ? "It ended before it began, so there is no report." : "The report is being written…";
    $("verdict").textContent = event.verdict || none;
    $("kept").hidden = !event.verdict;
  }
}

function showResult({ rows, notes }) {
  if ($("rows").children.length) return;
  $("rows").append(...rows.map((row) => {
    const line = document.createElement("tr");
    line.append(...row.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    return line;
  }));
  $("notes").append(...notes.map((text) => Object.assign(document.createElement("p"), { textContent: text })));
}

async function act(what) {
  const answer = await post("/act", { do: what });
  if (!answer.error) show(answer);
}

$("start").addEventListener("click", () => act("start"));
for (const button of document.querySelectorAll("[data-do]")) {
  // When the finger comes down: a finger that is lifted late isn't a person who came late.
  const tap = button.classList.contains("tap");
  button.addEventListener(tap ? "pointerdown" : "click", () => act(button.dataset.do));
  if (tap) {
    button.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") act(button.dataset.do);
    });
  }
}

$("finish").addEventListener("click", () => {
  if ($("finish").dataset.confirmed) act("finish");
  $("finish").dataset.confirmed = "yes";
  $("finish").textContent = "Press again to finish";
});

for (const button of document.querySelectorAll("[data-sign]")) {
  button.addEventListener("click", async () => {
    if (!$("name").value.trim()) { $("name").focus(); return; }
    await post("/sign", { name: $("name").value, accepted: button.dataset.sign === "yes" });
  });
}

addEventListener("keydown", (event) => {
  if (phase === "counting" && KEYS[event.key] && !event.repeat && !event.ctrlKey && !event.metaKey) act(KEYS[event.key]);
});

listen(show, (event) => {
  if (event) { show(event); return; }
  showPart("over");
  $("kept").hidden = true;
  $("verdict").textContent = "The box no longer answers. Look at the terminal.";
});
