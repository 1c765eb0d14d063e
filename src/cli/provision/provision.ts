// Provisions what is missing of a node: certificates, token, configuration. What is there stays as it is.

import { randomFillSync } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Board } from "../../../boards/board.ts";
import { initToken } from "../../../drivers/pkcs11/provision.ts";
import { type Authority, authority, issue, type PemFiles } from "./certificates.ts";
import { type NodeFile, nodeToml } from "./node-toml.ts";
import { type AuthorityName, authorityFiles, nodePlaces, tokenLabel } from "./plan.ts";

/** Reported of each thing made. */
export type Progress = (line: string) => void;

const COMMON_NAMES: Readonly<Record<AuthorityName, string>> = {
  km_servers: "qkm CA of the KMs' doors for applications",
  apps: "qkm CA of applications",
  kms: "qkm CA of the KMs' Kx",
  controllers: "qkm CA of QKDN controllers",
  etcd: "qkm CA of etcd",
  monitors: "qkm CA of monitors",
};

/** The authorities of a network in one folder, opened or made when first asked for. */
export interface Authorities {
  readonly dir: string;
  get(name: AuthorityName): Promise<Authority>;
}

/** The certificate authorities of a folder; each is made when it is first asked for. */
export function authoritiesIn(dir: string, say: Progress): Authorities {
  const open = new Map<AuthorityName, Promise<Authority>>();
  const make = (name: AuthorityName) => {
    const files = authorityFiles(dir, name);
    if (!existsSync(files.cert)) say(`certificate authority ${files.cert}`);
    return authority(files, COMMON_NAMES[name]);
  };
  return {
    dir,
    get(name) {
      const found = open.get(name) ?? make(name);
      open.set(name, found);
      return found;
    },
  };
}

/** The certificate of an application. */
export async function provisionApp(from: Authorities, id: string, files: PemFiles, say: Progress): Promise<void> {
  const made = await issue(await from.get("apps"), files, { uri: `urn:qkm:app:${id}`, usages: ["client"] });
  if (made) say(`certificate of application ${id}: ${files.cert}`);
}

/** The certificate of a QKDN controller. */
export async function provisionController(
  from: Authorities,
  id: string,
  files: PemFiles,
  say: Progress,
): Promise<void> {
  const subject = { uri: `urn:qkm:controller:${id}`, usages: ["client"] } as const;
  const made = await issue(await from.get("controllers"), files, subject);
  if (made) say(`certificate of controller ${id}: ${files.cert}`);
}

/** The certificate of a monitor, such as Prometheus. */
export async function provisionMonitor(from: Authorities, id: string, files: PemFiles, say: Progress): Promise<void> {
  const subject = { uri: `urn:qkm:monitor:${id}`, usages: ["client"] } as const;
  const made = await issue(await from.get("monitors"), files, subject);
  if (made) say(`certificate of monitor ${id}: ${files.cert}`);
}

/** Whoever gets a certificate and its key, and the folder that they go to. */
export interface Identity {
  readonly id: string;
  readonly dir: string;
  /** Names and addresses that applications know the KM by. */
  readonly hosts: readonly string[];
}

/** The certificates of a KM: one for its doors, one for Kx. */
export async function provisionIdentity(from: Authorities, { id, dir, hosts }: Identity, say: Progress): Promise<void> {
  const places = nodePlaces(dir);
  const uri = `urn:qkm:km:${id}`;
  const server = await issue(await from.get("km_servers"), places.server, { uri, usages: ["server"], hosts });
  const kx = await issue(await from.get("kms"), places.kx, { uri, usages: ["server", "client"] });
  if (server || kx) say(`certificates of KM ${id}: ${dirname(places.kx.cert)}`);
}

/** A SoftHSM token for a node, with a random PIN, if its board has SoftHSM; what its configuration says of it. */
export function provisionToken(id: string, dir: string, board: Board, say: Progress) {
  const places = nodePlaces(dir);
  const label = tokenLabel(id);
  if (!board.token.softhsm) return { tokenLabel: label, softhsmConf: undefined };
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const { softhsmConf, created } = initToken({
    dir: places.token,
    label,
    pinFile: places.pin,
    soPinFile: places.soPin,
    module: board.token.module,
  });
  if (created) say(`SoftHSM token "${label}": ${places.token}`);
  return { tokenLabel: label, softhsmConf };
}

/** The node's configuration file. */
export function provisionConfig(node: NodeFile, say: Progress): void {
  const path = nodePlaces(node.dir).config;
  if (existsSync(path)) return;
  writeFileSync(path, nodeToml(node), { flag: "wx", mode: 0o600 });
  say(`configuration ${path}`);
}

/** 32 random bytes that a module and its KM share. */
export function provisionPairingKey(path: string, say: Progress): void {
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const key = randomFillSync(Buffer.alloc(32));
  writeFileSync(path, key, { flag: "wx", mode: 0o600 });
  key.fill(0);
  say(`pairing key ${path}`);
}
