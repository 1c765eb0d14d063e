// Design 15: a revoked certificate is out at every door, with what its application had opened; a renewed file is taken by itself.

import "reflect-metadata";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { X509Certificate } from "@peculiar/x509";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeWhole } from "../../src/cli/appliance/files.ts";
import { listFile, renewList, serialIn } from "../../src/cli/ca/lists.ts";
import { subjectOf } from "../../src/cli/ca/subjects.ts";
import { authority, certify, issue, openAuthority, type PemFiles } from "../../src/cli/provision/certificates.ts";
import {
  type AuthorityName,
  authorityFiles,
  CONTROLLER,
  controllerFiles,
  networkPlaces,
  nodePlaces,
} from "../../src/cli/provision/plan.ts";
import { appId } from "../../src/core/ids.ts";
import { expectQuick } from "../support/busy.ts";
import { reload, rewrite } from "./support/config-file.ts";
import { eventually } from "./support/eventually.ts";
import { akSupply } from "./support/keys.ts";
import type { Km } from "./support/km.ts";
import { type Network, startNetwork } from "./support/network.ts";
import { PAIR } from "./support/plan.ts";
import { reservePorts } from "./support/ports.ts";

/** Doors of km-a by the authority whose certificates they let in. */
const DOORS = {
  ak: "apps",
  etsi014: "apps",
  skip: "apps",
  etsi004: "apps",
  controller: "controllers",
  etsi015: "controllers",
  etsi020: "kms",
  monitoring: "monitors",
} as const;
type Door = keyof typeof DOORS;

let network: Network;
let ca: string;
beforeAll(async () => {
  network = await startNetwork({ ...PAIR, controller: true, doors: ["skip", "etsi004", "etsi015", "etsi020"] });
  ca = networkPlaces(network.dir).authorities;
  const km = network.km("km-a");
  await withMonitoring(km);
  for (const name of ["apps", "kms", "controllers", "monitors"] as const) {
    await renewList(ca, name, { serials: [], days: 1 });
  }
  rewrite(km, (tables) => {
    const lists = Object.entries({ ...DOORS, kx: "kms" } as Record<string, AuthorityName>);
    for (const [door, name] of lists) tables[door] = { ...(tables[door] as object), crl: [listFile(ca, name)] };
  });
  const { changed, renewed } = await reload(km);
  expect(changed).toHaveLength(9);
  expect(await km.control("certificates")).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ door: "skip", use: "own", name: "urn:qkm:km:km-a", subject: expect.any(String) }),
      expect.objectContaining({ door: "kx", use: "crl", until: expect.any(String) }),
    ]),
  );
  expect(renewed).toEqual(expect.arrayContaining([...Object.keys(DOORS), "kx"]));
  await network.stocked();
});
afterAll(async () => {
  await network?.[Symbol.asyncDispose]();
});

const MONITOR = (): PemFiles => ({ cert: join(network.dir, "monitor.pem"), key: join(network.dir, "monitor.key") });
const FOREIGN = (): PemFiles => ({
  cert: join(network.dir, "foreign.pem"),
  key: join(network.dir, "foreign.key"),
});

/** Gives a KM the metrics over TLS, and the network a monitor and a key manager of another network. */
async function withMonitoring(km: Km): Promise<void> {
  const kms = await openAuthority(authorityFiles(ca, "kms"));
  await issue(kms, FOREIGN(), { uri: "urn:qkm:km:foreign", usages: ["client"] });
  const from = await authority(authorityFiles(ca, "monitors"), "monitors");
  await issue(from, MONITOR(), { uri: "urn:qkm:monitor:prometheus-1", usages: ["client"] });
  await using ports = await reservePorts(1);
  const [port] = ports.ports.map(({ ak }) => ak);
  rewrite(km, (tables) => {
    const { certificate, key } = tables.etsi014 as Record<string, unknown>;
    const trust = authorityFiles(ca, "monitors").cert;
    tables.monitoring = { listen: `127.0.0.1:${port}`, certificate, key, trust };
  });
  await km.kill("SIGTERM");
  await km.start();
}

/** How long after a reload was asked for the last of these connections was closed, by the KM's own clock. */
async function closedWithinMs(km: Km, from: number, connections: number): Promise<number> {
  const lines = () => km.logLines(from);
  const isCut = (message: unknown): boolean => /^connection closed: .*revoked/.test(String(message));
  const isTaken = (event: unknown): boolean => event === "reloaded" || event === "credentials_renewed";
  await eventually(
    "the log has what was closed, and the reload",
    () =>
      lines().filter(({ message }) => isCut(message)).length >= connections &&
      lines().some(({ event }) => isTaken(event)),
  );
  const cut = lines().filter(({ message }) => isCut(message));
  expect(cut).toHaveLength(connections);
  const reloaded = lines().find(({ event }) => isTaken(event));
  const times = cut.map(({ time }) => Date.parse(String(time)));
  return Math.max(...times) - Date.parse(String(reloaded?.time));
}

const revoke = async (name: AuthorityName, path: string): Promise<void> => {
  await renewList(ca, name, { serials: [serialIn(readFileSync(path, "utf8"))], days: 1 });
};

