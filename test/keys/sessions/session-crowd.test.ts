// A thousand sessions at once between two KMs: all budgets exact, and nothing left of them.

import { expect, test } from "vitest";
import { asFault } from "../../../src/core/fault.ts";
import type { AppId } from "../../../src/core/ids.ts";
import type { Asked } from "../support/apps.ts";
import { expectOneUse } from "../support/ledger.ts";
import { Network, QUOTA } from "../support/network.ts";
import { seeded } from "../support/seeded.ts";
import { askInSession, openSession, SessionApp } from "../support/session-app.ts";

const SESSIONS = 1000;
const APPS = 20;
const BUDGET = 3;

const name = (side: string, number: number): string => `app-${side}${number % APPS}`;

function entries(side: "a" | "b") {
  return Array.from({ length: APPS }, (_, number) => ({
    id: name(side, number) as AppId,
    home: `km-${side}` as never,
    quota: QUOTA,
  }));
}

interface Member {
  readonly app: string;
  readonly sessionId: string;
  readonly asks: Asked[];
}

test("1,000 sessions whose applications come, go and acknowledge as they like", { timeout: 120_000 }, async () => {
  const policy = { stockLow: 8, stockHigh: 16, maxHeld: 4096, maxWaiting: 2000 };
  const apps = [...entries("a"), ...entries("b")];
  const network = await Network.up({ blockBytes: 32_768, blocks: 40, keepBlocks: 500, policy, apps });
  const timers = network.clock.waiting;
  const random = seeded(5);
  const acknowledged = new Map<string, number>();
  const others = entries("b").map(({ id }) => {
    const app = new SessionApp(network.clock, id).connect(network.b.parts.sessions);
    app.acknowledge = ({ sessionId, keys }) => {
      const some = keys.filter(() => random.fraction() < 0.8).map((key) => key.id);
      acknowledged.set(sessionId, (acknowledged.get(sessionId) ?? 0) + some.length);
      return some;
    };
    return app;
  });
  const { sessions } = network.a.parts;
  const openings = Array.from({ length: SESSIONS }, (_, index) =>
    openSession(sessions, name("a", index), name("b", Math.floor(index / APPS)), BUDGET),
  );
  await network.run(100);
  expect(sessions.sizes.initiator).toBe(SESSIONS);
  expect(network.b.parts.sessions.sizes.destination).toBe(SESSIONS);

  const members = openings.map(({ sessionId = "" }, index): Member => ({ app: name("a", index), sessionId, asks: [] }));
  for (let round = 0; round < 6; round++) {
    const other = others[Math.floor(random.fraction() * APPS)];
    other?.disconnect();
    for (const { app, sessionId, asks } of members) {
      asks.push(askInSession(sessions, { app, sessionId, count: 1 + Math.floor(random.fraction() * 2), bits: 128 }));
    }
    network.modules.make(4);
    await network.run(300);
    other?.connect(network.b.parts.sessions);
  }
  await network.run(10_000);

  for (const { asks, sessionId } of members) {
    const keys = asks.flatMap((asked) => asked.keys);
    expect(keys.length).toBeLessThanOrEqual(BUDGET);
    expect(keys.length).toBe(acknowledged.get(sessionId) ?? 0);
    expect(asks.map(({ answers }) => answers)).toEqual(asks.map(() => 1));
  }
  const full = members.filter(({ asks }) => asks.flatMap((asked) => asked.keys).length === BUDGET).length;
  expect(full).toBeGreaterThan(SESSIONS / 2);
  for (const { recorder } of [network.a, network.b]) {
    expect(recorder.count("sessions_ended", { reason: "budget" })).toBe(full);
  }
  const refusals = members.flatMap(({ asks }) => asks.flatMap(({ fault }) => fault ?? []));
  const codes = new Set(refusals.map((thrown) => asFault(thrown).code));
  expect([...codes].sort()).toEqual(["APP_UNAVAILABLE", "NOT_ACKNOWLEDGED", "SESSION_ENDED", "TOO_MANY_KEYS"]);
  const given = members.flatMap(({ asks }) => asks.flatMap((asked) => asked.keys));
  const atB = new Map(others.flatMap((other) => other.keys).map(({ id, key }) => [id, key]));
  expect(given.filter(({ id, key }) => atB.get(id) !== key)).toEqual([]);
  expectOneUse([network.a, network.b], given);

  await network.run(600_000);
  const none = { initiator: 0, destination: 0, asks: 0 };
  expect([sessions.sizes, network.b.parts.sessions.sizes]).toEqual([none, none]);
  expect([network.a.vault.leases.blocks, network.b.vault.leases.blocks, network.b.parts.admission.waiting]).toEqual([
    0, 0, 0,
  ]);
  for (const other of others) other.disconnect();
  const { a, b } = network;
  for (const [{ recorder }, role] of [
    [a, "initiator"],
    [b, "destination"],
  ] as const) {
    expect(recorder.count("sessions_ended", { role })).toBe(recorder.count("sessions_opened", { role }));
  }
  expect(network.clock.waiting).toBeLessThanOrEqual(timers);
});
