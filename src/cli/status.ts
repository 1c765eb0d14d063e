// `qkm status`: what running KMs say of themselves.

import { existsSync } from "node:fs";
import type { Command } from "commander";
import type { KmReport } from "../control/status.ts";
import { coloured } from "./common/colours.ts";
import { keyCounts, statusOf } from "./common/control.ts";
import { EXIT } from "./common/exit.ts";
import { readNetwork } from "./common/network.ts";
import { withNetwork } from "./common/network-option.ts";
import {
  directoryLines,
  type KmView,
  kmTable,
  LEGEND,
  linkTable,
  type Missing,
  memberTable,
  whyMissing,
} from "./common/report-tables.ts";
import { endpointText } from "./provision/node-toml.ts";
import { openConfig } from "./run.ts";

interface StatusOptions {
  readonly network: string;
  readonly json?: true;
}

/** `qkm status`: what one KM, or each of a network, tells of itself. */
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
  process.stdout.write(`${lines.map((line) => (options.json ? line : coloured(line))).join("\n")}\n`);
  if (views.some(({ report }) => report === undefined)) process.exitCode = EXIT.unavailable;
}

function tablesOf(views: readonly (KmView & { readonly missing: Missing })[]): readonly string[] {
  const members = memberTable(views);
  return [
    ...linkTable(views),
    "",
    ...kmTable(views),
    ...(members.length > 0 ? ["", ...members] : []),
    ...directoryLines(views),
    ...whyMissing(views),
    "",
    "what it shows",
    ...LEGEND.map((line) => `  ${line}`),
  ];
}

async function viewOf(path: string, pid: number | undefined): Promise<KmView & { readonly missing: Missing }> {
  const { node, metrics } = openConfig(path);
  const { host, port } = metrics.listen;
  const url = `http://${endpointText(host, port)}/metrics`;
  const [report, counts] = await Promise.all([
    reportOf(node.controlSocket).catch((thrown: unknown) => messageOf(thrown)),
    keyCounts(url).catch(
      (thrown: unknown) => `${url} does not answer (${messageOf(thrown)}); see [metrics] in ${path}`,
    ),
  ]);
  return {
    id: node.id,
    pid,
    report: typeof report === "string" ? undefined : report,
    counts: typeof counts === "string" ? undefined : counts,
    missing: {
      ...(typeof report === "string" && { report }),
      ...(typeof counts === "string" && { counts }),
    },
  };
}

/** What `fetch` hides in its cause counts most. */
function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return thrown.cause instanceof Error ? thrown.cause.message : thrown.message;
}

/** @throws Error that says why nobody answers */
async function reportOf(socket: string): Promise<KmReport> {
  if (existsSync(socket)) return await statusOf(socket);
  throw new Error(`its control socket ${socket} is not there, so it does not run; start it with: qkm run NODE.toml`);
}
