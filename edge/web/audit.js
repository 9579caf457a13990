// Taps go to the box at once; what it says is what is shown.

import { clock, listen, post } from "/picture.js";

const $ = (id) => document.getElementById(id);
const KEYS = { i: "in", o: "out", u: "undo" };
let phase = "waiting";

function show(event) {
  phase = event.over ? "over" : event.phase;
  for (const part of ["waiting", "ready", "counting", "signing", "over"]) $(`${part}-part`).hidden = part !== phase;
  $("camera").textContent = `of ${event.camera}`;
  $("left").textContent = phase === "ready" || phase === "counting" ? `${clock(event.left_s)} left` : "";
  for (const way of ["in", "out"]) {
    $(way).textContent = event.person[way];
    $(`box-${way}`).textContent = event.box ? `box: ${event.box[way]}` : "";
  }
  $("box").hidden = event.shown;
  if (phase === "signing" && event.result) judge(event.result);
  if (phase === "over") $("verdict").textContent = event.verdict || "It has ended.";
}

function judge({ rows, notes }) {
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
  // On the way down: a finger that is lifted late isn't a person who came late.
  const tap = button.classList.contains("tap");
  button.addEventListener(tap ? "pointerdown" : "click", () => act(button.dataset.do));
  if (tap) {
    button.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") act(button.dataset.do);
    });
  }
}

$("finish").addEventListener("click", () => {
  if ($("finish").dataset.sure) act("finish");
  $("finish").dataset.sure = "yes";
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
  phase = "over";
  for (const part of ["waiting", "ready", "counting", "signing"]) $(`${part}-part`).hidden = true;
  $("over-part").hidden = false;
  $("verdict").textContent = "The box no longer answers. Look at the terminal.";
});
