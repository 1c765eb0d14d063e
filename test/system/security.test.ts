// Who gets in, over which TLS, and as whom: two KMs, of which km-b requires the hybrid key exchange of applications.

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { ConnectionOptions } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Dialogue } from "../../src/ak/client/dialogue.ts";
import { IncomingSessions } from "../../src/ak/client/incoming.ts";
import { connectAk } from "../../src/ak/client.ts";
import { nodePlaces } from "../../src/cli/provision/plan.ts";
import { kmId } from "../../src/core/ids.ts";
import { dial } from "../../src/net/dial.ts";
import { recorder } from "../support/recorder.ts";
import { curl, hasCurl } from "./support/curl.ts";
import { eventually } from "./support/eventually.ts";
import { ask } from "./support/https.ts";
import { akFetch, idsOf } from "./support/keys.ts";
import type { Km } from "./support/km.ts";
import { DOORS, type DoorName, knock } from "./support/knock.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { PAIR } from "./support/plan.ts";
import { akRefusal } from "./support/refused.ts";
import { Sae } from "./support/sae.ts";
import { type Claims, type Stranger, signedBy, signedByImpostor } from "./support/strangers.ts";

const [KM_A, KM_B] = PAIR.kms;
if (KM_A === undefined || KM_B === undefined) throw new Error("a pair has two KMs");
const hybrid = { require_hybrid: true };

let network: Network;
beforeAll(async () => {
  const kms = [KM_A, { ...KM_B, config: { ak: hybrid, etsi014: hybrid } }];
  network = await startNetwork({ ...PAIR, kms });
  await network.stocked();
});
afterAll(() => network?.[Symbol.asyncDispose]());

/** At Kx the one that is dialled is the KM whose ID sorts last. */
const knocked = (door: DoorName): Km => network.km(door === "kx" ? "km-b" : "km-a");

/** Whose certificates a door takes, and one that it would take. */
const ADMITTED = {
  ak: { authority: "apps", uri: "urn:qkm:app:app-a1" },
  etsi014: { authority: "apps", uri: "urn:qkm:app:app-a1" },
  kx: { authority: "kms", uri: "urn:qkm:km:km-a" },
} as const satisfies Record<DoorName, object>;

/** What each presents, and the reason in the log. */
const STRANGERS: readonly [string, string, (door: DoorName) => Promise<Stranger>][] = [
  ["an expired certificate", "expired", (door) => claiming(door, { validFrom: -3, validUntil: -2 })],
  ["a certificate of tomorrow", "not_yet_valid", (door) => claiming(door, { validFrom: 2, validUntil: 3 })],
  [
    "a certificate of another CA of the network",
    "unknown_ca",
    (door) => signedBy(network.dir, "km_servers", { uris: [ADMITTED[door].uri] }),
  ],
  [
    "a certificate whose signature is no CA's",
    "certificate",
    (door) => signedByImpostor(network.dir, ADMITTED[door].authority, { uris: [ADMITTED[door].uri] }),
  ],
  ["a certificate of somebody unheard of", "not_admitted", (door) => claiming(door, { uris: [UNHEARD_OF[door]] })],
  ["two identities", "identity", (door) => claiming(door, { uris: [ADMITTED[door].uri, ELSEWHERE[door]] })],
  ["no identity", "identity", (door) => claiming(door, { uris: [] })],
  ["an identity of the other kind", "identity", (door) => claiming(door, { uris: [OTHER_KIND[door]] })],
];
const UNHEARD_OF = { ak: "urn:qkm:app:app-x", etsi014: "urn:qkm:app:app-x", kx: "urn:qkm:km:km-x" } as const;
const ELSEWHERE = { ak: "urn:qkm:app:app-b1", etsi014: "urn:qkm:app:app-b1", kx: "urn:qkm:km:km-x" } as const;
const OTHER_KIND = { ak: "urn:qkm:km:km-b", etsi014: "urn:qkm:km:km-b", kx: "urn:qkm:app:app-a1" } as const;

const claiming = (door: DoorName, claims: Partial<Claims>): Promise<Stranger> =>
  signedBy(network.dir, ADMITTED[door].authority, { uris: [ADMITTED[door].uri], ...claims });

/** Knocks, gets no byte, and finds the line about it in the log. */
async function refused(door: DoorName, options: ConnectionOptions) {
  const km = knocked(door);
  const from = km.logBytes;
  expect((await knock(km, door, options)).bytes).toBe(0);
  const lines = () => km.logLines(from).filter(({ event }) => event === "connection_refused");
  await eventually("the log tells of the refusal", () => lines().length > 0);
  const [line] = lines();
  expect(line).toMatchObject({ level: "warn", door });
  return line ?? { level: "none" };
}

