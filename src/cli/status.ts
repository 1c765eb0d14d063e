// `qkm status`: what running KMs say of themselves.

import { existsSync } from "node:fs";
import type { Command } from "commander";
import type { KmReport } from "../control/status.ts";
import { keyCounts, statusOf } from "./common/control.ts";
import { EXIT } from "./common/exit.ts";
import { readNetwork } from "./common/network.ts";
import { withNetwork } from "./common/network-option.ts";
import { type KmView, kmTable, linkTable, memberTable } from "./common/report-tables.ts";
import { endpointText } from "./provision/node-toml.ts";
import { openConfig } from "./run.ts";

interface StatusOptions {
  readonly network: string;
  readonly json?: true;
}

export function registerStatusCommand(program: Command): void {
  withNetwork(program.command("status"))
    .argument("[node.toml]", "one node; without it, the KMs of a network")
    .summary("show running KMs, their links and stock")
    .description(
      `Shows the KMs of a network, or one node. Exit code ${EXIT.unavailable} when one of them does not answer.`,
    )
    .option("--json", "print what the KMs say as JSON")
    .addHelpText("after", "\nExamples:\n  qkm status\n  qkm status /etc/qkm/node.toml --json")
    .action(status);
}

async function status(node: string | undefined, options: StatusOptions): Promise<void> {
  const kms = node === undefined ? readNetwork(options.network).kms : [{ config: node, pid: undefined }];
  const views = await Promise.all(kms.map(({ config, pid }) => viewOf(config, pid)));
  const lines = options.json
    ? [
        JSON.stringify(
          views.map(({ id, report }) => report ?? { km: id, ready: false }),
          undefined,
          2,
        ),
      ]
    : tablesOf(views);
  process.stdout.write(`${lines.join("\n")}\n`);
  if (views.some(({ report }) => report === undefined)) process.exitCode = EXIT.unavailable;
}

function tablesOf(views: readonly KmView[]): readonly string[] {
  const members = memberTable(views);
  return [...linkTable(views), "", ...kmTable(views), ...(members.length > 0 ? ["", ...members] : [])];
}

async function viewOf(path: string, pid: number | undefined): Promise<KmView> {
  const { node, metrics } = openConfig(path);
  const { host, port } = metrics.listen;
  const [report, counts] = await Promise.all([
    reportOf(node.controlSocket),
    keyCounts(`http://${endpointText(host, port)}/metrics`).catch(() => undefined),
  ]);
  return { id: node.id, pid, report, counts };
}

/** Undefined when no KM answers there. */
async function reportOf(socket: string): Promise<KmReport | undefined> {
  return existsSync(socket) ? statusOf(socket).catch(() => undefined) : undefined;
}
