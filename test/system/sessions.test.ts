// Sessions between two KMs as processes: opened, used and ended over real TLS, and a KM killed in the middle.

import { afterAll, beforeAll, expect, test } from "vitest";
import type { AkClient, IncomingSession, OpenSession, SuppliedKey } from "../../src/ak/client.ts";
import { type AppId, appId } from "../../src/core/ids.ts";
import { eventually } from "./support/eventually.ts";
import type { Km } from "./support/km.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { PAIR } from "./support/plan.ts";
import { akRefusal } from "./support/refused.ts";

const B1 = appId("app-b1");

let network: Network;
let a: AkClient;
let b: Listener;
beforeAll(async () => {
  network = await startNetwork(PAIR);
  await network.stocked();
  a = await network.app("app-a1").connectAk();
  b = await listen("app-b1");
});
afterAll(async () => {
  await a?.[Symbol.asyncDispose]();
  await b?.client[Symbol.asyncDispose]();
  await network?.[Symbol.asyncDispose]();
});

/** An application that accepts every session. */
interface Listener {
  readonly client: AkClient;
  readonly accepted: Map<string, IncomingSession>;
}

async function listen(app: string): Promise<Listener> {
  const accepted = new Map<string, IncomingSession>();
  const client = await network.app(app).connectAk({
    onSession: (offer) => void accepted.set(offer.sessionId, offer.accept()),
  });
  return { client, accepted };
}

/** ID and bytes of a key, which is disposed. */
function read(key: SuppliedKey): string {
  using held = key;
  return `${held.keyId} ${held.key.lend((bytes) => Buffer.from(bytes).toString("hex"))}`;
}

/** Takes the next keys pushed in a session. */
async function take(session: IncomingSession | undefined, count: number): Promise<string[]> {
  const taken: string[] = [];
  if (session === undefined) throw new Error("the session was not accepted");
  for await (const pushed of session) {
    taken.push(read(pushed.take()));
    if (taken.length === count) break;
  }
  return taken;
}

/** So many keys at both applications. */
async function exchange(session: OpenSession, count: number, at = b): Promise<void> {
  const [supplied, taken] = await Promise.all([
    session.getKeys({ count }),
    take(at.accepted.get(session.sessionId), count),
  ]);
  expect(supplied).toHaveLength(count);
  expect(supplied.map(read)).toEqual(taken);
}

const open = (maxKeys: number, destination: AppId = B1): Promise<OpenSession> =>
  a.openSession({ destination, maxKeys });

/** The same, when the destination may be on its way: its KM knows a connection a moment after the application does. */
async function openSoon(maxKeys: number, destination: AppId = B1): Promise<OpenSession> {
  const opened: OpenSession[] = [];
  const there = async () => opened.push(await open(maxKeys, destination)) > 0;
  await eventually(`${destination} is connected`, there);
  const [session] = opened;
  if (session === undefined) throw new Error("no session was opened");
  return session;
}

/** Sessions open at a KM, by role. */
async function openAt(km: Km): Promise<readonly number[]> {
  const { initiator, destination } = (await km.status()).sessions;
  return [initiator, destination];
}

test("Q.4161 8.2: both applications get the same keys until the budget is spent, and then are told so", async () => {
  const session = await openSoon(5);
  await exchange(session, 2);
  await exchange(session, 3);
  const { code, response } = await akRefusal(session.getKeys());
  expect([code, response]).toEqual(["SESSION_ENDED", "SESSION_ENDED: the session has ended: its budget is spent"]);
  const [kmA, kmB] = [network.km("km-a"), network.km("km-b")];
  expect([await openAt(kmA), await openAt(kmB)]).toEqual([
    [0, 0],
    [0, 0],
  ]);
  const [atA, atB] = [await kmA.metrics(), await kmB.metrics()];
  expect(atA.sum("qkm_keys_fetched_total", { door: "session", app: "app-a1" })).toBe(5);
  expect(atB.sum("qkm_keys_supplied_total", { door: "session", app: "app-b1" })).toBe(5);
  expect(atA.sum("qkm_sessions_ended_total", { role: "initiator", reason: "budget" })).toBe(1);
  expect(atB.sum("qkm_sessions_ended_total", { role: "destination", reason: "budget" })).toBe(1);
});

test("Q.4161 8.2.8: what the destination refuses the initiator does not get, and the budget keeps it", async () => {
  const session = await open(3);
  const incoming = b.accepted.get(session.sessionId);
  const asked = session.getKeys({ count: 3 });
  const taken: string[] = [];
  let seen = 0;
  for await (const pushed of incoming ?? []) {
    seen++;
    if (seen === 2) pushed.refuse();
    else taken.push(read(pushed.take()));
    if (seen === 3) break;
  }
  expect((await asked).map(read)).toEqual(taken);
  await exchange(session, 1);
  expect((await akRefusal(session.getKeys())).code).toBe("SESSION_ENDED");
});

test("a session of two applications of one KM", async () => {
  const a2 = await listen("app-a2");
  await using _client = a2.client;
  const session = await openSoon(2, appId("app-a2"));
  await exchange(session, 2, a2);
  expect(await openAt(network.km("km-a"))).toEqual([0, 0]);
});

test("a destination that is not there is told apart from one that comes back and goes on", async () => {
  const b2 = appId("app-b2");
  expect((await akRefusal(open(1, b2))).code).toBe("APP_UNAVAILABLE");
  const before = await listen("app-b2");
  const session = await openSoon(4, b2);
  await exchange(session, 1, before);
  await before.client[Symbol.asyncDispose]();
  await eventually("its KM misses it", async () => (await akRefusal(session.getKeys())).code === "APP_UNAVAILABLE");
  const after = await listen("app-b2");
  await using client = after.client;
  after.accepted.set(session.sessionId, client.resumeIncoming(session.sessionId));
  await exchange(await openSoon(1, b2), 1, after);
  await exchange(session, 3, after);
});

test("design 6: the destination's KM killed in the middle of a push: no key is supplied, the session is over, a new one works", async () => {
  const session = await open(10);
  await exchange(session, 1);
  const kmB = network.km("km-b");
  const asked = akRefusal(session.getKeys({ count: 2 }));
  const pushed = b.accepted.get(session.sessionId)?.[Symbol.asyncIterator]();
  expect((await pushed?.next())?.done).toBe(false);
  await kmB.kill();
  expect((await asked).code).toBe("PEER_UNAVAILABLE");
  await kmB.start();
  await network.stocked();
  expect(await openAt(network.km("km-a"))).toEqual([0, 0]);
  const { code, response } = await akRefusal(session.getKeys());
  expect([code, response.split(": ").at(-1)]).toEqual([
    "SESSION_ENDED",
    "the key manager at the other end was started again",
  ]);
  await exchange(await openSoon(2), 2);
  const metrics = await network.km("km-a").metrics();
  expect(metrics.sum("qkm_sessions_ended_total", { role: "initiator", reason: "restarted" })).toBe(1);
});

test("an orderly stop of the destination's KM ends its sessions, and the initiator is told why", async () => {
  const session = await openSoon(10);
  const kmB = network.km("km-b");
  expect(await kmB.kill("SIGTERM")).toBe(0);
  await eventually("km-a knows", async () => (await openAt(network.km("km-a")))[0] === 0);
  const { response } = await akRefusal(session.getKeys());
  expect(response).toBe("SESSION_ENDED: the session has ended: its key manager was stopped");
  await kmB.start();
});
