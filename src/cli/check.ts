// `qkm check`: everything that is wrong with a configuration, and what token and store lack for it.

import type { Command } from "commander";
import { openToken } from "../../drivers/pkcs11/process/open.ts";
import type { Written } from "../config/schema.ts";
import type { NodeConfig } from "../config.ts";
import { makeLog } from "../control/log.ts";
import { callControl, NotRunning } from "../control/socket/client.ts";
import type { KmReport } from "../control/status.ts";
import { asFault } from "../core/fault.ts";
import { materialComplaints } from "../node/credentials.ts";
import { findKeks } from "../vault/epochs/epochs.ts";
import { guardLabel } from "../vault/epochs/rollback-guard.ts";
import { DamagedStore } from "../vault/store/check/damaged-store.ts";
import type { StoreFindings } from "../vault/store/check/inspect.ts";
import { walkStore } from "../vault/store/check/walk.ts";
import { plural } from "./common/columns.ts";
import { askKm } from "./common/control.ts";
import { CommandError, EXIT } from "./common/exit.ts";
import { changeLines } from "./reload.ts";
import { openConfig, openWritten, reloadOf } from "./run.ts";

/** Adds `qkm check`. */
export function registerCheckCommand(program: Command): void {
  program
    .command("check")
    .argument("<node.toml>", "the node's configuration")
    .summary("tell everything that is wrong with a configuration, its token and its store")
    .description(
      "Reads a configuration and the files that it names, and tells every complaint with line and key. Then opens token and\n" +
        "store, if the KM does not run, and tells what is missing; nothing in them is changed. The PIN is tried once.\n" +
        `Exit code ${EXIT.config} for the configuration, ${EXIT.unavailable} for token and store.`,
    )
    .option("--files", "the configuration and its files alone")
    .option("--against <node.toml>", "the configuration of a KM that runs: what would a reload change, what a restart?")
    .addHelpText(
      "after",
      "\nExamples:\n  qkm check /etc/qkm/node.toml\n  qkm check new.toml --against /etc/qkm/node.toml",
    )
    .action(check);
}

async function check(path: string, options: { readonly files?: true; readonly against?: string }): Promise<void> {
  const { config, written } = openWritten(path, { materials: materialComplaints });
  const { node, links, peers, apps } = config;
  const amounts = [plural(links.length, "link"), plural(peers.length, "peer"), plural(apps.length, "application")].join(
    ", ",
  );
  say(`${path} is right: KM ${node.id} on board ${node.board}, ${amounts}`);
  if (options.against !== undefined) return await compare(path, written, options.against);
  if (options.files) return;
  const running = await reportOf(config);
  const complaints = running === undefined ? await lookInside(config) : complaintsOf(running);
  for (const complaint of complaints) say(`MISSING: ${complaint}`);
  if (complaints.length > 0) throw new CommandError(EXIT.unavailable, `${node.id} cannot work like this.`);
}

/** What a reload of this file would change at a KM that runs with another one. @throws ConfigError, Fault, CommandError */
async function compare(path: string, next: Written, against: string): Promise<void> {
  const { node } = openConfig(against);
  const running = (await askKm(node.controlSocket, "configuration")) as Written;
  for (const line of changeLines(reloadOf(path, running, next).changes)) say(line);
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Undefined when the KM does not run. @throws Fault as the KM answered */
async function reportOf({ node }: NodeConfig): Promise<KmReport | undefined> {
  try {
    return (await callControl(node.controlSocket, "status")) as KmReport;
  } catch (thrown) {
    if (thrown instanceof NotRunning) return undefined;
    throw thrown;
  }
}

function complaintsOf({ vault }: KmReport): string[] {
  say(`the KM runs: token ${vault.token}, store ${vault.store}`);
  return [
    ...(vault.token === "ready" ? [] : [`the token: ${vault.tokenReason ?? vault.token}`]),
    ...(vault.store === "ready" ? [] : ["the store cannot be written"]),
  ];
}

async function lookInside(config: NodeConfig): Promise<string[]> {
  const dir = config.node.storeDir;
  const store = await walkStore(dir).catch((thrown: unknown) => (thrown instanceof Error ? thrown : asFault(thrown)));
  if (store instanceof DamagedStore) {
    return [
      `the store ${dir} is damaged (${store.message}): the next start sets it aside and begins with an empty one; the keys in ` +
        "it are lost, and nothing else. Check the disk first",
    ];
  }
  if (store instanceof Error) return [`the store ${dir} cannot be read: ${store.message}`];
  if (store === undefined) say("the store is not there yet: the first start makes it");
  else say(`the store has ${plural(store.records, "sealed record")} and ${plural(store.rows, "row")}`);
  try {
    return await lookAtToken(config, store);
  } catch (thrown) {
    return [`the token: ${asFault(thrown).message}`];
  }
}

/** @throws Fault of the token */
async function lookAtToken({ node, token: settings }: NodeConfig, store?: StoreFindings): Promise<string[]> {
  await using token = await openToken(settings, makeLog("error", process.stderr));
  const { label, model, serialNumber, suggests } = token.info;
  const keks = await findKeks(token, node.id);
  const guard = await token.counter(guardLabel(node.id));
  say(
    `the token ${label} (${model}, serial number ${serialNumber}) has ${plural(keks.size, "key")} of this KM; auto is ${suggests}`,
  );
  if (store === undefined) return [];
  const lost = [...store.epochs].filter(([epoch]) => !keks.has(epoch));
  return [
    ...(store.serial === undefined || store.serial === serialNumber || keks.size > 0
      ? []
      : [`the token that sealed the store has serial number ${store.serial}: this one is another`]),
    ...lost.map(
      ([epoch, records]) =>
        `the token has no key of epoch ${epoch}: ${plural(records, "sealed record")} cannot be opened`,
    ),
    ...(store.guard !== undefined && store.guard < guard
      ? [`the store is a restored copy (guard ${store.guard}, the token knows ${guard}): what is in doubt is destroyed`]
      : []),
  ];
}
