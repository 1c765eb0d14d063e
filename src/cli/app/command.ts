// `qkm app`: an application on the command line.

import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import type { SuppliedKey } from "../../ak/client.ts";
import { base64Length, encodeBase64 } from "../../wire/base64.ts";
import { named, readNetwork, USUAL_NETWORK } from "../network.ts";
import { callerOf, openAk } from "./connection.ts";

interface Common {
  readonly as: string;
  readonly network: string;
  readonly table?: true;
}

export function registerAppCommand(program: Command): void {
  const app = program
    .command("app")
    .summary("be an application: get keys on demand and by ID")
    .description("Asks the home KM of an application for keys over Ak, with the application's certificate.");
  app
    .command("get-key")
    .summary("new keys, shared with another application")
    .description("Gets new keys. The other application gets the same by their IDs, which are no secret.")
    .requiredOption("--as <app>", "the application that asks")
    .requiredOption("--with <app>", "the application that shall have the keys too")
    .option("--number <n>", "how many keys", whole, 1)
    .option("--size <bits>", "size of each in bits; the KM's default size if left out", whole)
    .option("--table", "one line per key: ID, key in base64")
    .option("--network <file>", "network.json of a running network", USUAL_NETWORK)
    .addHelpText("after", "\nExample:\n  qkm app get-key --as app-a1 --with app-b1 --number 2 --size 512")
    .action(getKey);
  app
    .command("get-key-by-id")
    .argument("<key-id...>", "IDs that the other application got with its keys")
    .summary("the keys that another application got, by their IDs")
    .description("Gets keys by their IDs: each once, and all or none.")
    .requiredOption("--as <app>", "the application that asks")
    .requiredOption("--from <app>", "the application that got the keys first")
    .option("--table", "one line per key: ID, key in base64")
    .option("--network <file>", "network.json of a running network", USUAL_NETWORK)
    .addHelpText("after", "\nExample:\n  qkm app get-key-by-id --as app-b1 --from app-a1 KEY-ID")
    .action(getKeyById);
}

function whole(text: string): number {
  if (/^\d{1,9}$/.test(text) && Number(text) > 0) return Number(text);
  throw new InvalidArgumentError("It must be a whole number above 0.");
}

async function getKey(options: Common & { readonly with: string; readonly number: number; readonly size?: number }) {
  const network = readNetwork(options.network);
  const other = named(network.apps, options.with, "application");
  await using door = await openAk(callerOf(network, options.as));
  await print(await door.supply(other.id, options.number, options.size), options);
}

async function getKeyById(keyIds: readonly string[], options: Common & { readonly from: string }) {
  const network = readNetwork(options.network);
  const initiator = named(network.apps, options.from, "application");
  await using door = await openAk(callerOf(network, options.as));
  await print(await door.fetch(initiator.id, keyIds), options);
}

/** Writes keys to stdout; from the keys to there their bytes are in one buffer, which is zeroed. Disposes the keys. */
async function print(keys: readonly SuppliedKey[], { table }: Common): Promise<void> {
  const [head, between, tail] = table ? ["", "", ""] : ['{"keys":[', ",", "\n]}\n"];
  const frame = (id: string) => (table ? [`${id}  `, "\n"] : [`\n  {"key_ID":"${id}","key":"`, '"}']);
  const room = keys.reduce((sum, { key }) => sum + base64Length(key.length) + 80, head.length + tail.length);
  const output = Buffer.alloc(room);
  let at = output.write(head, "latin1");
  for (const [index, supplied] of keys.entries()) {
    using one = supplied;
    const [before = "", after = ""] = frame(one.keyId);
    at += output.write(index === 0 ? before : between + before, at, "latin1");
    at = one.key.lend((bytes) => encodeBase64(bytes, 0, bytes.length, output, at));
    at += output.write(after, at, "latin1");
  }
  at += output.write(tail, at, "latin1");
  await new Promise((resolve) => process.stdout.write(output.subarray(0, at), resolve));
  output.fill(0);
}
