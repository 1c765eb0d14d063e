// Who is let in and who is not, and what is said about it.

import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { afterEach, beforeAll, expect, test, vi } from "vitest";
import { type Credentials, forIdentity } from "../support/certificates.ts";
import { until } from "../support/until.ts";
import { type Door, gone, openDoor, type Papers, papers } from "./net-kit.ts";

const DAY_MS = 86_400_000;
const URIS = ["urn:qkm:app:app-a1"];
let own: Papers;
beforeAll(async () => {
  own = await papers();
});
afterEach(() => {
  vi.useRealTimers();
});

const withCertificate = ({ certificate, key }: Credentials): ConnectionOptions => ({ cert: certificate, key });

/** Connects, sends at once, and tells the reason with which the door refused. */
async function refusal(door: Door, options: ConnectionOptions): Promise<unknown> {
  const socket = door.connect(options);
  socket.write("data that nobody may see");
  await gone(socket);
  await until("the refusal is logged", () => door.seen.count("connections_refused") > 0);
  expect(door.channels).toEqual([]);
  const [line] = door.seen.lines;
  expect(door.seen.count("connections_refused", { door: "ak", reason: String(line?.fields.reason) })).toBe(1);
  return line?.fields.reason;
}

test.each<[string, (own: Papers) => Promise<Credentials>]>([
  ["expired", ({ apps }) => apps.issue({ uris: URIS, untilMs: -DAY_MS / 2 })],
  ["not_yet_valid", ({ apps }) => apps.issue({ uris: URIS, fromMs: DAY_MS / 2 })],
  ["unknown_ca", ({ kms }) => kms.issue({ uris: URIS })],
  ["identity", ({ apps }) => apps.issue({})],
  ["identity", ({ apps }) => apps.issue({ uris: [...URIS, ...URIS] })],
  ["identity", ({ apps }) => apps.issue({ uris: ["urn:qkm:km:app-a1"] })],
  ["identity", ({ apps }) => apps.issue({ dns: ["x, URI:urn:qkm:app:app-a1"] })],
  ["not_admitted", ({ apps }) => forIdentity(apps, "app", "app-c1")],
])("a certificate is refused as %s, and the log tells which one it was", async (reason, make) => {
  await using door = await openDoor(own);
  const credentials = await make(own);
  expect(await refusal(door, withCertificate(credentials))).toBe(reason);
  const { serialNumber, fingerprint256, subject } = new X509Certificate(credentials.certificate);
  expect(door.seen.lines[0]?.fields).toMatchObject({ serial: serialNumber, sha256: fingerprint256, subject });
  const [noted] = door.audit.of("connection_refused", { door: "ak", reason });
  const isSigned = reason === "identity" || reason === "not_admitted";
  expect(noted?.fields.who).toBe(isSigned ? (door.seen.lines[0]?.fields.san ?? subject) : undefined);
});

test.each<[string, string, (own: Papers) => Promise<ConnectionOptions>]>([
  ["CERTIFICATE_REQUIRED", "no_certificate", async () => ({})],
  ["UNKNOWN_CA", "unknown_ca", async ({ kms }) => withCertificate(await kms.issue({ uris: URIS }))],
  [
    "CERTIFICATE_EXPIRED",
    "expired",
    async ({ apps }) => withCertificate(await apps.issue({ uris: URIS, untilMs: -1 })),
  ],
  ["ACCESS_DENIED", "not_admitted", async ({ apps }) => withCertificate(await forIdentity(apps, "app", "app-x"))],
  ["CERTIFICATE_UNKNOWN", "identity", async ({ apps }) => withCertificate(await apps.issue({}))],
])("RFC 8446 6.2: the alert %s tells a client that is refused as %s", async (alert, _reason, make) => {
  const options = await make(own);
  for (const ecdhCurve of ["X25519MLKEM768", "X25519"]) {
    await using door = await openDoor(own);
    const socket = door.connect({ ...options, ecdhCurve });
    socket.on("secureConnect", () => socket.write("a request that comes with the last flight"));
    const [error] = await once(socket, "error");
    expect(error.code).toMatch(new RegExp(`^ERR_SSL_.*_ALERT_${alert}$`));
    await until("the door has let it go", () => door.listener.connections === 0);
  }
});

