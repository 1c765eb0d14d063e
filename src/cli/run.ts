// `qkm run`: one KM, the appliance's main program.

import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { BOARDS } from "../../boards/index.ts";
import type { Known } from "../config/checks.ts";
import { loadConfig, type ReadConfig, readConfig, reloaded } from "../config/read.ts";
import type { ConfigMerge } from "../config/reload.ts";
import type { Written } from "../config/schema.ts";
import type { NodeConfig } from "../config.ts";
import { CommandError, EXIT } from "./common/exit.ts";
import { KM_FLAGS } from "./common/km-flags.ts";

const MAIN = fileURLToPath(new URL("../main.ts", import.meta.url));
const KNOWN = { boards: Object.keys(BOARDS) };

/** A node's configuration. @throws ConfigError with every complaint */
export const openConfig = (path: string, more: Pick<Known, "materials"> = {}): NodeConfig =>
  loadConfig(path, { ...KNOWN, ...more });

/** The same with the values of its file. @throws ConfigError with every complaint */
export const openWritten = (path: string, more: Pick<Known, "materials">): ReadConfig =>
  readConfig(path, { ...KNOWN, ...more });

/** What a reload would make of it where `running` is in force. @throws ConfigError when it cannot be taken */
export const reloadOf = (path: string, running: Written, next: Written): ReadConfig & ConfigMerge =>
  reloaded(path, running, next, KNOWN);

/** `qkm run`: one KM in the foreground, by its node.toml. */
export function registerRunCommand(program: Command): void {
  program
    .command("run")
    .argument("<node.toml>", "the node's configuration")
    .summary("run one KM (the appliance's main program)")
    .description(
      "Runs one KM until SIGTERM or SIGINT. Logs JSON lines to stderr, and `ready` to stdout when all listen.",
    )
    .addHelpText("after", "\nExample:\n  qkm run /etc/qkm/node.toml")
    .action(run);
}

/** Becomes the KM: same process, the pinned Node, no core dumps, no debugger by signal. */
function run(path: string): void {
  if (!existsSync(path))
    throw new CommandError(EXIT.config, `there is no file ${path}; make one with: qkm init --help`);
  if (process.execve === undefined)
    throw new CommandError(EXIT.unavailable, "this Node cannot replace itself; run npm test once to set up.");
  const shell = ["sh", "-c", 'ulimit -c 0; exec "$0" "$@"'];
  process.execve("/bin/sh", [...shell, process.execPath, ...KM_FLAGS, MAIN, resolve(path)], process.env);
}
