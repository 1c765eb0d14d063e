// One simulated module on a USB HID gadget; the other module of its link is simulated elsewhere, from the same seed.

import { REPORTS } from "../../src/kq/framing/reports.ts";
import { End } from "./end.ts";
import { HidGadget } from "./gadget.ts";
import { seededKey, seededRandom } from "./material.ts";
import { noise } from "./noise.ts";
import type { PairOptions } from "./options.ts";
import { ModulePair } from "./pair.ts";
import { nextRun } from "./run-file.ts";
import type { SimulatorPorts } from "./simulator.ts";

/** One module without its other end in this process: both make the same key from a seed. */
export interface AloneOptions extends PairOptions {
  /** What both modules make the same key from. */
  readonly seed: string;
  readonly role: "tx" | "rx";
  /** Character device of the gadget; it need not be there yet. */
  readonly gadget: string;
  /** Keeps the number of the last start. The other module must have been started as often. */
  readonly runFile?: string | undefined;
  /** Number of this start where there is no file. */
  readonly run: number;
  /** When both began, in ms since 1970, so that they agree on the number of a block whenever each was started. */
  readonly sinceMs?: number | undefined;
}

/** Until it is disposed. */
export function startAlone(options: AloneOptions, ports: SimulatorPorts): Disposable {
  const { seed, role, gadget: path, runFile, faults, sinceMs } = options;
  const chance = seededRandom(`${seed} faults`);
  const gadget = new HidGadget(path, ports);
  const hurt = () => noise(faults.flipBytes, faults.dropBytes, chance);
  const end = new End((bytes) => gadget.write(bytes), hurt(), hurt());
  let run = options.run;
  const pair = new ModulePair({ ...options, framing: REPORTS }, role === "tx" ? { a: end } : { b: end }, {
    ...ports,
    chance,
    sinceMs,
    makeKey: seededKey(seed),
    nextRun: () => (runFile === undefined ? run++ : nextRun(runFile)),
  });
  gadget.start({ received: (report) => end.received(report), drained: () => end.drained() });
  return {
    [Symbol.dispose]() {
      pair[Symbol.dispose]();
      gadget[Symbol.dispose]();
    },
  };
}
