// Provisions a KM that is several machines: a folder for each member and for each voter of etcd, to be taken to its machine.

import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { clientAddress, type EtcdPlan, etcdArgs, etcdClientFiles, provisionEtcd, provisionEtcdClient } from "./etcd.ts";
import type { NodeFile } from "./node-toml.ts";
import { type AuthorityName, authorityFiles, DOORS, nodePlaces, type Ports } from "./plan.ts";
import { type Authorities, type Progress, provisionConfig } from "./provision.ts";

/** What is made of a KM with several members. */
export interface MembersPlan {
  readonly count: number;
  /** IP addresses of etcd's voters, one for each; empty for three on this machine. */
  readonly voters: readonly string[];
  /** All members listen on the same ports; otherwise each on its own, for they share a machine. */
  readonly samePorts: boolean;
  /** What all members have in common. Its folder has their certificates and PIN; paths of its trust are replaced by copies. */
  readonly node: NodeFile;
}

/** The folders that were made, one for each machine. */
export interface MembersMade {
  readonly members: readonly string[];
  readonly voters: readonly EtcdPlan[];
}

const LOOPBACK = "127.0.0.1";
const THREE_HERE = [LOOPBACK, LOOPBACK, LOOPBACK] as const;
/** Ports that etcd usually has, for clients and for other voters; those of a second voter on a machine are ten higher. */
const [CLIENT_PORT, PEER_PORT] = [2379, 2380];

/** Where the voters listen, and their folders in that of the KM. */
function votersOf(dir: string, given: readonly string[]): readonly EtcdPlan[] {
  const hosts = given.length > 0 ? given : THREE_HERE;
  return hosts.map((host, at) => {
    const more = 10 * hosts.slice(0, at).filter((other) => other === host).length;
    const name = `etcd-${at + 1}`;
    return { name, dir: join(dir, name), host, ports: { client: CLIENT_PORT + more, peer: PEER_PORT + more } };
  });
}

/** What is there already stays as it is. */
export async function provisionMembers(from: Authorities, plan: MembersPlan, say: Progress): Promise<MembersMade> {
  const { node, count } = plan;
  await provisionEtcdClient(from, node.id, node.dir, say);
  const voters = votersOf(node.dir, plan.voters);
  for (const voter of voters) await provisionVoter(from, voter, { voters, say });
  const members = Array.from({ length: count }, (_, at) => join(node.dir, `${node.id}.${at + 1}`));
  for (const [at, dir] of members.entries()) {
    copyCommon(node.dir, dir);
    const trust = trustIn(from, dir, node);
    const etcd = trusted(from, dir, "etcd");
    const cluster = { member: String(at + 1), endpoints: voters.map(clientAddress), trust: etcd };
    const ports = plan.samePorts ? node.ports : portsAbove(node.ports, 100 * at);
    provisionConfig({ ...node, dir, trust, cluster, ports }, say);
  }
  return { members, voters };
}

const portsAbove = (ports: Ports, more: number): Ports =>
  Object.fromEntries(DOORS.map((door) => [door, ports[door] + more])) as Ports;

function trustIn(from: Authorities, dir: string, { trust }: NodeFile): NodeFile["trust"] {
  const controllers = trust.controllers === undefined ? {} : { controllers: trusted(from, dir, "controllers") };
  return { apps: trusted(from, dir, "apps"), kms: trusted(from, dir, "kms"), ...controllers };
}

/** A copy of an authority's certificate, never of its key, in the folder of a machine. */
function trusted({ dir: authorities }: Authorities, dir: string, name: AuthorityName): string {
  const copy = authorityFiles(join(dir, "ca"), name).cert;
  copyMissing(authorityFiles(authorities, name).cert, copy);
  return copy;
}

interface Voters {
  readonly voters: readonly EtcdPlan[];
  readonly say: Progress;
}

/** Its certificate, and its flags as Debian's `etcd-server` reads them (`/etc/default/etcd`). */
async function provisionVoter(from: Authorities, voter: EtcdPlan, { voters, say }: Voters): Promise<void> {
  await provisionEtcd(from, voter, say);
  trusted(from, voter.dir, "etcd");
  const path = join(voter.dir, "etcd.env");
  if (existsSync(path)) return;
  const lines = etcdArgs(voter, voters, join(voter.dir, "ca")).map(environmentLine);
  writeFileSync(path, `${lines.join("\n")}\n`, { flag: "wx", mode: 0o600 });
  say(`flags of etcd ${voter.name}: ${path}`);
}

/** `--max-txn-ops=8192` as `ETCD_MAX_TXN_OPS="8192"`. */
function environmentLine(flag: string): string {
  const [, name = "", value = "true"] = /^--([^=]+)(?:=(.*))?$/.exec(flag) ?? [];
  return `ETCD_${name.toUpperCase().replaceAll("-", "_")}="${value}"`;
}

/** What a machine of its own would be given: certificates, their keys and the PIN. */
export function copyCommon(common: string, own: string): void {
  const [from, to] = [nodePlaces(common), nodePlaces(own)];
  const pems = [
    [from.server, to.server],
    [from.kx, to.kx],
    [etcdClientFiles(common), etcdClientFiles(own)],
  ] as const;
  for (const [source, copy] of pems) {
    copyMissing(source.cert, copy.cert);
    copyMissing(source.key, copy.key);
  }
  copyMissing(from.pin, to.pin);
}

function copyMissing(source: string, copy: string): void {
  if (!existsSync(source) || existsSync(copy)) return;
  mkdirSync(dirname(copy), { recursive: true, mode: 0o700 });
  copyFileSync(source, copy);
}