describe.each(DOORS)("design 10: at %s", (door) => {
  test("who should get in does", async () => {
    const { certificate: cert, key } = await claiming(door, {});
    expect((await knock(knocked(door), door, { cert, key })).bytes).toBeGreaterThan(0);
    await network.stocked();
  });

  test.each(STRANGERS)(
    "%s is refused with a line in the log that names it and says why: %s",
    async (_what, reason, present) => {
      const stranger = await present(door);
      const { fingerprint256: sha256 } = new X509Certificate(stranger.certificate);
      const line = await refused(door, { cert: stranger.certificate, key: stranger.key });
      expect(line).toMatchObject({ reason, subject: "CN=stranger", serial: stranger.serial, sha256 });
      const metrics = await knocked(door).metrics();
      expect(metrics.sum("qkm_connections_refused_total", { door, reason })).toBeGreaterThan(0);
    },
  );

  test("nobody without a certificate gets in", async () => {
    expect(await refused(door, {})).toMatchObject({ reason: "no_certificate" });
  });

  test("TLS 1.2 is refused", async () => {
    const { certificate: cert, key } = await claiming(door, {});
    expect(await refused(door, { cert, key, maxVersion: "TLSv1.2" })).toMatchObject({ reason: "handshake" });
  });
});

describe("an application at a KM that is not its home is told where that is", () => {
  const strayed = () => ({ ...network.app("app-b1").tls, ...network.km("km-a").ak });

  test("over Ak", async () => {
    const { certificate, key, trust, host, port } = strayed();
    await using client = await connectAk({ host, port, tls: { certificate, key, trust }, km: kmId("km-a") });
    const { code, response } = await akRefusal(akFetch(client, "app-a1", ["any"]));
    expect([code, response]).toEqual(["NOT_AT_HOME", expect.stringContaining("km-b is the home of app-b1")]);
  });

  test("over ETSI 014", async () => {
    const { certificate: cert, key, trust: ca } = strayed();
    using sae = new Sae({ url: network.km("km-a").etsiUrl, cert, key, ca });
    const refusal = await sae.encKeys("app-a1").catch((thrown: unknown) => thrown);
    expect(refusal).toMatchObject({ status: 401, body: expect.stringContaining("km-b is the home of app-b1") });
  });
});

describe("design 10: certificates of the network at the wrong door", () => {
  const places = () => nodePlaces(network.km("km-b").dir);
  const pem = ({ cert, key }: { cert: string; key: string }) => ({
    cert: readFileSync(cert, "utf8"),
    key: readFileSync(key, "utf8"),
  });

  test("an application cannot open Kx", async () => {
    const { certificate: cert, key } = network.app("app-a1").tls;
    expect(await refused("kx", { cert, key })).toMatchObject({ reason: "unknown_ca", subject: "CN=app-a1" });
  });

  test.each(["ak", "etsi014"] as const)("a KM cannot open %s, with neither of its certificates", async (door) => {
    for (const files of [places().kx, places().server]) {
      expect(await refused(door, pem(files))).toMatchObject({ reason: "unknown_ca", subject: "CN=km-b" });
    }
  });

  test("a KM's certificate for applications cannot open Kx", async () => {
    expect(await refused("kx", pem(places().server))).toMatchObject({ reason: "unknown_ca" });
  });
});

test("design 3.3: another app's ID in a message changes nothing, and the log tells of it", async () => {
  const [km, { tls }] = [network.km("km-a"), network.app("app-a1")];
  const { log, meter } = recorder();
  const options = { door: "ak", ...km.ak, tls, kind: "km", expect: "km-a", groups: ["X25519MLKEM768"] } as const;
  const channel = await dial(options, { log, meter });
  const dialogue = new Dialogue(channel, new IncomingSessions(undefined, { maxSessions: 1, maxWaitingKeys: 1 }));
  const inTime = AbortSignal.timeout(120_000);
  const named = { application_source_ID: "app-a2", application_destination_ID: "app-b1" };
  const { keys } = await dialogue.ask("keyRequest", named, inTime);
  const ids = keys.map(({ keyId }) => keyId);
  const b1 = network.app("app-b1");
  const wanted = { key_IDs: ids.map((key_ID) => ({ key_ID })) };
  expect((await ask(b1, "app-a2/dec_keys", { body: wanted })).status).toBe(401);
  expect(idsOf(await b1.decKeys("app-a1", ids))).toEqual(ids);

  const [mine] = await b1.encKeys("app-a1");
  const fetch = {
    application_source_ID: "app-b1",
    application_destination_ID: "app-a2",
    key_IDs: [{ key_ID: mine?.id ?? "" }],
  };
  const [fetched] = (await dialogue.ask("keyRequestWithId", fetch, inTime)).keys;
  expect(fetched?.key.lend((bytes) => Buffer.from(bytes))).toEqual(mine?.key);
  const [other] = await b1.encKeys("app-a2");
  await using ak = await network.app("app-a1").connectAk();
  expect((await akRefusal(akFetch(ak, "app-b1", [other?.id ?? ""]))).code).toBe("NOT_AUTHORIZED");
  channel.close("done");
  await dialogue.ended;
  expect(km.logLines()).toContainEqual(
    expect.objectContaining({ level: "warn", app: "app-a1", application_source_ID: "app-a2" }),
  );
});

