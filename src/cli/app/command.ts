// `qkm app`: an application on the command line.

import type { Command } from "commander";
import { named, readNetwork } from "../common/network.ts";
import { withNetwork } from "../common/network-option.ts";
import { callerOf, openAk } from "./connection.ts";
import { whole } from "./numbers.ts";
import { jsonObject, lines, print } from "./print.ts";
import { registerSessionCommands } from "./sessions.ts";

interface Common {
  readonly as: string;
  readonly network: string;
  readonly table?: true;
}

/** Adds `qkm app`: an application on the command line. */
export function registerAppCommand(program: Command): void {
  const app = program
    .command("app")
    .summary("be an application: get keys on demand, by ID and in sessions")
    .description("Asks the home KM of an application for keys over Ak, with the application's certificate.");
  withNetwork(app.command("get-key"))
    .summary("new keys, shared with another application")
    .description("Gets new keys. The other application gets the same by their IDs, which are no secret.")
    .requiredOption("--as <app>", "the application that asks")
    .requiredOption("--with <app>", "the application that shall have the keys too")
    .option("--number <n>", "how many keys", whole, 1)
    .option("--size <bits>", "size of each in bits; the KM's default size if left out", whole)
    .option("--table", "one line per key: ID, key in base64")
    .addHelpText("after", "\nExample:\n  qkm app get-key --as app-a1 --with app-b1 --number 2 --size 512")
    .action(getKey);
  withNetwork(app.command("get-key-by-id"))
    .argument("<key-id...>", "IDs that the other application got with its keys")
    .summary("the keys that another application got, by their IDs")
    .description("Gets keys by their IDs: each once, and all or none.")
    .requiredOption("--as <app>", "the application that asks")
    .requiredOption("--from <app>", "the application that got the keys first")
    .option("--table", "one line per key: ID, key in base64")
    .addHelpText("after", "\nExample:\n  qkm app get-key-by-id --as app-b1 --from app-a1 KEY-ID")
    .action(getKeyById);
  registerSessionCommands(app);
}

async function getKey(options: Common & { readonly with: string; readonly number: number; readonly size?: number }) {
  const network = readNetwork(options.network);
  const other = named(network.apps, options.with, "application");
  await using door = await openAk(callerOf(network, options.as));
  await print(await door.supply(other.id, options.number, options.size), layoutOf(options));
}

async function getKeyById(keyIds: readonly string[], options: Common & { readonly from: string }) {
  const network = readNetwork(options.network);
  const initiator = named(network.apps, options.from, "application");
  await using door = await openAk(callerOf(network, options.as));
  await print(await door.fetch(initiator.id, keyIds), layoutOf(options));
}

const layoutOf = ({ table }: Common) => (table ? lines() : jsonObject());
