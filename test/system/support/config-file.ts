// Changes node.toml of a KM under test, and has it read again.

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { parse, stringify } from "smol-toml";
import { callControl } from "../../../src/control/socket/client.ts";
import type { ReloadReport } from "../../../src/node/live-config.ts";
import type { Km } from "./km.ts";

/** A node.toml as tables. */
export interface Tables {
  [table: string]: unknown;
  apps: Record<string, unknown>[];
  peers: Record<string, unknown>[];
  links: Record<string, unknown>[];
}

const RELOAD_MS = 60_000;

/** Writes a KM's configuration as `change` leaves it, in one step. */
export function rewrite(km: Km, change: (tables: Tables) => void): void {
  const tables = parse(readFileSync(km.configPath, "utf8")) as unknown as Tables;
  change(tables);
  writeFileSync(`${km.configPath}.new`, stringify(tables), { mode: 0o600 });
  renameSync(`${km.configPath}.new`, km.configPath);
}

/** @throws Fault with every complaint */
export const reload = async (km: Km): Promise<ReloadReport> =>
  (await callControl(km.config.node.controlSocket, "reload", {}, RELOAD_MS)) as ReloadReport;
