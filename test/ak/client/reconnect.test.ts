// The application's end when the connection breaks: it connects again by itself, and goes on.

import { beforeAll, describe, expect, test } from "vitest";
import type { ConnectionState, IncomingSession, PushedKey } from "../../../src/ak/client.ts";
import { Fault } from "../../../src/core/fault.ts";
import { appId, kmId } from "../../../src/core/ids.ts";
import type { Answer } from "../../../src/keys/ports/keys.ts";
import { until } from "../../support/until.ts";
import { type AkDoor, openAk, type Papers, papers } from "../ak-kit.ts";
import { FakeGrant, keyIdOf } from "../fake-door.ts";

const C1 = appId("app-c1");
let own: Papers;
beforeAll(async () => {
  own = await papers();
});

/** The same key manager again, where it was. */
const again = ({ listener: { host, port } }: AkDoor): Promise<AkDoor> => openAk(own, { listen: { host, port } });

test("a request made while the key manager is away waits for it", async () => {
  const first = await openAk(own);
  const states: ConnectionState[] = [];
  await using client = await first.client(own.a1, { onConnection: (state) => states.push(state) });
  await first[Symbol.asyncDispose]();
  await until("a try has failed", () => states.filter(({ connected }) => !connected).length >= 2);
  const asked = client.getKeys({ destination: C1 });
  await using _second = await again(first);
  expect((await asked).map(({ keyId }) => keyId)).toEqual([keyIdOf(0, 0, 32)]);
  expect(states.at(0)).toEqual({ connected: true, group: "X25519MLKEM768" });
  expect(states.at(-1)).toEqual({ connected: true, group: "X25519MLKEM768" });
});

test("a request that waits in vain for a connection fails in time, and was not sent", async () => {
  const door = await openAk(own);
  const states: ConnectionState[] = [];
  await using client = await door.client(own.a1, { timeoutMs: 100, onConnection: (state) => states.push(state) });
  await door[Symbol.asyncDispose]();
  await until("the client knows", () => states.some(({ connected }) => !connected));
  await expect(client.getKeys({ destination: C1 })).rejects.toMatchObject({ mayBeServed: false });
});

test("opening a session is asked again on the next connection, asking for keys in it is not", async () => {
  const first = await openAk(own);
  await using client = await first.client(own.a1);
  const opening = client.openSession({ destination: C1 });
  const keys = expect(client.resumeSession("s-0").getKeys()).rejects.toMatchObject({ mayBeServed: true });
  await until("both are there", () => first.sessions.creations.length + first.sessions.wishes.length === 2);
  await first[Symbol.asyncDispose]();
  await keys;
  await using second = await again(first);
  second.sessions.meetCreation = (_, answer) => answer.opened("s-1", kmId("km-a"));
  expect((await opening).sessionId).toBe("s-1");
  expect(second.sessions.wishes).toEqual([]);
});

test("sessions go on over the next connection; what was pushed and not taken before is void", async () => {
  const first = await openAk(own);
  const { promise, resolve } = Promise.withResolvers<IncomingSession>();
  await using client = await first.client(own.c1, { onSession: (offer) => resolve(offer.accept()) });
  const creation = { sessionId: "s-1", initiator: appId("app-a1"), destination: C1 };
  await until("the door knows the connection", () => first.sessions.lines.length === 1);
  await first.sessions.line.notify({ ...creation, applicationName: undefined, budget: undefined }, 5000);
  const session = await promise;
  const lost = first.sessions.line.push("s-1", new FakeGrant(1, [32, 32]), 5000);
  const iterator = session[Symbol.asyncIterator]();
  const held: IteratorResult<PushedKey> = await iterator.next();
  await first[Symbol.asyncDispose]();
  expect(await lost).toEqual([]);
  await using second = await again(first);
  await until("the client is back", () => second.sessions.lines.length === 1);
  const acknowledged = second.sessions.line.push("s-1", new FakeGrant(2, [32]), 5000);
  expect(() => held.value?.take()).toThrow("the connection ended before the key");
  const next = await iterator.next();
  expect(next.value?.keyId).toBe(keyIdOf(2, 0, 32));
  next.value?.take()[Symbol.dispose]();
  expect(await acknowledged).toEqual([keyIdOf(2, 0, 32)]);
  expect(client.resumeIncoming("s-1")).toBe(session);
});

