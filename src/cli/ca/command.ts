// `qkm ca`: the certificates and revocation lists of the authorities that `qkm init` made.

import "reflect-metadata";
import { existsSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { X509Certificate } from "@peculiar/x509";
import { Argument, type Command, InvalidArgumentError } from "commander";
import { ID_PATTERN } from "../../core/ids.ts";
import { writeWhole } from "../appliance/files.ts";
import { CommandError, EXIT } from "../common/exit.ts";
import { USUAL_DIR } from "../common/network.ts";
import { certify, issue, newKeys, openAuthority, write } from "../provision/certificates.ts";
import { authorityFiles } from "../provision/plan.ts";
import { authoritiesAt, listFile, renewList, serialIn, signerOf } from "./lists.ts";
import { KINDS, subjectOf } from "./subjects.ts";

interface Options {
  readonly ca: string;
}

/** A list is to be signed anew before this time is over. */
const LIST_DAYS = 30;

const several = (value: string, before: readonly string[]): readonly string[] => [...before, value];

function daysOf(text: string): number {
  if (/^[1-9]\d{0,3}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a number of days from 1 to 9999.");
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Adds `qkm ca`. */
export function registerCaCommand(program: Command): void {
  const ca = program.command("ca").summary("issue, renew and revoke certificates with the authorities that qkm made");
  const withCa = (command: Command): Command =>
    command.option("--ca <dir>", "folder of the authorities, with their keys", join(USUAL_DIR, "ca"));
  const withDays = (command: Command): Command =>
    command.option("--days <n>", "until the list is to be signed anew", daysOf, LIST_DAYS);
  withCa(ca.command("issue"))
    .addArgument(new Argument("<kind>", "what it is for").choices(Object.keys(KINDS)))
    .argument("<id>", "of whom")
    .summary("issue a certificate with a new key")
    .option("--out <dir>", "folder for the certificate and its key", ".")
    .option("--host <name or address>", "what clients know a KM by; may be given several times", several, [])
    .addHelpText("after", "\nExample:\n  qkm ca issue app app-a3 --out .qkm/apps")
    .action(issueOne);
  withCa(ca.command("renew"))
    .argument("<cert.pem>", "a certificate that one of the authorities has signed")
    .summary("put a certificate in the place of one that will expire")
    .description(
      "The new one is for the same names and the same key, and takes the old one's place in one step. A KM takes a renewed\n" +
        "file within a minute. --new-key makes a new key, too: for one that may be known to others, then revoke the old one.",
    )
    .option("--new-key", "make a new key: cert.key beside cert.pem")
    .addHelpText("after", "\nExample:\n  qkm ca renew .qkm/km-a/tls/server.pem")
    .action(renewOne);
  withDays(withCa(ca.command("revoke")))
    .argument("<cert.pem>", "a certificate that one of the authorities has signed; a copy will do")
    .summary("put a certificate on its authority's revocation list")
    .description(
      "Writes the list beside the authority (apps.crl.pem). Bring it to each KM whose node.toml names it as `crl`: connections\n" +
        "under the certificate are closed as soon as the KM has it.",
    )
    .addHelpText("after", "\nExample:\n  qkm ca revoke stolen.pem --ca /media/offline/ca")
    .action(revokeOne);
  withDays(withCa(ca.command("crl")))
    .summary("sign the revocation lists anew, before they expire")
    .addHelpText("after", "\nExample:\n  qkm ca crl --ca /media/offline/ca --days 60")
    .action(renewLists);
}

interface IssueOptions extends Options {
  readonly out: string;
  readonly host: readonly string[];
}

async function issueOne(kind: keyof typeof KINDS, id: string, options: IssueOptions): Promise<void> {
  if (!ID_PATTERN.test(id))
    throw new CommandError(EXIT.usage, `"${id}" is no ID: use 1 to 64 of A-Z a-z 0-9 . _ : @ -`);
  const { authority, uri, usages } = KINDS[kind];
  const files = authorityFiles(resolve(options.ca), authority);
  if (!existsSync(files.cert) || !existsSync(files.key)) {
    throw new CommandError(EXIT.unavailable, `${options.ca} has no authority ${authority} with its key; see qkm init.`);
  }
  const name = kind.startsWith("km-") ? kind.slice("km-".length) : id;
  const path = join(resolve(options.out), name);
  const subject = { uri: `urn:qkm:${uri}:${id}`, usages, hosts: options.host };
  if (!(await issue(await openAuthority(files), { cert: `${path}.pem`, key: `${path}.key` }, subject))) {
    throw new CommandError(EXIT.failed, `${path}.pem and its key are there already; renew it, or remove them first.`);
  }
  say(`${path}.pem and ${path}.key: ${subject.uri}, by the authority ${authority}`);
}

async function renewOne(path: string, options: Options & { readonly newKey?: true }): Promise<void> {
  const pem = textOf(path);
  const dir = resolve(options.ca);
  const old = new X509Certificate(pem);
  const from = await openAuthority(authorityFiles(dir, signerOf(pem, dir)));
  const subject = subjectOf(old);
  if (options.newKey === undefined) {
    const renewed = await certify(from, await old.publicKey.export(), subject);
    writeWhole(path, `${renewed.toString("pem")}\n`, 0o644);
    say(`${path}: ${subject.uri} until ${renewed.notAfter.toISOString().slice(0, 10)}`);
    return;
  }
  const keys = await newKeys();
  const renewed = await certify(from, keys.publicKey, subject);
  await write({ cert: path, key: path.replace(/\.pem$/, ".key") }, renewed, keys.privateKey);
  say(`${path} and its key: ${subject.uri} until ${renewed.notAfter.toISOString().slice(0, 10)}`);
}

async function revokeOne(path: string, { ca, days }: Options & { readonly days: number }): Promise<void> {
  const pem = textOf(path);
  const dir = resolve(ca);
  const name = signerOf(pem, dir);
  const serial = serialIn(pem);
  const list = await renewList(dir, name, { serials: [serial], days });
  say(`${basename(path)} is revoked (serial number ${serial})`);
  say(`${list}: bring it to every KM that lets its certificates in`);
}

async function renewLists({ ca, days }: Options & { readonly days: number }): Promise<void> {
  const dir = resolve(ca);
  for (const name of authoritiesAt(dir)) {
    await renewList(dir, name, { serials: [], days });
    say(`${listFile(dir, name)}, for ${days} days`);
  }
}

/** @throws CommandError when it cannot be read, or is no certificate */
function textOf(path: string): string {
  try {
    const text = readFileSync(path, "utf8");
    serialIn(text);
    return text;
  } catch (cause) {
    throw new CommandError(EXIT.unavailable, `${path} cannot be read as a certificate (PEM).`, cause);
  }
}
