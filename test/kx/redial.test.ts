// Dialling again, by a clock that the test moves.

import { describe, expect, it } from "vitest";
import { keepDialled } from "../../src/kx/redial.ts";
import { KxSession } from "../../src/kx/session.ts";
import type { Channel } from "../../src/net/channel.ts";
import { ManualClock, settled } from "../support/manual-clock.ts";
import { A, B, fixedRandom, TestPorts } from "./fixture.ts";
import { memoryPair } from "./memory-channel.ts";

function dialling(dial: (attempt: number) => Promise<Channel>) {
  const ports = new TestPorts(new ManualClock());
  const stop = new AbortController();
  const attemptsMs: number[] = [];
  const sessions: KxSession[] = [];
  const dialled = {
    peer: B,
    dial: () => {
      attemptsMs.push(ports.clock.monotonicMs());
      return dial(attemptsMs.length);
    },
    current: () => undefined,
    attach: (channel: Channel) => {
      const session = new KxSession(
        channel,
        { self: A, peer: B, dialect: "extended", defaultKeyBits: 256, keepalive: NEVER },
        ports,
      );
      sessions.push(session);
      return session;
    },
  };
  const { clock, log } = ports;
  const done = keepDialled(dialled, { clock, log, random: fixedRandom(0) }, stop.signal);
  return { ports, stop, attemptsMs, sessions, done, clock };
}

/** Nobody answers at the other end, and the connection has to live for a while. */
const NEVER = { silenceMs: 1e9, timeoutMs: 1e9 };

const nobody = async (): Promise<Channel> => Promise.reject(new Error("nobody listens"));
const somebody = async (): Promise<Channel> => memoryPair(A, B)[0];

describe("keepDialled", () => {
  it("design 10: dials at start, and again with back-off while nobody is there", async () => {
    const { clock, attemptsMs, stop, done, ports } = dialling(nobody);
    await clock.run(3_100);
    expect(attemptsMs).toEqual([0, 100, 300, 700, 1_500, 3_100]);
    expect(ports.lines.filter(({ level }) => level === "warn")).toHaveLength(6);
    stop.abort();
    await done;
    expect(clock.waiting).toBe(0);
  });

  it("design 10: dials again when a connection ends, soon after a long one, later after each short one", async () => {
    const { clock, attemptsMs, sessions, stop, done } = dialling(somebody);
    for (const livesMs of [9_000, 9_000, 10_000, 0]) {
      await clock.run(livesMs);
      sessions.at(-1)?.close("the test ends it");
      await settled();
      await clock.run(clock.nextMs ?? 0);
    }
    stop.abort();
    sessions.at(-1)?.close("end of test");
    await done;
    expect(attemptsMs).toEqual([0, 9_100, 18_300, 28_400, 28_600]);
    expect(clock.waiting).toBe(0);
  });

  it("a peer that was away for long, and closes its first connection to begin anew, is dialled again at once", async () => {
    const { clock, attemptsMs, sessions, stop, done } = dialling((attempt) => (attempt < 8 ? nobody() : somebody()));
    await clock.run(12_700);
    sessions.at(-1)?.close("the store is a restored copy; the exchange begins anew");
    await settled();
    await clock.run(100);
    stop.abort();
    sessions.at(-1)?.close("end of test");
    await done;
    expect(attemptsMs.slice(-3)).toEqual([6_300, 12_700, 12_800]);
  });

  it("a signal while it waits, or while it dials, ends it at once", async () => {
    const waiting = dialling(nobody);
    await settled();
    waiting.stop.abort();
    await waiting.done;
    expect(waiting.clock.waiting).toBe(0);
    const gate = Promise.withResolvers<Channel>();
    const busy = dialling(() => gate.promise);
    await settled();
    busy.stop.abort();
    gate.reject(new Error("dialling was given up"));
    await busy.done;
    expect(busy.ports.lines.filter(({ level }) => level === "warn")).toEqual([]);
    expect(busy.attemptsMs).toEqual([0]);
  });
});
