// The etcd of a KM with several members: its processes as docs/cluster.md describes them, and its certificates.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CommandError, EXIT } from "../common/exit.ts";
import { issue, type PemFiles } from "./certificates.ts";
import { endpointText } from "./node-toml.ts";
import { authorityFiles } from "./plan.ts";
import type { Authorities, Progress } from "./provision.ts";

/** One voter of the cluster. */
export interface EtcdPlan {
  readonly name: string;
  readonly dir: string;
  readonly host: string;
  /** For key managers, and for the other voters. */
  readonly ports: { readonly client: number; readonly peer: number };
}

const filesOf = ({ dir }: Pick<EtcdPlan, "dir">): PemFiles => ({
  cert: join(dir, "etcd.pem"),
  key: join(dir, "etcd.key"),
});

/** The certificate with which a member of a KM comes to etcd. */
export const etcdClientFiles = (nodeDir: string): PemFiles => ({
  cert: join(nodeDir, "tls", "etcd.pem"),
  key: join(nodeDir, "tls", "etcd.key"),
});

/** Where clients reach this voter, as host:port. */
export const clientAddress = ({ host, ports }: EtcdPlan): string => endpointText(host, ports.client);
/** Where clients reach this voter, as a URL. */
export const clientUrl = ({ host, ports }: EtcdPlan): string => `https://${endpointText(host, ports.client)}`;
const peerUrl = ({ host, ports }: EtcdPlan): string => `https://${endpointText(host, ports.peer)}`;

/** Both usages: etcd dials its peers, and its gateway dials itself, with the same certificate. */
export async function provisionEtcd(from: Authorities, plan: EtcdPlan, say: Progress): Promise<void> {
  const subject = {
    uri: `urn:qkm:etcd:${plan.name}`,
    usages: ["server", "client"],
    hosts: [plan.host, "localhost"],
  } as const;
  const made = await issue(await from.get("etcd"), filesOf(plan), subject);
  if (made) say(`certificate of etcd ${plan.name}: ${filesOf(plan).cert}`);
}

/** Makes a member's certificate for etcd. */
export async function provisionEtcdClient(
  from: Authorities,
  km: string,
  nodeDir: string,
  say: Progress,
): Promise<void> {
  const files = etcdClientFiles(nodeDir);
  const made = await issue(await from.get("etcd"), files, { uri: `urn:qkm:km:${km}`, usages: ["client"] });
  if (made) say(`certificate of KM ${km} for etcd: ${files.cert}`);
}

/** Flags of one voter; docs/cluster.md says why each of them. */
export function etcdArgs(plan: EtcdPlan, all: readonly EtcdPlan[], authorities: string): readonly string[] {
  const { cert, key } = filesOf(plan);
  const trust = authorityFiles(authorities, "etcd").cert;
  const flags = {
    name: plan.name,
    "data-dir": join(plan.dir, "data"),
    "listen-client-urls": clientUrl(plan),
    "advertise-client-urls": clientUrl(plan),
    "listen-peer-urls": peerUrl(plan),
    "initial-advertise-peer-urls": peerUrl(plan),
    "initial-cluster": all.map((one) => `${one.name}=${peerUrl(one)}`).join(","),
    "initial-cluster-state": "new",
    "cert-file": cert,
    "key-file": key,
    "trusted-ca-file": trust,
    "peer-cert-file": cert,
    "peer-key-file": key,
    "peer-trusted-ca-file": trust,
    "max-request-bytes": String(10 << 20),
    "max-txn-ops": "8192",
    "snapshot-count": "5000",
    "auto-compaction-mode": "periodic",
    "auto-compaction-retention": "5m",
    "quota-backend-bytes": String(4 * 2 ** 30),
    logger: "zap",
    "log-outputs": "stdout",
  };
  return [
    "--client-cert-auth",
    "--peer-client-cert-auth",
    ...Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`),
  ];
}

const PLACES = ["/usr/bin/etcd", "/usr/local/bin/etcd"];

const PACKAGE = "etcd-server";

/** Undefined where etcd is not installed. */
const etcdProgram = (): string | undefined => PLACES.find((path) => existsSync(path));

/** Debian's etcd, installed where it is missing and may be. @throws CommandError */
export function installEtcd(say: Progress): string {
  const found = etcdProgram();
  if (found !== undefined) return found;
  say(`installing the Debian package ${PACKAGE}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const install = ["-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends", PACKAGE];
  for (const args of [["update", "-q"], install]) spawnSync("apt-get", args, { env });
  const installed = etcdProgram();
  if (installed !== undefined) return installed;
  const sentence = `a KM with several members needs etcd; run this once and start again: sudo apt-get install ${PACKAGE}.`;
  throw new CommandError(EXIT.unavailable, sentence);
}
