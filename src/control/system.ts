// The machine's clock, event loop and randomness, as the ports that the deterministic core takes.

import { randomBytes } from "node:crypto";
import { Pace } from "../core/pace.ts";
import type { Clock, Random } from "../core/ports.ts";

/** The machine's clocks and timers. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(ms, then) {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};

/** The system's random generator. */
export const systemRandom: Random = {
  fraction: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
  hex: (bytes) => randomBytes(bytes).toString("hex"),
};

/** Turns of this process's event loop. */
export const systemPace = (): Pace =>
  new Pace({ turn: (then) => void setImmediate(then), nowUs: () => performance.now() * 1_000 });
