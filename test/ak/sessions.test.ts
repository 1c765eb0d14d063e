// Sessions between our client and our server over real TLS, with the key manager between them played by the test.

import { beforeAll, describe, expect, test } from "vitest";
import {
  type AkClient,
  type AkClientOptions,
  AkRefusal,
  type IncomingSession,
  type OnSession,
  type SessionOffer,
} from "../../src/ak/client.ts";
import { Fault } from "../../src/core/fault.ts";
import { appId, kmId } from "../../src/core/ids.ts";
import type { SessionCreation } from "../../src/keys/ports/sessions.ts";
import { until } from "../support/until.ts";
import { type AkDoor, openAk, type Papers, papers } from "./ak-kit.ts";
import { FakeGrant, keyBytes, keyIdOf } from "./fake-door.ts";

const [A1, C1] = [appId("app-a1"), appId("app-c1")];
const CREATION: SessionCreation = {
  sessionId: "s-1",
  initiator: A1,
  destination: C1,
  applicationName: "vpn",
  budget: 10,
};
let own: Papers;
beforeAll(async () => {
  own = await papers();
});

/** app-c1, connected, with its door. */
async function connected(door: AkDoor, options: Partial<AkClientOptions> = {}): Promise<AkClient> {
  const before = door.sessions.lines.length;
  const client = await door.client(own.c1, options);
  await until("the door knows the connection", () => door.sessions.lines.length > before);
  return client;
}

/** app-c1 in a session that it has accepted. */
async function inSession(door: AkDoor, options: Partial<AkClientOptions> = {}) {
  const { promise, resolve } = Promise.withResolvers<IncomingSession>();
  const client = await connected(door, { ...options, onSession: (offer) => resolve(offer.accept()) });
  await door.sessions.line.notify(CREATION, 5000);
  return { client, session: await promise };
}

const push = (door: AkDoor, count: number, number = 1) =>
  door.sessions.line.push("s-1", new FakeGrant(number, Array<number>(count).fill(32)), 5000);

describe("Q.4161 8.2: the initiator", () => {
  test("opens a session, and gets in it what the key manager grants", async () => {
    await using door = await openAk(own);
    await using client = await door.client(own.a1);
    door.sessions.meetCreation = (_, answer) => answer.opened("s-1", kmId("km-a"));
    door.sessions.meetWish = (_, answer) => answer.granted(new FakeGrant(3, [64, 64]));
    const session = await client.openSession({ destination: C1, maxKeys: 20, applicationName: "vpn" });
    const keys = await session.getKeys({ count: 3, sizeBits: 512 });
    expect(session.sessionId).toBe("s-1");
    expect(door.sessions.creations.map(({ request }) => request)).toEqual([
      { app: "app-a1", destination: "app-c1", applicationName: "vpn", budget: 20 },
    ]);
    expect(door.sessions.wishes.map(({ request }) => request)).toEqual([
      { app: "app-a1", sessionId: "s-1", count: 3, sizeBits: 512 },
    ]);
    expect(keys.map(({ keyId }) => keyId)).toEqual([keyIdOf(3, 0, 64), keyIdOf(3, 1, 64)]);
    expect(keys.map(({ key }) => key.lend((bytes) => Buffer.from(bytes)))).toEqual([
      keyBytes(3, 0, 64),
      keyBytes(3, 1, 64),
    ]);
    expect(door.ring.memory.every((byte) => byte === 0)).toBe(true);
  });

  test("goes on with a session that it opened before", async () => {
    await using door = await openAk(own);
    await using client = await door.client(own.a1);
    door.sessions.meetWish = (_, answer) => answer.granted(new FakeGrant(3, [32]));
    expect(await client.resumeSession("s-9").getKeys()).toHaveLength(1);
    expect(door.sessions.wishes[0]?.request).toEqual({ app: "app-a1", sessionId: "s-9", count: 1, sizeBits: 256 });
  });

  test("is told why there is no session, and why there are no keys", async () => {
    await using door = await openAk(own);
    await using client = await door.client(own.a1);
    door.sessions.meetCreation = (_, answer) => answer.refused(new Fault("SESSION_REFUSED"));
    door.sessions.meetWish = (_, answer) => answer.refused(new Fault("SESSION_ENDED", { text: "its budget is spent" }));
    await expect(client.openSession({ destination: C1 })).rejects.toMatchObject({ code: "SESSION_REFUSED" });
    const refused = client.resumeSession("s-1").getKeys();
    await expect(refused).rejects.toBeInstanceOf(AkRefusal);
    await expect(refused).rejects.toMatchObject({ response: "SESSION_ENDED: its budget is spent" });
  });
});

