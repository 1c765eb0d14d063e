// Asks every KM of a network once a second, each at its own moment of the second, so that nothing comes in bursts.

import { pause, TIMERS } from "../core/pause.ts";
import type { NetworkShape, NetworkState } from "./network-state.ts";
import type { Overview } from "./summaries.ts";

/** Numbers of the last relay and the last fault that are known of a KM; 0 for none. */
export interface After {
  readonly relays: number;
  readonly faults: number;
}

/** Who asks a KM, over whatever way. Rejects with why it did not answer, within a second or two. */
export type AskOverview = (km: string, after: After) => Promise<Overview>;

const EVERY_MS = 1000;

/** Polls until the signal; resolves when the last question has ended. */
export async function poll(
  shape: NetworkShape,
  ask: AskOverview,
  state: NetworkState,
  stop: AbortSignal,
): Promise<void> {
  const loops = shape.kms.map(async (km, at) => {
    await pause(TIMERS, (EVERY_MS * at) / shape.kms.length, stop);
    await pollOne(km, ask, state, stop);
  });
  await Promise.all(loops);
}

async function pollOne(km: string, ask: AskOverview, state: NetworkState, stop: AbortSignal): Promise<void> {
  let known: After = { relays: 0, faults: 0 };
  let started = "";
  while (!stop.aborted) {
    const begun = performance.now();
    try {
      let said = await ask(km, known);
      if (said.node.started_at !== started && (known.relays > 0 || known.faults > 0)) {
        // Another process: it counts from 1 again.
        said = await ask(km, { relays: 0, faults: 0 });
        known = { relays: 0, faults: 0 };
      }
      started = said.node.started_at;
      known = {
        relays: said.relays.at(-1)?.number ?? known.relays,
        faults: said.faults.at(-1)?.number ?? known.faults,
      };
      state.heard(km, said, Date.now());
    } catch (thrown) {
      state.silent(km, thrown instanceof Error ? thrown.message : String(thrown));
    }
    await pause(TIMERS, EVERY_MS - (performance.now() - begun), stop);
  }
}
