// `qkm reload`: a running KM reads its node.toml and every file that it names again.

import type { Command } from "commander";
import type { ConfigChange } from "../config/reload.ts";
import type { ReloadReport } from "../node/live-config.ts";
import { askKm } from "./common/control.ts";
import { readNetwork } from "./common/network.ts";
import { withNetwork } from "./common/network-option.ts";
import { openConfig } from "./run.ts";

/** Adds `qkm reload`. */
export function registerReloadCommand(program: Command): void {
  withNetwork(program.command("reload"))
    .argument("[node.toml]", "the configuration of a KM that runs; without it, all KMs of a network on this machine")
    .summary("let a running KM take its changed configuration")
    .description(
      "The KM reads node.toml and every file that it names, checks all of it, and takes all of it or nothing. Requests under\n" +
        "way go on. What needs a restart is named. `qkm check NEW --against node.toml` tells before what it would do.",
    )
    .addHelpText("after", "\nExample:\n  qkm reload /etc/qkm/node.toml")
    .action(reload);
}

async function reload(path: string | undefined, { network }: { readonly network: string }): Promise<void> {
  const kms = path === undefined ? readNetwork(network).kms.map(({ config }) => config) : [path];
  for (const config of kms) {
    const { node } = openConfig(config);
    const { changed, restart, renewed } = (await askKm(node.controlSocket, "reload", RELOAD_MS)) as ReloadReport;
    const lines = [
      ...changeLines([
        ...changed.map((one) => ({ ...one, isTaken: true })),
        ...restart.map((one) => ({ ...one, isTaken: false })),
      ]),
      ...renewed.map((table) => `[${table}] uses renewed TLS files`),
    ];
    for (const line of lines) process.stdout.write(`${node.id}: ${line}\n`);
  }
}

/** Opening the module of a new link may take long. */
const RELOAD_MS = 60_000;

/** Changes as lines: those that a reload takes, then those that need a restart. */
export function changeLines(changes: readonly Pick<ConfigChange, "key" | "what" | "isTaken">[]): readonly string[] {
  if (changes.length === 0) return ["nothing differs"];
  const line = ({ key, what, isTaken }: (typeof changes)[number]): string =>
    isTaken ? `${key} ${what}` : `${key} ${what}: takes a restart`;
  return [...changes.filter(({ isTaken }) => isTaken), ...changes.filter(({ isTaken }) => !isTaken)].map(line);
}
