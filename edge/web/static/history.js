// Undo: what was drawn before each change. A change that goes on, such as one drag or one word, is one step.

const MOST_STEPS = 200;

export class History {
  constructor() {
    this.steps = [];
    this.going = null;
  }

  // Keep *state* as it is before a change; *what* names a change that may go on, null one that doesn't.
  keep(state, what = null) {
    if (what !== null && what === this.going) return;
    this.going = what;
    this.steps.push(structuredClone(state));
    if (this.steps.length > MOST_STEPS) this.steps.shift();
  }

  // The next change is a step of its own.
  pause() { this.going = null; }

  undo() {
    this.going = null;
    return this.steps.pop() ?? null;
  }

  get isEmpty() { return this.steps.length === 0; }
}
