// TLS of the door for those who need less than the default: version 1.2, other groups and suites.

import { type ConnectionOptions, connect } from "node:tls";
import { beforeAll, expect, it } from "vitest";
import type { DoorTls } from "../../src/core/tls-choices.ts";
import { startEtsi014 } from "../../src/etsi014/server.ts";
import { type Authority, authority, type Credentials, forIdentity, material } from "../support/certificates.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { type Recorder, recorder } from "../support/recorder.ts";
import { rawOn } from "./bench-service.ts";
import { FakeDoor } from "./fake-door.ts";

let ca: Authority;
let km: Credentials;
let app: Credentials;
beforeAll(async () => {
  ca = await authority("ca");
  [km, app] = await Promise.all([forIdentity(ca, "km", "km-a"), forIdentity(ca, "app", "app-a1")]);
});

/** The answer to a client that offers this, as far as there is one, and what was logged and counted. */
async function answered(
  door: Partial<DoorTls>,
  client: ConnectionOptions,
): Promise<{ readonly text: string; readonly told: Recorder }> {
  const told = recorder();
  await using server = await startEtsi014(
    {
      ...{ listen: { host: "127.0.0.1", port: 0 }, tls: material(km, ca), requireHybrid: false },
      ...{ mostSlaves: 0, maxConnections: 9, memory: new Uint8Array(65_536), ...door },
    },
    { door: new FakeDoor(), clock: new ManualClock(), log: told.log, meter: told.meter, admit: () => undefined },
  );
  const own = { cert: app.certificate, key: app.key, ca: ca.pem };
  const socket = connect({ host: "127.0.0.1", port: server.port, ...own, ...client }).on("error", () => {});
  using raw = rawOn(socket);
  socket.write("GET /api/v1/keys/app-b1/status HTTP/1.1\r\nHost: a\r\n\r\n");
  const text = await raw.received((got) => got.endsWith("}")).catch(() => "");
  return { text, told };
}

/** What a client that offers this gets: version and suite, and the group in the log; undefined when it is refused. */
async function negotiated(door: Partial<DoorTls>, client: ConnectionOptions): Promise<object | undefined> {
  const { text, told } = await answered(door, client);
  if (!text.startsWith("HTTP/1.1 200")) return undefined;
  const { tls, cipher, group } = told.lines.find(({ fields }) => fields.event === "connection_opened")?.fields ?? {};
  return { tls, cipher, group };
}

const OLD: ConnectionOptions = { maxVersion: "TLSv1.2" };
const ECDHE = "ECDHE-ECDSA-AES256-GCM-SHA384";

it("by default TLS 1.2, P-256 and AES-128 are refused", async () => {
  expect(await negotiated({}, {})).toMatchObject({ tls: "TLSv1.3", group: "X25519MLKEM768" });
  expect(await negotiated({}, OLD)).toBeUndefined();
  expect(await negotiated({}, { ecdhCurve: "P-256" })).toBeUndefined();
  expect(await negotiated({}, { ciphers: "TLS_AES_128_GCM_SHA256" })).toBeUndefined();
});

it("min_tls 1.2: ECDHE with AES-256-GCM, and TLS 1.3 as before for those who have it", async () => {
  const door = { minTls: "1.2" } as const;
  expect(await negotiated(door, OLD)).toEqual({ tls: "TLSv1.2", cipher: ECDHE, group: "X25519" });
  expect(await negotiated(door, {})).toMatchObject({ tls: "TLSv1.3", group: "X25519MLKEM768" });
  expect(await negotiated(door, { ...OLD, ecdhCurve: "P-256" })).toBeUndefined();
  expect(await negotiated(door, { ecdhCurve: "P-256" })).toBeUndefined();
  expect(await negotiated(door, { ecdhCurve: "P-256:X25519" })).toMatchObject({ group: "X25519" });
  expect(await negotiated({ ...door, groups: ["P-256"] }, { ...OLD, ecdhCurve: "P-256" })).toMatchObject({
    group: "P-256",
  });
  expect(await negotiated(door, { ...OLD, ciphers: "ECDHE-ECDSA-AES256-SHA384" })).toBeUndefined();
  expect(await negotiated(door, { maxVersion: "TLSv1.1", minVersion: "TLSv1.1" })).toBeUndefined();
});

it("over TLS 1.2, where no alert is left, a refusal is a 401 that says why, and nothing is done", async () => {
  const door = { minTls: "1.2" } as const;
  const { certificate, key } = await ca.issue({ uris: ["urn:qkm:app:app-a1"], untilMs: -1 });
  for (const [client, reason, why] of [
    [{ cert: certificate, key }, "expired", "has expired"],
    [{ cert: "", key: "" }, "no_certificate", "sent no certificate"],
  ] as const) {
    const { text, told } = await answered(door, { ...OLD, ...client });
    expect(text).toMatch(/^HTTP\/1\.1 401 /);
    expect(text).toContain(why);
    expect(told.count("connections_refused", { door: "etsi014", reason })).toBe(1);
  }
});

it("groups and ciphers are what the door was told, the preferred group first", async () => {
  const door: Partial<DoorTls> = {
    groups: ["P-384", "P-256"],
    ciphers: ["TLS_AES_128_GCM_SHA256"],
  };
  const suite = { tls: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256" };
  expect(await negotiated(door, { ecdhCurve: "P-256:P-384" })).toEqual({ ...suite, group: "P-384" });
  expect(await negotiated(door, { ecdhCurve: "P-256" })).toEqual({ ...suite, group: "P-256" });
  expect(await negotiated(door, { ecdhCurve: "X25519" })).toBeUndefined();
});
