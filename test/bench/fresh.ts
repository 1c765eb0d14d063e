// A load whose every request has a TLS connection of its own.

import { once } from "node:events";
import { metersOf } from "./duel.ts";
import { type Outcome, openSocket, ownSeconds, type Target } from "./load.ts";
import type { Program } from "./program.ts";
import type { Wish } from "./requests.ts";

/** How many connections at a time, and for how long. */
export interface FreshPlan {
  readonly target: Target;
  readonly wish: Wish;
  readonly server: Program;
  readonly connections: number;
  readonly warmMs: number;
  readonly measureMs: number;
}

const ANSWER_MS = 10_000;

/** @throws Error when a connection fails or an answer is late */
export async function fresh({ target, wish, server, connections, warmMs, measureMs }: FreshPlan): Promise<Outcome> {
  const meters = metersOf(server);
  const mark = () => ({ at: performance.now(), cpu: meters.cpu(), mainCpu: meters.mainCpu(), own: ownSeconds() });
  let [answers, counted] = [0, 0];
  let first: ReturnType<typeof mark> | undefined;
  const end = performance.now() + warmMs + measureMs;
  const one = async (): Promise<void> => {
    while (performance.now() < end) {
      await ask(target, wish);
      answers++;
      if (first !== undefined) counted++;
    }
  };
  const warm = setTimeout(() => {
    first = mark();
  }, warmMs);
  try {
    await Promise.all(Array.from({ length: connections }, one));
  } finally {
    clearTimeout(warm);
  }
  const last = mark();
  const begun = first ?? last;
  const seconds = (last.at - begun.at) / 1000;
  return {
    perSecond: counted / seconds,
    cpuMicros: ((last.cpu - begun.cpu) / counted) * 1e6,
    answers,
    busy: { server: (last.mainCpu - begun.mainCpu) / seconds, generator: (last.own - begun.own) / seconds },
    latencies: new Float64Array(0),
  };
}

async function ask(target: Target, { request, isWhole }: Wish): Promise<void> {
  const socket = await openSocket(target);
  try {
    socket.write(request);
    let answer: Buffer = Buffer.alloc(0);
    while (!isWhole(answer)) {
      const [chunk] = await once(socket, "data", { signal: AbortSignal.timeout(ANSWER_MS) });
      answer = Buffer.concat([answer, chunk]);
    }
  } finally {
    socket.destroy();
  }
}