describe("Q.4161 8.2.3: the destination", () => {
  test("is offered a session with all that is told, and accepts it", async () => {
    await using door = await openAk(own);
    const offers: SessionOffer[] = [];
    const accept = (offer: SessionOffer): void => {
      offers.push(offer);
      offer.accept();
    };
    await using client = await connected(door, { onSession: accept });
    await door.sessions.line.notify(CREATION, 5000);
    const [{ sessionId, initiator, applicationName, maxKeys } = {}] = offers;
    expect([sessionId, initiator, applicationName, maxKeys]).toEqual(["s-1", "app-a1", "vpn", 10]);
    expect(client.group).toBe("X25519MLKEM768");
  });

  test.each<[string, OnSession, string]>([
    ["refuses with a reason", (offer) => offer.refuse("not now"), "not now"],
    ["refuses without one", (offer) => offer.refuse(), "the application refuses the session"],
    ["does not decide", () => {}, "the application did not decide"],
    ["fails", () => Promise.reject(new Error("a secret of its own")), "the application failed to decide"],
  ])("that %s tells the other application so", async (_, onSession, reason) => {
    await using door = await openAk(own);
    await using client = await connected(door, { onSession });
    await expect(door.sessions.line.notify(CREATION, 5000)).rejects.toMatchObject({
      code: "SESSION_REFUSED",
      message: `the other application refuses the session: ${reason}`,
    });
    expect(client.group).not.toBe("");
  });

  test("that takes no sessions at all says so, and its KM may ask another connection", async () => {
    await using door = await openAk(own);
    await using _client = await connected(door);
    await expect(door.sessions.line.notify(CREATION, 5000)).rejects.toMatchObject({ code: "APP_UNAVAILABLE" });
  });

  test("decides once, and refuses as BUSY what is beyond its limit", async () => {
    await using door = await openAk(own);
    const offers: SessionOffer[] = [];
    const onSession = (offer: SessionOffer): void => {
      offers.push(offer);
      offer.accept();
    };
    await using _client = await connected(door, { onSession, maxSessions: 2 });
    const { line } = door.sessions;
    await line.notify(CREATION, 5000);
    expect(() => offers[0]?.accept()).toThrow("accepted already");
    await line.notify({ ...CREATION, sessionId: "s-2" }, 5000);
    await expect(line.notify({ ...CREATION, sessionId: "s-3" }, 5000)).rejects.toMatchObject({ code: "BUSY" });
    await line.notify(CREATION, 5000);
    expect(offers.map(({ sessionId }) => sessionId)).toEqual(["s-1", "s-2"]);
  });
});

describe("Q.4161 8.2.7: pushed keys", () => {
  test("come in order, and are acknowledged when they are taken, not before", async () => {
    await using door = await openAk(own);
    const { client, session } = await inSession(door);
    await using _client = client;
    let told: readonly string[] | undefined;
    const acknowledged = push(door, 3).then((ids) => {
      told = ids;
    });
    const seen: Buffer[] = [];
    for await (const pushed of session) {
      expect(told).toBeUndefined();
      using taken = pushed.take();
      seen.push(taken.key.lend((bytes) => Buffer.from(bytes)));
      expect(() => pushed.take()).toThrow("taken or refused already");
      if (seen.length === 3) break;
    }
    await acknowledged;
    expect(seen).toEqual([keyBytes(1, 0, 32), keyBytes(1, 1, 32), keyBytes(1, 2, 32)]);
    expect(told).toEqual([0, 1, 2].map((index) => keyIdOf(1, index, 32)));
  });

  test("that are refused, passed over, or whose loop fails are not acknowledged", async () => {
    await using door = await openAk(own);
    const { client, session } = await inSession(door);
    await using _client = client;
    const acknowledged = push(door, 4);
    let at = 0;
    const loop = async (): Promise<void> => {
      for await (const pushed of session) {
        at += 1;
        if (at === 1) pushed.refuse("too short");
        if (at === 3) pushed.take()[Symbol.dispose]();
        if (at === 4) throw new Error("the application fails");
      }
    };
    await expect(loop()).rejects.toThrow("the application fails");
    expect(await acknowledged).toEqual([keyIdOf(1, 2, 32)]);
  });

  test("beyond the limit are refused, and those that wait can be taken", async () => {
    await using door = await openAk(own);
    const { client, session } = await inSession(door, { maxWaitingKeys: 2 });
    await using _client = client;
    const acknowledged = push(door, 5);
    let taken = 0;
    for await (const pushed of session) {
      pushed.take()[Symbol.dispose]();
      taken += 1;
      if (taken === 2) break;
    }
    expect(await acknowledged).toEqual([keyIdOf(1, 0, 32), keyIdOf(1, 1, 32)]);
  });

  test("end with their session: what waits is refused, and the loop ends", async () => {
    await using door = await openAk(own);
    const { client, session } = await inSession(door);
    await using _client = client;
    const acknowledged = push(door, 3);
    const seen: string[] = [];
    for await (const pushed of session) {
      seen.push(pushed.keyId);
      pushed.take()[Symbol.dispose]();
      session.close();
    }
    expect(await acknowledged).toEqual(seen);
    expect(await push(door, 2, 2)).toEqual([]);
  });

  test("of a session that the application does not know are refused", async () => {
    await using door = await openAk(own);
    await using _client = await connected(door);
    expect(await push(door, 2)).toEqual([]);
  });

  test("wake an application that waits for them, several times, and its client's end ends the loop", async () => {
    await using door = await openAk(own);
    const { client, session } = await inSession(door);
    const taken: string[] = [];
    const loop = (async () => {
      for await (const pushed of session) {
        using key = pushed.take();
        taken.push(key.keyId);
      }
    })();
    expect(await push(door, 1, 1)).toHaveLength(1);
    expect(await push(door, 2, 2)).toHaveLength(2);
    await client[Symbol.asyncDispose]();
    await loop;
    expect(taken).toEqual([keyIdOf(1, 0, 32), keyIdOf(2, 0, 32), keyIdOf(2, 1, 32)]);
  });
});
