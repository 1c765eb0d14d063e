// The application's end of Ak: keys as secrets, refusals, many requests at once, and connections that end.

import { createServer, type TLSSocket } from "node:tls";
import { inspect } from "node:util";
import { beforeAll, expect, test } from "vitest";
import { AkRefusal, connectAk, type SuppliedKey } from "../../src/ak/client.ts";
import { Fault } from "../../src/core/fault.ts";
import { appId, kmId } from "../../src/core/ids.ts";
import { material } from "../support/certificates.ts";
import { until } from "../support/until.ts";
import { openAk, type Papers, papers } from "./ak-kit.ts";
import { frame } from "./fake-channel.ts";
import { keyBytes, keyIdOf } from "./fake-door.ts";

const C1 = appId("app-c1");
let own: Papers;
beforeAll(async () => {
  own = await papers();
});

const bytesOf = ({ key }: SuppliedKey): Buffer => key.lend((bytes) => Buffer.from(bytes));

async function refusal(asked: Promise<unknown>): Promise<AkRefusal> {
  const thrown: unknown = await asked.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof AkRefusal) return thrown;
  throw new Error("it was no refusal", { cause: thrown });
}

test("keys arrive as secrets with their IDs, and are zero after dispose", async () => {
  await using door = await openAk(own);
  await using client = await door.client(own.a1);
  const keys = await client.getKeys({ destination: C1, count: 2, sizeBits: 512 });
  expect(keys.map(({ keyId }) => keyId)).toEqual([keyIdOf(0, 0, 64), keyIdOf(0, 1, 64)]);
  expect(keys.map(bytesOf)).toEqual([keyBytes(0, 0, 64), keyBytes(0, 1, 64)]);
  expect(inspect(keys)).toContain("[secret]");
  for (const key of keys) key[Symbol.dispose]();
  expect(() => keys.map(bytesOf)).toThrow("disposed");
  expect(client.group).toBe("X25519MLKEM768");
});

test("keys are fetched by their IDs, under the initiator's name", async () => {
  await using door = await openAk(own);
  await using client = await door.client(own.c1);
  const [key] = await client.getKeysById({ initiator: appId("app-a1"), keyIds: [keyIdOf(0, 0, 32)] });
  expect(key?.keyId).toBe(keyIdOf(0, 0, 32));
  expect(door.keys.asked).toEqual([{ door: "ak", app: "app-c1", initiator: "app-a1", keyIds: [keyIdOf(0, 0, 32)] }]);
});

test("a refusal tells its code, its sentence and when to come back", async () => {
  await using door = await openAk(own);
  await using client = await door.client(own.a1);
  door.keys.meet = (_, answer) => answer.refused(new Fault("QUOTA_EXCEEDED", { retryAfterMs: 1200 }));
  const { code, response, retryAfterMs } = await refusal(client.getKeys({ destination: C1 }));
  expect([code, retryAfterMs]).toEqual(["QUOTA_EXCEEDED", 1200]);
  expect(response).toBe("QUOTA_EXCEEDED: the application's quota is spent");
});

test("500 requests at once each get their own keys, also the longest", async () => {
  await using door = await openAk(own);
  await using client = await door.client(own.a1);
  const asked = Array.from({ length: 500 }, (_, index) =>
    client.getKeys({ destination: C1, sizeBits: index % 50 === 0 ? 32_704 : 256 }),
  );
  const keys = (await Promise.all(asked)).flat();
  expect(new Set(keys.map(({ keyId }) => keyId)).size).toBe(500);
  for (const [index, key] of keys.entries()) {
    const bytes = index % 50 === 0 ? 4088 : 32;
    const grant = Number.parseInt(key.keyId.slice(-12, -4), 16);
    expect(bytesOf(key).equals(keyBytes(grant, 0, bytes))).toBe(true);
  }
});

test("a request under way fails when the connection ends, since it may have used keys up", async () => {
  const door = await openAk(own);
  door.keys.hold();
  await using client = await door.client(own.a1);
  const asked = client.getKeys({ destination: C1 });
  await until("the request is there", () => door.keys.held.length === 1);
  const failed = expect(asked).rejects.toMatchObject({
    name: "AkUnanswered",
    mayBeServed: true,
    message: expect.stringMatching(
      /^the connection with the key manager has ended: .* may have been served all the same$/,
    ),
  });
  await door[Symbol.asyncDispose]();
  await failed;
});