test("who is let in is in the audit log, with the certificate", async () => {
  await using door = await openDoor(own);
  const channel = await door.dial(own.app);
  await until("it is let in", () => door.channels.length > 0);
  const [noted] = door.audit.of("connection_opened", { door: "ak", id: "app-a1" });
  expect(noted?.fields.certificate).toContain(new X509Certificate(own.app.certificate).serialNumber);
  channel.close("done");
});

test("a client without a certificate is refused", async () => {
  await using door = await openDoor(own);
  expect(await refusal(door, {})).toBe("no_certificate");
});

test("TLS 1.2, other ciphers and other groups are refused", async () => {
  const credentials = withCertificate(own.app);
  for (const [options, reason] of [
    [{ maxVersion: "TLSv1.2" }, "handshake"],
    [{ ciphers: "TLS_CHACHA20_POLY1305_SHA256" }, "handshake"],
    [{ ecdhCurve: "P-256" }, "group"],
  ] satisfies [ConnectionOptions, string][]) {
    await using door = await openDoor(own);
    expect(await refusal(door, { ...credentials, ...options })).toBe(reason);
  }
});

test("require_hybrid refuses a client that has X25519 alone", async () => {
  await using door = await openDoor(own, { groups: ["X25519MLKEM768"] });
  expect(await refusal(door, { ...withCertificate(own.app), ecdhCurve: "X25519" })).toBe("group");
});

test("what is not TLS is refused, and the connection is gone", async () => {
  await using door = await openDoor(own);
  const socket = connectTcp(door.listener.port, "127.0.0.1").on("error", () => {});
  socket.write("GET / HTTP/1.1\r\n\r\n");
  await until("the refusal is counted", () => door.seen.count("connections_refused", { reason: "handshake" }) === 1);
  await until("the connection is gone", () => door.listener.connections === 0);
});

test("connections beyond the limit are refused, and room comes back", async () => {
  await using door = await openDoor(own, { maxConnections: 1 });
  const first = await door.dial(own.app);
  const second = await door.dial(own.app);
  second.start({ received: () => {}, drained: () => {}, closed: () => {} });
  await until("it is refused", () => door.seen.count("connections_refused", { reason: "too_many" }) === 1);
  expect(door.channels).toHaveLength(1);
  first.close("enough");
  await until("the first is gone", () => door.listener.connections === 0);
  (await door.dial(own.app)).close("enough");
});

test("a client that says nothing is refused in time, and takes no handshake from those behind it", async () => {
  await using door = await openDoor(own, { arrivals: { handshakes: 1 }, timing: { handshakeMs: 100 } });
  const silent = connectTcp(door.listener.port, "127.0.0.1").on("error", () => {});
  await until("the silent one is first", () => door.listener.connections === 1);
  (await door.dial(own.app)).close("enough");
  await until("the silent one is refused", () => door.seen.count("connections_refused", { reason: "timeout" }) === 1);
  silent.destroy();
});

/** Sockets that stop after ClientHello; resolves when the door has answered the first of them. */
async function stalled(door: Door, count: number): Promise<Socket[]> {
  const hello = await helloOf(own);
  const sockets = Array.from({ length: count }, () =>
    connectTcp(door.listener.port, "127.0.0.1").on("error", () => {}),
  );
  const answered = Promise.race(sockets.map((socket) => once(socket, "data")));
  for (const socket of sockets) socket.resume().write(hello);
  await answered;
  return sockets;
}

