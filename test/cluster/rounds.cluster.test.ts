// Fifty rounds under load: members killed, paused, cut off, their disk full, etcd's leader killed, handed over, both updated.
//
//   QKM_ROUNDS=50 QKM_KINDS="etcd's leader killed" npm run test:cluster      so many rounds, of these kinds alone

import { beforeAll, describe, expect, test } from "vitest";
import { expectQuick } from "../support/busy.ts";
import { type Gap, KINDS, type Kind, type Outcome, Rounds, tableOf } from "./support/rounds.ts";

const ROUNDS = Number(process.env.QKM_ROUNDS ?? 50);
/** Kinds of rounds by their names, with commas; all of them in turn when absent. */
const CHOSEN = kindsOf(process.env.QKM_KINDS);
/** Enough for a network of this size; small, so that it can be filled. */
const STORE_BYTES = 160 << 20;
/** Twice the lease: what a takeover may take from the loss of the active member to the next key. */
const TAKEOVER_MS = 6_000;

/** @throws Error that names the kinds there are */
function kindsOf(text: string | undefined): readonly Kind[] {
  if (text === undefined) return KINDS;
  return text.split(",").map((name) => {
    const kind = KINDS.find((one) => one === name.trim());
    if (kind === undefined) throw new Error(`QKM_KINDS: there is no round "${name}", but ${KINDS.join(", ")}`);
    return kind;
  });
}

describe("design 14: fifty rounds", () => {
  let outcomes: readonly Outcome[] = [];
  let gaps: readonly Gap[] = [];
  const of = (kind: Outcome["kind"]) => outcomes.filter((outcome) => outcome.kind === kind);
  const silentOf = (kind: Outcome["kind"]): number => {
    const times = of(kind).map(({ silentMs }) => silentMs);
    return times.toSorted((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0;
  };

  beforeAll(async () => {
    await using run = await Rounds.start({ smallStoreBytes: STORE_BYTES });
    for (let round = 0; round < ROUNDS; round++) {
      const outcome = await run.round(CHOSEN[round % CHOSEN.length] ?? "handed over");
      console.log(`${round + 1}: ${outcome.kind}: ${outcome.silentMs} ms, ${outcome.keysLost} keys`);
    }
    const { keys, doubtful } = await run.finish();
    outcomes = run.outcomes;
    gaps = run.gaps();
    console.log(`${tableOf(outcomes)}\n${keys} keys supplied, ${doubtful} of them fetched in doubt`);
  }, 3_600_000);

  test("no byte was used twice, and every supplied key was fetched: the rounds would have failed", () => {
    expect(outcomes).toHaveLength(ROUNDS);
  });

  test("a takeover costs two chunks of each open KMA-key at most, a hand-over nothing", () => {
    for (const gap of gaps) expect(gap.bytes, JSON.stringify(gap)).toBeLessThanOrEqual(gap.most);
  });

  test("after a kill the other member supplies within twice the lease", () => {
    expectQuick("supply without a member that was killed", silentOf("active member killed"), TAKEOVER_MS);
  });
});
