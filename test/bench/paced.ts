// An open load: so many requests a second come whether or not the answers do.

import type { TLSSocket } from "node:tls";
import { HEADER_BYTES } from "../../src/wire/frame.ts";
import { openSocket, type Target } from "./load.ts";
import type { Wish } from "./requests.ts";

export interface PacedPlan {
  readonly target: Target;
  readonly connections: number;
  readonly perSecond: number;
  readonly seconds: number;
  readonly wish: Wish;
  /** Of an answer with keys; one of another length refuses. */
  readonly answerBytes: number;
}

export interface PacedOutcome {
  readonly offered: number;
  /** With keys. */
  readonly answered: number;
  readonly refused: number;
}

const TICK_MS = 1;
/** After the last request, for the last answers. */
const DRAIN_MS = 5_000;
/** Requests that one connection is given at once. */
const MOST = 1_024;

/** @throws Error when a connection ends or an answer that was looked at is wrong */
export async function paced(plan: PacedPlan): Promise<PacedOutcome> {
  const { target, connections, wish, perSecond, seconds } = plan;
  using lines = new DisposableStack();
  const tally = { answered: 0, refused: 0 };
  const { promise: failed, reject } = Promise.withResolvers<never>();
  const made = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket = await openSocket(target);
      lines.defer(() => socket.removeAllListeners("close").destroy());
      socket.on("error", reject).on("close", () => reject(new Error("the KM closed a connection")));
      receive(socket, plan, tally, reject);
      return { socket, requests: Buffer.alloc(MOST * wish.requestBytes) };
    }),
  );
  let offered = 0;
  const began = performance.now();
  const all = Math.floor(perSecond * seconds);
  let turn = 0;
  const tick = (): void => {
    const due = Math.min(all, Math.floor(((performance.now() - began) / 1_000) * perSecond));
    while (offered < due) {
      const line = made[turn++ % made.length];
      const count = Math.min(MOST, Math.ceil((due - offered) / made.length));
      if (line === undefined) break;
      for (let at = 0; at < count; at++) wish.lay(line.requests, at * wish.requestBytes);
      const bytes = line.requests.subarray(0, count * wish.requestBytes);
      line.socket.write(line.socket.writableLength === 0 ? bytes : Buffer.from(bytes));
      offered += count;
    }
  };
  const timer = setInterval(tick, TICK_MS);
  lines.defer(() => clearInterval(timer));
  await Promise.race([failed, until(() => offered >= all)]);
  clearInterval(timer);
  await Promise.race([failed, until(() => tally.answered + tally.refused >= offered, DRAIN_MS)]);
  return { offered, ...tally };
}

async function until(isSo: () => boolean, withinMs = Number.POSITIVE_INFINITY): Promise<void> {
  for (const end = performance.now() + withinMs; !isSo() && performance.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Counts answers by their lengths, and looks at the first of each chunk in full now and then. */
function receive(
  socket: TLSSocket,
  { wish, answerBytes }: PacedPlan,
  tally: { answered: number; refused: number },
  failed: (error: unknown) => void,
): void {
  let rest: Buffer = Buffer.alloc(0);
  let chunks = 0;
  socket.on("data", (chunk: Buffer) => {
    let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let mayCheck = chunks++ % 256 === 0;
    while (bytes.length >= HEADER_BYTES) {
      const length = HEADER_BYTES + bytes.readUInt16BE(8);
      if (bytes.length < length) break;
      const isAnswer = length === answerBytes;
      if (isAnswer) tally.answered += 1;
      else tally.refused += 1;
      try {
        if (isAnswer && mayCheck) wish.check(bytes.subarray(0, length));
      } catch (thrown) {
        failed(thrown);
      }
      mayCheck &&= !isAnswer;
      bytes = bytes.subarray(length);
    }
    rest = Buffer.from(bytes);
  });
}
