// A button that acts when it is pressed, and again and again while it is held.

const HOLD_MS = 400;
const REPEAT_MS = 80;

// *act* is told whether the press goes on.
export function onHold(button, act) {
  let timer = 0;
  const repeat = () => { act(true); timer = setTimeout(repeat, REPEAT_MS); };
  button.addEventListener("pointerdown", () => { act(false); timer = setTimeout(repeat, HOLD_MS); });
  for (const end of ["pointerup", "pointerleave", "pointercancel"]) {
    button.addEventListener(end, () => clearTimeout(timer));
  }
  button.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") act(event.repeat);
  });
  // A finger that is held asks for a menu, too.
  button.addEventListener("contextmenu", (event) => event.preventDefault());
}
