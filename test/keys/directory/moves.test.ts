// Applications that come, move and go while their key managers run.

import { beforeEach, describe, expect, test } from "vitest";
import { appId, kmId } from "../../../src/core/ids.ts";
import { type AppEntry, ApplicationTable } from "../../../src/keys/directory/application-table.ts";
import { type Asked, ask, fetchKeys } from "../support/apps.ts";
import { APPS, Network, POLICY, QUOTA } from "../support/network.ts";
import type { TestNode } from "../support/node.ts";

let network: Network;

/** Both nodes with tables that can be told anew. */
beforeEach(async () => {
  network = new Network();
  for (const node of [network.a, network.b]) {
    const formerMs = POLICY.maxAgeMs + POLICY.fetchWindowMs;
    node.applications = new ApplicationTable({ self: node.id, clock: network.clock, quota: QUOTA, formerMs }, APPS);
    await node.boot();
  }
  network.wire.connect();
  network.modules.make(8);
  await network.run(200);
});

const entry = (id: string, home: string): AppEntry => ({ id: appId(id), home: kmId(home), quota: QUOTA });

function tell(apps: readonly AppEntry[]): void {
  for (const { applications } of [network.a, network.b]) applications?.configure(apps);
}

/** app-a1 moves from km-a to km-b. */
const move = (): void => tell(APPS.map((app) => (app.id === "app-a1" ? entry("app-a1", "km-b") : app)));

async function settled(asked: Asked): Promise<Asked> {
  await network.run(100);
  return asked;
}

const supplied = (node: TestNode, app: string, to: string): Promise<Asked> => settled(ask(node.km, { app, to }));
const fetched = (node: TestNode, app: string, from: string, { keys }: Asked): Promise<Asked> =>
  settled(
    fetchKeys(
      node.km,
      app,
      from,
      keys.map(({ id }) => id),
    ),
  );

describe("an application that moves to another home", () => {
  test("fetches what it was to have before at its former home, until no such key is left", async () => {
    const [first, second] = [
      await supplied(network.b, "app-b1", "app-a1"),
      await supplied(network.b, "app-b1", "app-a1"),
    ];
    move();
    expect(network.a.applications?.admit("app-a1")).toBeUndefined();
    expect((await fetched(network.a, "app-a1", "app-b1", first)).keys).toEqual(first.keys);
    await network.run(POLICY.maxAgeMs + POLICY.fetchWindowMs);
    expect((await fetched(network.a, "app-a1", "app-b1", second)).fault?.code).toBe("NOT_AT_HOME");
    expect(network.a.applications?.admit("app-a1")?.code).toBe("NOT_AT_HOME");
  });

  test("had keys whose other owners still fetch them, at another KM and at the same", async () => {
    const [far, near] = [await supplied(network.a, "app-a1", "app-b1"), await supplied(network.a, "app-a1", "app-a2")];
    move();
    expect((await fetched(network.b, "app-b1", "app-a1", far)).keys).toEqual(far.keys);
    expect((await fetched(network.a, "app-a2", "app-a1", near)).keys).toEqual(near.keys);
    expect((await fetched(network.a, "app-a3", "app-a1", near)).fault).toBeDefined();
  });

  test("gets new keys at its new home, and none at the former", async () => {
    move();
    expect((await supplied(network.a, "app-a1", "app-b1")).fault?.code).toBe("NOT_AT_HOME");
    const given = await supplied(network.b, "app-a1", "app-a2");
    expect(given.outcome).toBe("granted");
    expect((await fetched(network.a, "app-a2", "app-a1", given)).keys).toEqual(given.keys);
  });
});

describe("an application that is named no more", () => {
  test("gets nothing and fetches nothing", async () => {
    const given = await supplied(network.b, "app-b1", "app-a1");
    await supplied(network.a, "app-a1", "app-b1");
    tell(APPS.filter(({ id }) => id !== "app-a1"));
    expect((await supplied(network.a, "app-a1", "app-b1")).fault?.code).toBe("UNKNOWN_APPLICATION");
    expect((await fetched(network.a, "app-a1", "app-b1", given)).fault?.code).toBe("UNKNOWN_APPLICATION");
    expect(network.a.applications?.admit("app-a1")?.code).toBe("UNKNOWN_APPLICATION");
  });
});

describe("a peer to which the first application comes", () => {
  test("gets stock from then on", async () => {
    tell(APPS.filter(({ home }) => home === "km-a"));
    await network.reboot(network.a);
    expect(network.a.parts.peers.get(kmId("km-b"))?.isServed).toBe(false);
    tell(APPS);
    expect(network.a.parts.peers.get(kmId("km-b"))?.isServed).toBe(true);
  });
});
