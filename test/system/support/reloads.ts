// Reloads while applications are at work: some come, go and move; those that stay must notice nothing.

import { expect } from "vitest";
import { reload, rewrite } from "./config-file.ts";
import { akFetch, akSupply } from "./keys.ts";
import type { Network } from "./network.ts";

/** Applications that come and go; nobody speaks for them. */
const OTHERS = 5;
/** Between two requests: what is left of the machine is for the reloads. */
const PAUSE_MS = 10;
const HOMES = ["km-a", "km-b"];
/** The one of them that is always there. */
const MOVES = `other-${OTHERS - 1}`;

/** What was done, and what went wrong with it. */
export interface ReloadsUnderLoad {
  readonly reloads: number;
  readonly requests: number;
}

/**
 * Adds, moves and removes applications at both KMs of a pair, so many reloads in all, while app-a1, app-b1 and app-b2 ask for
 * keys over both doors and fetch them, and ask for keys with one that moves; app-a2 is removed and comes back, and tries all the time.
 * @throws whatever a request of those that stay failed with, or of app-a2 while it was there
 */
export async function reloadUnderLoad(network: Network, reloads: number): Promise<ReloadsUnderLoad> {
  let isOver = false;
  let requests = 0;
  const until = async (work: () => Promise<void>): Promise<void> => {
    while (!isOver) {
      await work();
      requests += 1;
      await pause();
    }
  };
  await using a1 = await network.app("app-a1").connectAk();
  await using b1 = await network.app("app-b1").connectAk();
  const overAk = async (): Promise<void> => {
    const [key] = await akSupply(a1, "app-b1");
    expect(await akFetch(b1, "app-a1", [key?.id ?? ""])).toEqual([key]);
  };
  const overHttp = async (): Promise<void> => {
    const [key] = await network.app("app-b2").encKeys("app-a1");
    expect(await network.app("app-a1").decKeys("app-b2", [key?.id ?? ""])).toEqual([key]);
  };
  const presence = new Presence();
  const removed = async (): Promise<void> => {
    const wasHere = presence.mark();
    const keys = network.app("app-a2").encKeys("app-b1");
    if (wasHere === undefined) await keys.catch(() => {});
    else await keys.catch((thrown: unknown) => presence.forgive(wasHere, thrown));
  };
  // Whoever asks need not know where it is at home: it moves at each KM with every second reload of that one.
  const toOneThatMoves = async (): Promise<void> => {
    expect(await network.app("app-a1").encKeys(MOVES)).toHaveLength(1);
    expect(await network.app("app-b2").encKeys(MOVES)).toHaveLength(1);
  };
  // Before these nobody knows the one that moves.
  for (const at of network.kms.keys()) await change(network, at, presence);
  const load = Promise.all([until(overAk), until(overHttp), until(removed), until(toOneThatMoves)]);
  // Whatever failed is thrown at the end.
  load.catch(() => {});
  try {
    for (let at = network.kms.length; at < reloads; at++)
      await Promise.race([change(network, at, presence), load.then(() => {})]);
  } finally {
    isOver = true;
  }
  await load;
  return { reloads, requests };
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, PAUSE_MS));

/** One reload: at one of the KMs after the other, each with another step of the same round. */
async function change(network: Network, at: number, presence: Presence): Promise<void> {
  const km = network.kms[at % 2];
  const step = Math.floor(at / 2);
  if (km === undefined) throw new Error("a pair has two KMs");
  const isHere = step % 3 !== 2;
  if (km.id === "km-a" && !isHere) presence.leaves();
  rewrite(km, (tables) => {
    const stays = tables.apps.filter(({ id }) => !String(id).startsWith("other-") && id !== "app-a2");
    const others = Array.from({ length: OTHERS }, (_, number) => ({
      id: `other-${number}`,
      home: HOMES[(step + number) % 2],
      quota_bits_per_s: 1_000 + step,
    }));
    const a2 = isHere ? [{ id: "app-a2", home: "km-a" }] : [];
    tables.apps = [...stays, ...others.slice(step % OTHERS), ...a2];
  });
  const { restart } = await reload(km);
  expect(restart).toEqual([]);
  if (km.id === "km-a" && isHere) presence.comes();
}

/** Whether app-a2 is one of km-a's applications: a request of it may fail only if it was not while the request was under way. */
class Presence {
  #isHere = true;
  #absences = 0;

  leaves(): void {
    this.#isHere = false;
    this.#absences++;
  }

  comes(): void {
    this.#isHere = true;
  }

  /** Undefined while it is none. */
  mark(): number | undefined {
    return this.#isHere ? this.#absences : undefined;
  }

  /** @throws what the request failed with, if it was one all the time since `mark` */
  forgive(mark: number, thrown: unknown): void {
    if (this.#absences === mark) throw thrown;
  }
}
