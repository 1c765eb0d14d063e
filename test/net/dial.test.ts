// Dialling: whom the dialler accepts, and how it gives up.

import { createServer } from "node:net";
import { beforeAll, expect, test } from "vitest";
import { dial } from "../../src/net/dial.ts";
import { Refusal } from "../../src/net/refusal.ts";
import { authority, forIdentity, material } from "../support/certificates.ts";
import { recorder } from "../support/recorder.ts";
import { openDoor, type Papers, papers } from "./net-kit.ts";

let own: Papers;
beforeAll(async () => {
  own = await papers();
});

/** Dials the door and tells the refusal's reason. */
async function refused(dialling: Promise<unknown>): Promise<string> {
  const thrown: unknown = await dialling.then(
    () => undefined,
    (error: unknown) => error,
  );
  return thrown instanceof Refusal ? `${thrown.reason}: ${thrown.message}` : String(thrown);
}

test("another key manager than the one dialled is refused, though its certificate is good", async () => {
  await using door = await openDoor(own);
  expect(await refused(door.dial(own.app, { expect: "km-b" }))).toMatch(/^not_admitted: .*km-a: km-b was dialled$/);
});

test("a key manager with an expired certificate, of another authority or with an application's is refused", async () => {
  const stranger = await authority("stranger");
  const uris = ["urn:qkm:km:km-a"];
  for (const [credentials, reason] of [
    [await own.kms.issue({ uris, untilMs: -1000 }), /^expired: /],
    [await stranger.issue({ uris }), /^unknown_ca: /],
    [await forIdentity(own.kms, "app", "km-a"), /^identity: /],
  ] as const) {
    await using door = await openDoor({ ...own, km: credentials });
    expect(await refused(door.dial(own.app))).toMatch(reason);
  }
});

test("a refusal is logged with the certificate and counted", async () => {
  await using door = await openDoor(own);
  const seen = recorder();
  const { host, port } = door.listener;
  const options = { host, port, door: "kx", kind: "km", expect: "km-b", groups: ["X25519MLKEM768"] } as const;
  await refused(dial({ ...options, tls: material(own.app, own.kms) }, seen));
  expect(seen.count("connections_refused", { door: "kx", reason: "not_admitted" })).toBe(1);
  expect(seen.lines[0]?.fields).toMatchObject({ to: `${host}:${port}`, subject: "CN=km-a" });
});

test("a group that the door does not have ends the handshake", async () => {
  await using door = await openDoor(own, { groups: ["X25519MLKEM768"] });
  expect(await refused(door.dial(own.app, { groups: ["X25519"] }))).toMatch(/^handshake: /);
});

test("nobody there, silence, and an abort each reject", async () => {
  await using door = await openDoor(own);
  const server = createServer((socket) => socket.on("error", () => {}).resume());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  expect(await refused(door.dial(own.app, { port, timing: { handshakeMs: 50 } }))).toMatch(/^timeout: /);
  const abort = new AbortController();
  const dialling = refused(door.dial(own.app, { port, signal: abort.signal }));
  abort.abort();
  expect(await dialling).toBe("Error: dialling was given up");
  expect(await refused(door.dial(own.app, { port, signal: abort.signal }))).toBe("Error: dialling was given up");
  await new Promise((resolve) => server.close(resolve));
  expect(await refused(door.dial(own.app, { port }))).toMatch(/ECONNREFUSED/);
});