test("a new process goes on with a session by its ID, from the first key on", async () => {
  await using door = await openAk(own);
  const gone = await door.client(own.c1, { accepted: ["s-1"] });
  await until("the door knows the connection", () => door.sessions.lines.length === 1);
  const left = door.sessions.line.push("s-1", new FakeGrant(1, [32]), 5000);
  await gone[Symbol.asyncDispose]();
  expect(await left).toEqual([]);
  expect(door.seen.count("answers_dropped")).toBe(0);

  await using client = await door.client(own.c1, { accepted: ["s-1"] });
  await until("the door knows the connection", () => door.sessions.lines.length === 1);
  const acknowledged = door.sessions.line.push("s-1", new FakeGrant(2, [32]), 5000);
  using session = client.resumeIncoming("s-1");
  for await (const pushed of session) {
    pushed.take()[Symbol.dispose]();
    break;
  }
  expect(await acknowledged).toEqual([keyIdOf(2, 0, 32)]);
});

test("a client that is closed while its key manager is away ends at once", async () => {
  const door = await openAk(own);
  const states: ConnectionState[] = [];
  const client = await door.client(own.a1, { onConnection: (state) => states.push(state) });
  await door[Symbol.asyncDispose]();
  await until("it knows", () => states.some(({ connected }) => !connected));
  const asked = expect(client.getKeys({ destination: C1 })).rejects.toThrow("the client is closed");
  await client[Symbol.asyncDispose]();
  await asked;
});

describe("a client that knows several members of its key manager", () => {
  const refuse = (_: unknown, answer: Answer): void => answer.refused(new Fault("STORE_UNAVAILABLE"));

  test("leaves the one that has lost its store for another as soon as that one listens", async () => {
    await using first = await openAk(own);
    const spare = await openAk(own);
    const { host, port } = spare.listener;
    await spare[Symbol.asyncDispose]();
    await using client = await first.client(own.a1, { further: [{ host, port }] });
    first.keys.hold();
    const underWay = client.getKeys({ destination: C1 });
    await until("it is asked", () => first.keys.held.length === 1);
    first.keys.meet = refuse;
    const refused = { code: "STORE_UNAVAILABLE" };
    await expect(client.getKeys({ destination: C1 })).rejects.toMatchObject(refused);
    await using second = await again(spare);
    await until("the other one is asked", () => {
      client.getKeys({ destination: C1 }).catch(() => {});
      return second.keys.asked.length > 0;
    });
    // What was under way is still answered where it was asked; then that connection ends.
    const [held] = first.keys.held;
    if (held !== undefined) held.answer.granted(first.keys.grantFor(held.request));
    expect(await underWay).toHaveLength(1);
    await until("it has left", () => first.listener.connections === 0);
    const asked = first.keys.asked.length;
    expect(await client.getKeys({ destination: C1 })).toHaveLength(1);
    expect(first.keys.asked).toHaveLength(asked);
  });

  test("stays where it is while nobody else listens", async () => {
    await using first = await openAk(own);
    const states: ConnectionState[] = [];
    const spare = await openAk(own);
    const { host, port } = spare.listener;
    await spare[Symbol.asyncDispose]();
    const onConnection = (state: ConnectionState) => void states.push(state);
    await using client = await first.client(own.a1, { further: [{ host, port }], onConnection });
    first.keys.meet = refuse;
    const refused = { code: "STORE_UNAVAILABLE" };
    for (let n = 0; n < 3; n++) await expect(client.getKeys({ destination: C1 })).rejects.toMatchObject(refused);
    first.keys.meet = (request, answer) => answer.granted(first.keys.grantFor(request));
    expect(await client.getKeys({ destination: C1 })).toHaveLength(1);
    expect(states).toEqual([{ connected: true, group: "X25519MLKEM768" }]);
  });
});
