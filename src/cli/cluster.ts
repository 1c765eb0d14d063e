// `qkm cluster`: the members of a KM that is several machines.

import type { Command } from "commander";
import type { NodeConfig } from "../config.ts";
import type { ClusterReport } from "../control/status.ts";
import { columns, plural } from "./common/columns.ts";
import { askKm } from "./common/control.ts";
import { CommandError, EXIT } from "./common/exit.ts";
import { NETWORK_FILE, readNetwork, usualDir } from "./common/network.ts";
import { withNetwork } from "./common/network-option.ts";
import { openConfig } from "./run.ts";

interface ClusterOptions {
  readonly network: string;
  readonly json?: true;
}

const NETWORK = `${usualDir(2)}/${NETWORK_FILE}`;

/** Adds `qkm cluster`. */
export function registerClusterCommand(program: Command): void {
  const cluster = program.command("cluster").summary("show the members of a KM, hand over from one to another");
  withNetwork(cluster.command("status"), NETWORK)
    .argument("[node.toml]", "the member that is asked; without it, the members of a network on this machine")
    .summary("which member is active, how far the standbys are, what the lease has left")
    .option("--json", "print what the members say as JSON")
    .addHelpText("after", "\nExample:\n  qkm cluster status /etc/qkm/node.toml")
    .action(status);
  withNetwork(cluster.command("hand-over"), NETWORK)
    .argument("[node.toml]", "the active member; without it, that of a network on this machine")
    .summary("let a standby take over from the active member, in order: nothing is lost")
    .addHelpText("after", "\nExample:\n  qkm cluster hand-over /etc/qkm/node.toml")
    .action(handOver);
}

/** Configurations of members. @throws CommandError when there are none */
function membersOf(node: string | undefined, { network }: ClusterOptions): readonly NodeConfig[] {
  if (node !== undefined) return [clustered(openConfig(node))];
  const members = readNetwork(network).kms.flatMap((km) => km.members ?? []);
  if (members.length === 0) throw new CommandError(EXIT.usage, `no KM in ${network} has several members.`);
  return members.map(({ config }) => openConfig(config));
}

function clustered(config: NodeConfig): NodeConfig {
  if (config.cluster !== undefined) return config;
  throw new CommandError(EXIT.usage, `${config.file} has no [cluster]: this KM is one machine.`);
}

const reportOf = async ({ node }: NodeConfig): Promise<ClusterReport> =>
  (await askKm(node.controlSocket, "cluster_status")) as ClusterReport;

async function status(node: string | undefined, options: ClusterOptions): Promise<void> {
  const configs = membersOf(node, options);
  const reports = await Promise.all(configs.map((config) => reportOf(config).catch(() => undefined)));
  const known = reports.filter((report) => report !== undefined);
  const lines = options.json ? [JSON.stringify(known, undefined, 2)] : table(configs, reports);
  process.stdout.write(`${lines.join("\n")}\n`);
  if (known.length < configs.length) process.exitCode = EXIT.unavailable;
}

function table(configs: readonly NodeConfig[], reports: readonly (ClusterReport | undefined)[]): string[] {
  const rows = configs.map(({ node, cluster }, at) => {
    const report = reports[at];
    const name = `${node.id}.${cluster?.member}`;
    if (report === undefined) return [name, "no answer", "–", "–", "–", "–"];
    const { state, generation, lagMs, leaseLeftMs, etcd } = report;
    return [name, state, `${generation}`, seconds(lagMs), seconds(leaseLeftMs), etcd];
  });
  // One member that was asked alone tells of the others what it knows.
  const others = configs.length > 1 ? [] : (reports[0]?.others ?? []);
  const behind = ({ behind: revisions }: (typeof others)[number]) =>
    revisions === 0 ? "0.0 s" : plural(revisions, "revision");
  const told = others.map((other) => [other.member, other.state, "–", behind(other), "–", "–"]);
  return columns([["member", "state", "generation", "behind", "lease left", "etcd"], ...rows, ...told]);
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

async function handOver(node: string | undefined, options: ClusterOptions): Promise<void> {
  for (const config of membersOf(node, options)) {
    const report = await reportOf(config).catch(() => undefined);
    if (node === undefined && report?.state !== "active") continue;
    await askKm(config.node.controlSocket, "cluster_hand_over");
    process.stdout.write(`${config.node.id}.${config.cluster?.member} hands over\n`);
    return;
  }
  throw new CommandError(EXIT.unavailable, "no member is active; see qkm cluster status.");
}