/** A connection at a door of km-a, which is let in: it says nothing. */
async function standAt(door: Door, cert: string, key: string): Promise<TLSSocket> {
  const km = network.km("km-a");
  const from = km.logBytes;
  const listen = km.config[door]?.listen;
  const ca = network.app("app-a1").tls.trust;
  const socket = connect({ ...listen, cert, key, ca, checkServerIdentity: () => undefined }).on("error", () => {});
  socket.resume();
  await eventually(`a connection at ${door} is let in`, () =>
    km.logLines(from).some((line) => line.event === "connection_opened" && line.door === door),
  );
  return socket;
}

/** What the log of km-a says of a connection that is refused. */
async function refusalAt(door: Door, cert: string, key: string): Promise<unknown> {
  const km = network.km("km-a");
  const from = km.logBytes;
  const listen = km.config[door]?.listen;
  const ca = network.app("app-a1").tls.trust;
  const socket = connect({ ...listen, cert, key, ca, checkServerIdentity: () => undefined }).on("error", () => {});
  const refused = () => km.logLines(from).find((line) => line.event === "connection_refused" && line.door === door);
  await eventually(`a connection at ${door} is refused`, () => refused() !== undefined);
  socket.destroy();
  return refused()?.reason;
}

describe("a certificate is revoked", () => {
  test("its connections at every door for applications are closed, its sessions and all else stay out; others go on", async () => {
    const km = network.km("km-a");
    const { certificate, key } = network.app("app-a1").tls;
    const doors = ["ak", "etsi014", "skip", "etsi004"] as const;
    await using b1 = await network.app("app-b1").connectAk({ onSession: (offer) => void offer.accept() });
    await using a1 = await network.app("app-a1").connectAk();
    await using a2 = await network.app("app-a2").connectAk();
    await a1.openSession({ destination: appId("app-b1") });
    expect((await km.status()).sessions.initiator).toBe(1);
    const standing = [];
    for (const door of doors) standing.push(await standAt(door, certificate, key));
    const closed = standing.map((socket) => new Promise((resolve) => socket.once("close", resolve)));

    const from = km.logBytes;
    await revoke("apps", join(networkPlaces(network.dir).apps, "app-a1.pem"));
    // Unless the KM has looked at its files before.
    await reload(km);
    await Promise.all(closed);
    // The client's own is the fifth.
    expectQuick("closing them", await closedWithinMs(km, from, doors.length + 1), 1000);
    expect((await km.status()).sessions).toEqual({ initiator: 0, destination: 0 });
    for (const door of doors) expect(await refusalAt(door, certificate, key)).toBe("revoked");
    expect(await akSupply(a2, "app-b1")).toHaveLength(1);
    expect(await akSupply(b1, "app-a2")).toHaveLength(1);
  });

  test("of a controller: out at both its doors", async () => {
    const { cert, key } = controllerFiles(networkPlaces(network.dir).controllers, CONTROLLER);
    const [certificate, own] = [readFileSync(cert, "utf8"), readFileSync(key, "utf8")];
    const standing = [await standAt("controller", certificate, own), await standAt("etsi015", certificate, own)];
    const closed = standing.map((socket) => new Promise((resolve) => socket.once("close", resolve)));
    const km = network.km("km-a");
    const from = km.logBytes;
    await revoke("controllers", cert);
    await reload(km);
    await Promise.all(closed);
    expectQuick("closing them", await closedWithinMs(km, from, standing.length), 1000);
    for (const door of ["controller", "etsi015"] as const) {
      expect(await refusalAt(door, certificate, own)).toBe("revoked");
    }
  });

  test("of another network's key manager, and of a monitor: out at once", async () => {
    const km = network.km("km-a");
    for (const [door, { cert, key }] of [
      ["etsi020", FOREIGN()],
      ["monitoring", MONITOR()],
    ] as const) {
      const [certificate, own] = [readFileSync(cert, "utf8"), readFileSync(key, "utf8")];
      const standing = await standAt(door, certificate, own);
      const closed = new Promise((resolve) => standing.once("close", resolve));
      const from = km.logBytes;
      await revoke(DOORS[door], cert);
      await reload(km);
      await closed;
      expectQuick("closing it", await closedWithinMs(km, from, 1), 1000);
      expect(await refusalAt(door, certificate, own)).toBe("revoked");
    }
  });

  test("of a peer: the connection ends, and comes back by itself once the peer has another certificate", async () => {
    const { cert } = nodePlaces(network.km("km-b").dir).kx;
    const isConnected = async (): Promise<boolean | undefined> =>
      (await network.km("km-a").status()).peers.find(({ id }) => id === "km-b")?.connected;
    const km = network.km("km-a");
    const seen = km.logBytes;
    await revoke("kms", cert);
    // Nobody tells the KM: it looks at its files.
    await eventually("the peer is out", async () => (await isConnected()) === false);
    expectQuick("closing it", await closedWithinMs(km, seen, 1), 1000);
    const old = new X509Certificate(readFileSync(cert, "utf8"));
    const from = await openAuthority(authorityFiles(ca, "kms"));
    const renewed = await certify(from, await old.publicKey.export(), subjectOf(old));
    writeWhole(cert, `${renewed.toString("pem")}\n`, 0o644);
    await network.stocked();
    expect(await isConnected()).toBe(true);
  });
});
