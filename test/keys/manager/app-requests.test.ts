// What applications ask before the key inventory is read: refused, and who is connected already is handed over.

import { expect, test } from "vitest";
import { keySizes } from "../../../src/keys/common/sizes.ts";
import { AppRequests } from "../../../src/keys/manager/app-requests.ts";
import { ManualClock } from "../../support/manual-clock.ts";
import { ask, fetchKeys } from "../support/apps.ts";
import { Network } from "../support/network.ts";
import { askInSession, openSession, SessionApp } from "../support/session-app.ts";

test("refuses everything until the key manager is there", () => {
  const door = new AppRequests(keySizes(256, 4096));
  const refused = [
    ask(door, { app: "app-a1", to: "app-a2" }),
    fetchKeys(door, "app-a1", "app-a2", []),
    openSession(door, "app-a1", "app-a2"),
    askInSession(door, { app: "app-a1", sessionId: "any" }),
  ];
  expect(refused.map(({ fault, answers }) => [fault?.code, answers])).toEqual(
    refused.map(() => ["HSM_UNAVAILABLE", 1]),
  );
  expect(() => door.status("app-a1" as never, "app-a2" as never)).toThrow("not available");
});

test("an application that connected before is reached after, until it leaves", async () => {
  const network = new Network();
  const door = new AppRequests(keySizes(256, 4096));
  const early = new SessionApp(network.clock, "app-a2").connect(door);
  const left = new SessionApp(network.clock, "app-a3").connect(door);
  left.disconnect();
  network.a.requests = door;
  await network.a.boot();
  const opening = openSession(door, "app-a1", "app-a2");
  const gone = openSession(door, "app-a1", "app-a3");
  await network.run(10);
  expect([opening.fault, gone.fault?.code]).toEqual([undefined, "APP_UNAVAILABLE"]);
  const asked = askInSession(door, { app: "app-a1", sessionId: opening.sessionId });
  await network.run(20);
  expect(asked.keys).toEqual(early.keys);
  early.disconnect();
  const after = askInSession(door, { app: "app-a1", sessionId: opening.sessionId });
  await network.run(20);
  expect(after.fault?.code).toBe("APP_UNAVAILABLE");
});

test("an application that connects after is reached too", async () => {
  const network = new Network();
  const door = new AppRequests(keySizes(256, 4096));
  network.a.requests = door;
  await network.a.boot();
  new SessionApp(new ManualClock(), "app-a2").connect(door);
  const opening = openSession(door, "app-a1", "app-a2");
  await network.run(10);
  expect(opening.answers).toBe(1);
  expect(opening.fault).toBeUndefined();
});