test("a closed client answers nothing any more, whether asked before or after", async () => {
  await using door = await openAk(own);
  door.keys.hold();
  const client = await door.client(own.a1);
  const before = expect(client.getKeys({ destination: C1 })).rejects.toMatchObject({ mayBeServed: true });
  await until("the request is there", () => door.keys.held.length === 1);
  await client[Symbol.asyncDispose]();
  await before;
  await expect(client.getKeys({ destination: C1 })).rejects.toThrow("the client is closed; the request was not sent");
  expect(door.keys.held[0]?.givenUp).toBe(true);
});

test("a request ends with its own signal, and the others go on", async () => {
  await using door = await openAk(own);
  door.keys.hold();
  await using client = await door.client(own.a1);
  const stop = new AbortController();
  const given = client.getKeys({ destination: C1 }, { signal: stop.signal });
  const other = client.getKeys({ destination: C1 });
  await until("both are there", () => door.keys.held.length === 2);
  stop.abort(new Error("enough"));
  await expect(given).rejects.toThrow("enough");
  for (const { request, answer } of door.keys.held) answer.granted(door.keys.grantFor(request));
  expect((await other).map(({ keyId }) => keyId)).toEqual([keyIdOf(1, 0, 32)]);
  await expect(client.getKeys({ destination: C1 }, { signal: stop.signal })).rejects.toThrow("enough");
});

test("the client's signal closes it", async () => {
  await using door = await openAk(own);
  const stop = new AbortController();
  await using client = await door.client(own.a1, { signal: stop.signal });
  await client.getKeys({ destination: C1 });
  stop.abort();
  await expect(client.getKeys({ destination: C1 })).rejects.toThrow("the client is closed");
  await until("the connection is gone", () => door.listener.connections === 0);
});

test("a request that is not answered in time fails", async () => {
  await using door = await openAk(own);
  door.keys.hold();
  await using client = await door.client(own.a1, { timeoutMs: 30 });
  await expect(client.getKeys({ destination: C1 })).rejects.toThrow("no answer within 30 ms");
});

test("more requests than may be under way fail at once", async () => {
  await using door = await openAk(own);
  door.keys.hold();
  const client = await door.client(own.a1);
  const asked = Array.from({ length: 4096 }, () => client.getKeys({ destination: C1 }).catch(() => "gone"));
  await expect(client.getKeys({ destination: C1 })).rejects.toThrow("4096 requests have no answer yet");
  await client[Symbol.asyncDispose]();
  expect(new Set(await Promise.all(asked))).toEqual(new Set(["gone"]));
});

test("another key manager than the one named is not spoken to", async () => {
  await using door = await openAk(own);
  await expect(door.client(own.a1, { km: kmId("km-b") })).rejects.toThrow("km-b was dialled");
});

/** A key manager that answers whatever it hears with these bytes. */
async function answering(answer: Buffer): Promise<{ readonly port: number } & AsyncDisposable> {
  const sockets = new Set<TLSSocket>();
  const { certificate, key } = own.km;
  const server = createServer({ cert: certificate, key, ca: own.apps.pem, requestCert: true }, (socket) => {
    sockets.add(socket.on("error", () => {}).once("data", () => socket.write(answer)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test.each<[string, Buffer, RegExp]>([
  ["a frame that answers nothing", frame(0x2101, 1, { keys: [] }), /0x2101 answers nothing here/],
  ["another request's answer", frame(0x1205, 1, { session_ID: "", response: "" }), /0x1205 does not answer 0x2101/],
  ["no JSON", frame(0x1203, 1, []), /no JSON object/],
  ["a missing parameter", frame(0x1203, 1, { keys: [] }), /response is missing/],
  ["no base64", frame(0x1203, 1, { keys: [{ key: "A", key_ID: "x" }], response: "success" }), /not base64/],
])("%s from a key manager is an error of the request", async (_, answer, sentence) => {
  await using km = await answering(answer);
  const tls = material(own.a1, own.kms);
  await using client = await connectAk({ host: "127.0.0.1", port: km.port, tls, km: kmId("km-a") });
  await expect(client.getKeys({ destination: C1 })).rejects.toThrow(sentence);
});
