// `qkm appliance sign`: signs nodes' certificate requests with the authorities that `qkm init` made.

import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { createInterface } from "node:readline/promises";
import { CommandError, EXIT } from "../../common/exit.ts";
import { certify } from "../../provision/certificates.ts";
import { type AuthorityName, authorityFiles } from "../../provision/plan.ts";
import { authoritiesIn, type Progress } from "../../provision/provision.ts";
import { writeWhole } from "../files.ts";
import { type RequestContent, readRequest, requestLines } from "./request.ts";

/** Which requests are signed, by which authorities. */
export interface SignOptions {
  /** Folder of the authorities. */
  readonly ca: string;
  /** Folder for the certificates. */
  readonly out: string;
  readonly yes?: true;
}

/** Which authority certifies what: as the doors of a KM trust them. */
function authorityFor({ uri, usages }: RequestContent): AuthorityName {
  if (uri.startsWith("urn:qkm:app:")) return "apps";
  if (uri.startsWith("urn:qkm:controller:")) return "controllers";
  if (uri.startsWith("urn:qkm:monitor:")) return "monitors";
  return usages.includes("client") ? "kms" : "km_servers";
}

/** Shows each request, asks, then signs it. @throws CommandError; nothing is signed before all were read */
export async function signRequests(files: readonly string[], options: SignOptions, say: Progress): Promise<void> {
  const requests = [];
  for (const file of files) requests.push(await openRequest(file, options));
  const authorities = authoritiesIn(resolve(options.ca), say);
  for (const { content, out, from } of requests) {
    say(`${basename(out)}, by the authority ${from}:`);
    for (const line of requestLines(content)) say(`  ${line}`);
    if (!options.yes) await confirm();
    const certificate = await certify(await authorities.get(from), content.publicKey, content);
    writeWhole(out, `${certificate.toString("pem")}\n`, 0o644);
    say(`  signed until ${certificate.notAfter.toISOString().slice(0, 10)}: ${out}`);
  }
}

async function openRequest(file: string, { ca, out }: SignOptions) {
  const content = await readRequest(textOf(file), file);
  const from = authorityFor(content);
  if (content.usages.length === 0)
    throw new CommandError(EXIT.failed, `${file} asks for no use as TLS server or client.`);
  const { cert, key } = authorityFiles(resolve(ca), from);
  if (!existsSync(cert) || !existsSync(key)) {
    throw new CommandError(EXIT.unavailable, `${ca} has no authority ${from}; qkm init makes one: qkm init --help`);
  }
  const id = content.uri.split(":").slice(3).join("-");
  const name = content.uri.startsWith("urn:qkm:km:") ? `${id}-${from === "kms" ? "kx" : "server"}` : id;
  const path = join(resolve(out), `${name.replaceAll(/[^\w.@-]/g, "_")}.pem`);
  if (!existsSync(path)) return { content, from, out: path };
  throw new CommandError(EXIT.failed, `${path} is there already; remove it first, or name another folder with --out.`);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new CommandError(EXIT.unavailable, `${file} cannot be read.`, cause);
  }
}

/** @throws CommandError unless the person says yes */
async function confirm(): Promise<void> {
  if (!process.stdin.isTTY)
    throw new CommandError(EXIT.usage, "nobody can confirm here; say --yes to sign without asking.");
  const dialogue = createInterface({ input: process.stdin, output: process.stderr });
  const typed = await dialogue.question("Sign it? Compare the key with the node's screen, then type yes: ");
  dialogue.close();
  if (typed.trim() !== "yes") throw new CommandError(EXIT.failed, "this and what follows was not signed.");
}
