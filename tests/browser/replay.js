// Histories given to the reducer of live.js: the same as `replay` in tests/realtime/world.py.

import { Reducer } from "/live.js";

const STREAM = "job:x";

// ---- the rules left out, one at a time

class NoRule1 extends Reducer {
  ask(names) {
    const asked = super.ask(names);
    this.lost();
    return asked;
  }
}

class NoRule2 extends Reducer {
  answer(generation, frames) {
    return super.answer(this.generation, frames);
  }
}

class FromBelow extends Reducer {
  take(frame) {
    const held = this.streams.get(frame.stream);
    const below = frame.type === "change" && held.epoch === frame.epoch && frame.from < held.version;
    return super.take(below ? { ...frame, from: held.version } : frame);
  }
}

const CLIENTS = {
  "": [Reducer, false],
  "rule 1, the answer first": [NoRule1, false],
  "rule 1, the newest connection": [Reducer, true],
  "rule 2": [NoRule2, false],
  "from is yours": [FromBelow, false],
};

// ---- what is compared

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value ?? null;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}

const text = (value) => JSON.stringify(sorted(value));

const holds = (held) => [held.epoch, held.version, held.data, held.events.map((event) => event.version)];

// Return what is wrong with a client now, or nothing.
function wrong(said, before, held) {
  if (!held.data) return "";
  if (before.epoch === held.epoch && held.version < before.version) return `went back from ${before.version}`;
  if (Number(held.epoch.slice(1)) < Number(before.epoch?.slice(1) ?? 0)) return "went back to before a restore";
  const [data, events] = said[`${held.epoch}/${held.version}`] ?? [];
  if (text(data) !== text(held.data)) return `shows ${text(held.data)} as ${held.epoch}/${held.version}`;
  const shown = held.events.map((event) => event.version);
  const tail = shown.length ? events.slice(-shown.length).map((event) => event.version) : [];
  return text(shown) === text(tail) ? "" : `shows the events ${text(shown)}`;
}

function replay(history, [Client, oldFrames], strict) {
  const client = new Client();
  const polls = [];
  let before = {};
  for (const [number, op] of history.ops.entries()) {
    if (op.ask) {
      const asked = client.ask(op.ask);
      if (strict && text(asked) !== text(op.gives)) return `step ${number}: asks for ${text(asked)}`;
      continue;
    }
    if (op.poll !== undefined) {
      polls[op.poll] = client.generation;
      continue;
    }
    let again;
    if (op.take) again = client.take(op.take);
    else if (op.frames) again = client.answer(polls[op.answer], op.frames);
    else if (oldFrames) client.take(op.old);
    const held = client.streams.get(STREAM);
    const found = wrong(history.said, before, held);
    if (found) return `step ${number}: ${found}`;
    before = { epoch: held.epoch, version: held.version };
    if (strict && op.holds && text([again, holds(held)]) !== text([op.again, op.holds])) {
      return `step ${number}: asks for ${text(again)} and holds ${text(holds(held))}`;
    }
  }
  return "";
}

// Return [index, what is wrong] of every history that breaks; `left out` names the rule that is missing.
window.replayed = (histories, leftOut = "", strict = true) =>
  histories.map((history, index) => [index, replay(history, CLIENTS[leftOut], strict)]).filter(([, found]) => found);
