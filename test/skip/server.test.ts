// Tests of src/skip: the door over real TLS, asked by routers that are not our own code.

import { beforeAll, describe, expect, it, test } from "vitest";
import { Fault, type FaultCode } from "../../src/core/fault.ts";
import { fakeId, fakeKey } from "../etsi014/fake-door.ts";
import { until } from "../support/until.ts";
import { hasOpenssl, openSkip, type Papers, PSK, papers, routerAsks } from "./kit.ts";

let net: Papers;
beforeAll(async () => {
  net = await papers();
});

const ID = fakeId(0).replaceAll("-", "");
const bodyOf = (answer: string): unknown => JSON.parse(answer.slice(answer.indexOf("\r\n\r\n") + 4));

describe("draft-cisco-skip: an encryptor with a certificate (TLS 1.3)", () => {
  it("is told what there is", async () => {
    await using skip = await openSkip(net);
    const { status, text } = await skip.ask("/capabilities");
    expect([status, JSON.parse(text)]).toEqual([
      200,
      { entropy: true, key: true, algorithm: "PRF", localSystemID: "km-a", remoteSystemID: ["km-b", "KP_*_C"] },
    ]);
  });

  it.each([
    ["/key?remoteSystemID=km-b", 256, "app-b1"],
    ["/key?remoteSystemID=km-b&size=128", 128, "app-b1"],
    ["/key?size=192&remoteSystemID=KP_9_C", 192, "app-c1"],
  ])("gets a new key: %s", async (path, sizeBits, destination) => {
    await using skip = await openSkip(net);
    const { status, text, headers } = await skip.ask(path);
    expect(skip.door.asked[0]?.request).toEqual({ door: "skip", app: "app-a1", destination, count: 1, sizeBits });
    expect([status, JSON.parse(text)]).toEqual([200, { keyId: ID, key: fakeKey(0, sizeBits / 8).toString("hex") }]);
    expect(headers).toMatchObject({ "content-type": "application/json", "cache-control": "no-store" });
    expect(skip.memory.every((byte) => byte === 0)).toBe(true);
    expect(skip.door.grants[0]).toMatchObject({ written: 1, disposed: 1 });
  });

  it.each([ID, ID.toUpperCase()])("gets the key of an ID: %s", async (id) => {
    await using skip = await openSkip(net);
    const { status, text } = await skip.ask(`/key/${id}?remoteSystemID=km-b`);
    const asked = skip.door.asked[0]?.request;
    expect(asked).toEqual({ door: "skip", app: "app-a1", initiator: "app-b1", keyIds: [fakeId(0)] });
    expect([status, JSON.parse(text)]).toEqual([200, { keyId: ID, key: fakeKey(0, 32).toString("hex") }]);
  });

  it.each([
    ["/entropy", 256],
    ["/entropy?minentropy=100", 104],
    ["/entropy?minentropy=4096", 4096],
  ])("gets random numbers, others each time: %s", async (path, bits) => {
    await using skip = await openSkip(net);
    const [one, other] = await Promise.all([skip.ask(path), skip.ask(path)]);
    const [first, second] = [one, other].map(({ text }) => JSON.parse(text) as { randomStr: string });
    expect(first).toEqual({ randomStr: expect.stringMatching(/^[0-9a-f]+$/), minentropy: bits });
    expect(first?.randomStr).toHaveLength(bits / 4);
    expect(first?.randomStr).not.toBe(second?.randomStr);
    expect(skip.memory.every((byte) => byte === 0)).toBe(true);
  });
});

describe("draft-cisco-skip: refusals", () => {
  test.each([
    ["/", 404],
    ["/keys", 404],
    ["/capabilities/x", 404],
    ["/key", 400],
    ["/key?remoteSystemID=", 400],
    ["/key?remoteSystemID=km-x", 400],
    ["/key?remoteSystemID=km-b&remoteSystemID=km-b", 400],
    ["/key?remoteSystemID=km-b&size=512", 400],
    ["/key?remoteSystemID=km-b&size=0256", 400],
    ["/key?remoteSystemID=km-b&size=", 400],
    [`/key/${ID}`, 400],
    [`/key/${ID.slice(1)}?remoteSystemID=km-b`, 400],
    [`/key/${fakeId(0)}?remoteSystemID=km-b`, 400],
    ["/key/?remoteSystemID=km-b", 400],
    ["/entropy?minentropy=0", 400],
    ["/entropy?minentropy=4097", 400],
    ["/entropy?minentropy=1e2", 400],
  ])("%s has the status %i and a sentence", async (path, status) => {
    await using skip = await openSkip(net);
    const reply = await skip.ask(path);
    expect([reply.status, typeof JSON.parse(reply.text).message]).toEqual([status, "string"]);
    expect(skip.door.asked).toEqual([]);
  });

  test.each(["POST", "HEAD", "DELETE"])("%s has the status 405", async (method) => {
    await using skip = await openSkip(net);
    expect(await skip.ask("/capabilities", { method })).toMatchObject({ status: 405, headers: { allow: "GET" } });
  });

  test.each([
    ["KEY_NOT_FOUND", 400],
    ["NOT_AUTHORIZED", 400],
    ["INSUFFICIENT_KEYS", 503],
    ["PEER_UNAVAILABLE", 503],
    ["HSM_UNAVAILABLE", 500],
    ["INTERNAL", 500],
  ] as readonly (readonly [FaultCode, number])[])("%s has the status %i", async (code, status) => {
    await using skip = await openSkip(net);
    skip.door.answers = new Fault(code, { retryAfterMs: 1500 });
    const reply = await skip.ask("/key?remoteSystemID=km-b");
    expect([reply.status, reply.headers["retry-after"]]).toEqual([status, status === 400 ? undefined : "2"]);
  });

  test("who gives up is not waited for", async () => {
    await using skip = await openSkip(net);
    skip.door.answers = "wait";
    const gone = new AbortController();
    const asking = skip.ask("/key?remoteSystemID=km-b", { signal: gone.signal }).catch(() => {});
    await skip.door.askedFor(1);
    gone.abort();
    await asking;
    await until("the request is given up", () => skip.door.asked[0]?.givenUp === 1);
  });
});

describe.skipIf(!hasOpenssl)(
  "draft-cisco-skip: a router with a pre-shared key (TLS 1.2, openssl s_client -psk)",
  () => {
    it("gets the same key as any other application", async () => {
      await using skip = await openSkip(net);
      const answer = await routerAsks(skip.server.port, "/key?remoteSystemID=km-b");
      expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(bodyOf(answer)).toEqual({ keyId: ID, key: fakeKey(0, 32).toString("hex") });
      expect(skip.door.asked[0]?.request).toMatchObject({ app: "app-a1", destination: "app-b1" });
    });

    it.each([
      ["another key", "router 1", PSK.replace("0", "1")],
      ["an unknown identity", "router 2", PSK],
    ])("with %s is refused, and the key is in no log", async (_what, identity, psk) => {
      await using skip = await openSkip(net);
      expect(await routerAsks(skip.server.port, "/capabilities", identity, psk)).toBe("");
      await until("it is refused", () => skip.told.count("connections_refused", { door: "skip" }) === 1);
      expect(JSON.stringify(skip.told.lines)).not.toContain(PSK.slice(8));
    });
  },
);