test("a handshake that stalls for too long is refused, and those that wait for its place come through", async () => {
  await using door = await openDoor(own, { arrivals: { handshakes: 1 }, timing: { answerMs: 100 } });
  const [socket] = await stalled(door, 1);
  const behind = await Promise.all([door.dial(own.app), door.dial(own.app)]);
  expect(door.seen.count("connections_refused", { reason: "timeout" })).toBe(1);
  for (const channel of behind) channel.close("enough");
  socket?.destroy();
});

test("a handshake that was silent for its grace makes room for a newcomer, and its socket is left standing", async () => {
  const limits = { handshakes: 2, graceMs: 50 };
  await using door = await openDoor(own, { arrivals: limits, timing: { answerMs: 60_000, handshakeMs: 60_000 } });
  const sockets = await stalled(door, 5);
  (await door.dial(own.app)).close("enough");
  await until("all of them had their turn", () => door.seen.count("connections_refused", { reason: "displaced" }) >= 3);
  expect(sockets.every(({ readyState }) => readyState === "open")).toBe(true);
  for (const socket of sockets) socket.destroy();
  await until("the door has let them go", () => door.listener.connections === 0);
});

test("when as many are on their way as may be, the oldest silent one of the address with most makes room", async () => {
  await using door = await openDoor(own, { arrivals: { most: 4 } });
  const silent = (localAddress: string): Socket =>
    connectTcp({ port: door.listener.port, host: "127.0.0.1", localAddress }).on("error", () => {});
  const innocent = silent("127.0.0.3");
  await until("the innocent one is there", () => door.listener.connections === 1);
  const crowd: Socket[] = [];
  for (let count = 2; count <= 4; count++) {
    crowd.push(silent("127.0.0.2"));
    await until("another is there", () => door.listener.connections === count);
  }
  const [first] = crowd;
  const closed = first === undefined ? undefined : once(first, "close");
  (await door.dial(own.app)).close("enough");
  await closed;
  expect(door.seen.count("connections_refused", { reason: "displaced" })).toBe(1);
  expect([innocent, ...crowd.slice(1)].map(({ readyState }) => readyState)).toEqual(Array(3).fill("open"));
  for (const socket of [innocent, ...crowd]) socket.destroy();
});

test("handshakes that come to nothing are begun at a pace, those that end well are not held up", async () => {
  await using door = await openDoor(own, { arrivals: { failuresPerS: 5, failuresAtOnce: 2 } });
  for (let count = 0; count < 6; count++) (await door.dial(own.app)).close("enough");
  const began = performance.now();
  const strangers = Array.from({ length: 4 }, () => door.connect({}));
  await until("all are refused", () => door.seen.count("connections_refused", { reason: "no_certificate" }) === 4);
  expect(performance.now() - began).toBeGreaterThan(300);
  for (const socket of strangers) socket.destroy();
});

test("under a flood a refusal comes late, and takes no TLS meanwhile; the others go on", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  await using door = await openDoor(own, { arrivals: { failuresPerS: 1, failuresAtOnce: 8 } });
  const strangers: TLSSocket[] = [];
  for (let count = 0; count < 12; count++) strangers.push(door.connect({}));
  const refused = (): number => door.seen.count("connections_refused", { reason: "no_certificate" });
  await until("as many are refused as may be at once", () => refused() === 8);
  for (let count = 9; count <= strangers.length; count++) {
    vi.advanceTimersByTime(1_000);
    await until("one more is refused", () => refused() === count);
  }
  const standing = strangers.filter(({ readyState }) => readyState === "open");
  expect(standing.length).toBeGreaterThan(0);
  vi.advanceTimersByTime(1_000);
  (await door.dial(own.app)).close("enough");
  for (const socket of strangers) socket.destroy();
  await until("the door has let them go", () => door.listener.connections === 0);
});

/** The first bytes that a TLS client sends. */
async function helloOf({ kms }: Papers): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = connectTls({ host: "127.0.0.1", port, ca: kms.pem }).on("error", () => {});
  const [socket] = await once(server, "connection");
  const [hello] = await once(socket, "data");
  client.destroy();
  server.close();
  return hello;
}