describe("field: strict clients", () => {
  test("the server's certificate has its IP address: node:https connects by it with all its checks on", async () => {
    const { status, json } = await ask(network.app("app-a1"), "app-b1/status");
    expect([status, json.source_KME_ID]).toEqual([200, "km-a"]);
  });

  test.skipIf(!hasCurl)("curl connects by IP address with --cacert and without -k, and gets keys", async () => {
    const { exit, status, body } = await curl(network, "app-a1", "app-b1/enc_keys?number=2&size=512");
    expect([exit, status]).toEqual([0, 200]);
    const { keys } = JSON.parse(body) as { keys: { key_ID: string; key: string }[] };
    expect(keys.map(({ key }) => Buffer.from(key, "base64").length)).toEqual([64, 64]);
    expect(keys.every(({ key, key_ID }) => key.length === 88 && key_ID.length === 36)).toBe(true);
    const data = ["-H", "Content-Type: application/json", "-d", '{"number":3}'];
    expect((await curl(network, "app-a1", "app-b1/enc_keys", data)).status).toBe(200);
  });

  test.skipIf(!hasCurl)("curl without TLS 1.3 gets nothing", async () => {
    const { exit, status } = await curl(network, "app-a1", "app-b1/status", ["--tls-max", "1.2"]);
    expect([exit, status]).toEqual([35, 0]);
  });
});

describe("design 10: the key exchange group", () => {
  const opened = async (km: string, door: DoorName, group: string): Promise<number> =>
    (await network.km(km).metrics()).sum("qkm_connections_opened_total", { door, group });
  const groupsInLog = (km: string, door: DoorName) =>
    network
      .km(km)
      .logLines()
      .flatMap((line) => (line.door === door && line.group !== undefined ? [line.group] : []));

  test.skipIf(!hasCurl)(
    "X25519 is enough for a plain curl where the hybrid one is not required: log and metrics tell",
    async () => {
      const before = await opened("km-a", "etsi014", "X25519");
      expect((await curl(network, "app-a1", "app-b1/status", ["--curves", "X25519"])).status).toBe(200);
      expect(await opened("km-a", "etsi014", "X25519")).toBe(before + 1);
      expect(groupsInLog("km-a", "etsi014").at(-1)).toBe("X25519");
    },
  );

  test.skipIf(!hasCurl)(
    "where it is required curl with X25519 alone is refused, with a reason in the log",
    async () => {
      const from = network.km("km-b").logBytes;
      const { status } = await curl(network, "app-b1", "app-a1/status", ["--curves", "X25519"]);
      expect(status).toBe(0);
      await eventually("the log tells of it", () =>
        network
          .km("km-b")
          .logLines(from)
          .some(({ door, reason }) => door === "etsi014" && reason === "group"),
      );
    },
  );

  test.each(["ak", "etsi014"] as const)("where it is required %s takes clients that have it", async (door) => {
    const { certificate: cert, key } = network.app("app-b1").tls;
    expect((await knock(network.km("km-b"), door, { cert, key })).bytes).toBeGreaterThan(0);
    expect(await opened("km-b", door, "X25519MLKEM768")).toBeGreaterThan(0);
    const x25519 = await knock(network.km("km-b"), door, { cert, key, ecdhCurve: "X25519" });
    expect(x25519.bytes).toBe(0);
    expect(await opened("km-b", door, "X25519")).toBe(0);
  });

  test("Kx takes the hybrid one alone", async () => {
    const { certificate: cert, key } = await claiming("kx", {});
    expect(await refused("kx", { cert, key, ecdhCurve: "X25519" })).toMatchObject({ reason: "group" });
    expect(new Set([...groupsInLog("km-a", "kx"), ...groupsInLog("km-b", "kx")])).toEqual(new Set(["X25519MLKEM768"]));
  });
});
