// What is believed of the numbers that another KM tells, and how far (key-protocol 6): they move durable state here.

import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { BlockPosition } from "./block-position.ts";
import type { Context } from "./context.ts";
import { MAX_SERIAL } from "./key-id.ts";

/** A relayed key's serial: above the highest one that its source itself announced. */
export const SERIALS_AHEAD = 1024;
/** A source announces the serials that it has given before so many more are given. */
export const ANNOUNCE_EVERY = 256;
/** `given`, `accepted`, `proved`: above what this end knows; and from where on that is an alarm, though it is taken. */
export const MOST_LEAP = 2 ** 32;
const LEAP_ALARM = 2 ** 20;
/** Runs and sequences of a link: above what this end's own module has brought. */
const RUNS_AHEAD = 16;
const BLOCKS_AHEAD = 2 ** 20;

/** A number that a KM tells of itself or of what is shared. */
interface Told {
  /** What it is, such as `accepted`. */
  readonly what: string;
  readonly told: number;
  /** What this end knows of it. */
  readonly known: number;
}

/** Checks a counter of serials that another KM tells; one that leaps far is taken with an alarm. @throws Fault OUT_OF_BOUNDS */
export function checkLeap(context: Pick<Context, "log" | "meter">, peer: KmId, { what, told, known }: Told): void {
  const bound = Math.min(known + MOST_LEAP, MAX_SERIAL);
  if (told > bound) throw outOfBounds(`${what} is ${told}, and at most ${bound} is believed`);
  if (told - known < LEAP_ALARM) return;
  context.meter.add("alarms", { alarm: "peer_leap" });
  context.log.error(
    { alarm: "peer_leap", peer, what, told, known },
    "the peer tells a number far above what is known here; it is taken, and what the two share may be lost",
  );
}

/**
 * Why a block's position is not believed, if so. `own`: the last block that this end's own module brought; as long as it
 * brought none, as if runs and sequences began at 0.
 */
export function whyTooFar(own: BlockPosition | undefined, { run, sequence }: BlockPosition): string | undefined {
  const lastRun = (own?.run ?? 0) + RUNS_AHEAD;
  const lastSequence = (own?.sequence ?? 0) + BLOCKS_AHEAD;
  if (run > lastRun) return `run ${run} is told, and at most ${lastRun} is believed`;
  const isOlder = own !== undefined && run < own.run;
  if (sequence > lastSequence && !isOlder) return `block ${sequence} is told, and at most ${lastSequence} is believed`;
  return undefined;
}

/** The refusal of a peer's number. */
export const outOfBounds = (text: string): Fault => new Fault("OUT_OF_BOUNDS", { text });

/** Tells that a peer's number was refused, with nothing stored. `why` names number and bound. */
export function alarmRefused({ log, meter }: Pick<Context, "log" | "meter">, peer: KmId, why: string): void {
  meter.add("alarms", { alarm: "peer_leap" });
  log.error(
    { alarm: "peer_leap", peer, why },
    "the peer tells a number that is not believed: nothing of it is taken. If both are sound again: qkm forget, at both ends",
  );
}
