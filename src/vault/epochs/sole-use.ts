// Two KMs of one name on one token: the one that runs is asked whether it is there before a copy of its folder is used.
//
//     copy      question: a random number in a counter of the token ───┐
//     running   looks each 2 s, sees a number, writes 0: I am here   <─┘   and has an alarm
//     copy      sees 0: refuses to work, and changes nothing;  6 s without an answer: nobody is there

import { randomInt } from "node:crypto";
import { Fault } from "../../core/fault.ts";
import type { KmId } from "../../core/ids.ts";
import type { Log, Meter } from "../../core/ports.ts";
import type { Token } from "../../device/token.ts";
import type { Pause } from "../pause.ts";

/** Label of the counter in which a copy asks. */
export const askLabel = (km: KmId): string => `qkm-ask-${km}`;

/** A question waits for so long: a KM that runs looks three times meanwhile. */
const ANSWER_MS = 6_000;
const POLL_MS = 250;

interface Ports {
  readonly log: Log;
  readonly meter: Meter;
}

/** How the waiting for an answer is cut short. */
export interface Waiting {
  readonly pause: Pause;
  readonly isOver: () => boolean;
}

/**
 * Resolves when nobody answers. Whoever asks at the same time is answer enough.
 * @throws Fault HSM_UNAVAILABLE when another KM of that name runs, or the token is gone
 */
export async function askWhetherAlone(
  token: Token,
  km: KmId,
  { pause, isOver }: Waiting,
  { log }: Ports,
): Promise<void> {
  const label = askLabel(km);
  const question = randomInt(1, 2 ** 48 - 1);
  log.info(
    { withinMs: ANSWER_MS },
    "the store is not where it was: another key manager may run on it, and is asked first",
  );
  await token.counter(label, question);
  for (let waitedMs = 0; waitedMs < ANSWER_MS; waitedMs += POLL_MS) {
    await pause.for(POLL_MS);
    if (isOver()) throw new Fault("STOPPING");
    if ((await token.counter(label)) === question) continue;
    const text =
      "another key manager of this name runs on this token, with another folder: this one must not; stop one of them";
    throw new Fault("HSM_UNAVAILABLE", { text });
  }
  await token.counter(label, 0);
}

/** Answers a question, if there is one. @throws Fault HSM_UNAVAILABLE */
export async function answerWhoAsks(token: Token, km: KmId, { log, meter }: Ports): Promise<void> {
  const label = askLabel(km);
  if ((await token.counter(label)) === 0) return;
  await token.counter(label, 0);
  meter.add("alarms", { alarm: "token_asked" });
  log.error(
    { alarm: "token_asked" },
    "another key manager of this name wanted to use the token, on a copy of this one's folder: it was refused. Find out who " +
      "copied it, and remove the copy",
  );
}
