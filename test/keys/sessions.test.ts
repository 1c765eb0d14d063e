// The proactive mode between two key managers: sessions opened, keys pushed, acknowledged and supplied (Q.4161 8.2).

import { describe, expect, test } from "vitest";
import { expectOneUse } from "./support/ledger.ts";
import { Network, type Wanted } from "./support/network.ts";
import { askInSession, openSession, SessionApp } from "./support/session-app.ts";

interface Scene {
  readonly network: Network;
  readonly b: SessionApp;
}

/** Two KMs, and app-b1 connected at km-b. */
async function scene(wanted: Wanted & { readonly blocks?: number } = {}): Promise<Scene> {
  const network = await Network.up(wanted);
  const b = new SessionApp(network.clock, "app-b1").connect(network.b.km.sessions);
  return { network, b };
}

async function opened({ network }: Scene, budget?: number): Promise<string> {
  const opening = openSession(network.a.km.sessions, "app-a1", "app-b1", budget);
  await network.run(20);
  expect(opening.fault).toBeUndefined();
  return opening.sessionId ?? "";
}

async function taken({ network }: Scene, sessionId: string, count = 1, bits = 256) {
  const asked = askInSession(network.a.km.sessions, { app: "app-a1", sessionId, count, bits });
  await network.run(50);
  return asked;
}

const sizes = ({ network }: Scene) => [network.a.km.sessions.sizes, network.b.km.sessions.sizes];
const none = { initiator: 0, destination: 0, asks: 0 };

/** Nothing is pinned at either KM. */
function expectNoLeases({ network }: Scene): void {
  expect(network.a.vault.leases.blocks + network.b.vault.leases.blocks).toBe(0);
}

describe("Q.4161 7: a session", () => {
  test("is opened with the other application's consent, under an ID that all know", async () => {
    const one = await scene();
    const opening = openSession(one.network.a.km.sessions, "app-a1", "app-b1", 5);
    await one.network.run(20);
    expect(opening).toMatchObject({ answers: 1, sourceKm: "km-a", fault: undefined });
    expect(opening.sessionId).toMatch(/^[0-9a-f]{32}$/);
    expect(one.b.offers).toEqual([
      {
        sessionId: opening.sessionId,
        initiator: "app-a1",
        destination: "app-b1",
        applicationName: undefined,
        budget: 5,
      },
    ]);
    expect(sizes(one)).toEqual([
      { ...none, initiator: 1 },
      { ...none, destination: 1 },
    ]);
  });

  test("gives both applications the same keys, carved by the destination's KM", async () => {
    const one = await scene();
    const sessionId = await opened(one);
    const asked = await taken(one, sessionId, 3);
    expect(asked.keys).toHaveLength(3);
    expect(one.b.keys).toEqual(asked.keys);
    expect(one.b.pushes.map((push) => push.sessionId)).toEqual([sessionId]);
    expect(one.network.b.recorder.count("keys_supplied", { app: "app-b1", door: "session" })).toBe(3);
    expect(one.network.a.recorder.count("keys_fetched", { app: "app-a1", door: "session" })).toBe(3);
    expectOneUse([one.network.a, one.network.b], asked.keys);
    expectNoLeases(one);
  });

  test("works the other way round at the same time", async () => {
    const one = await scene();
    new SessionApp(one.network.clock, "app-a1").connect(one.network.a.km.sessions);
    const there = await opened(one);
    const opening = openSession(one.network.b.km.sessions, "app-b1", "app-a1");
    await one.network.run(20);
    const back = askInSession(one.network.b.km.sessions, { app: "app-b1", sessionId: opening.sessionId });
    const asked = await taken(one, there);
    expect([asked.keys.length, back.keys.length]).toEqual([1, 1]);
    expectOneUse([one.network.a, one.network.b], [...asked.keys, ...back.keys]);
  });
});
