// The parts of docs/kx.md that are made: the tables of messages, and whole frames that a dialogue has sent.

import { Fault } from "../../src/core/fault.ts";
import type { ExtensionEntry, RelayOffer } from "../../src/keys/ports.ts";
import { KX } from "../../src/kx/messages.ts";
import { KxSession } from "../../src/kx/session.ts";
import { codeText, type Message } from "../../src/wire/message.ts";
import { ManualClock } from "../support/manual-clock.ts";
import { A, B, faultOf, offer, TestPorts } from "./fixture.ts";
import { memoryPair } from "./memory-channel.ts";

/** A page with each region between `<!-- made: NAME -->` and `<!-- end -->` made anew. */
export function withRegions(page: string, regions: Readonly<Record<string, string>>): string {
  return page.replace(/(<!-- made: (\w+) -->\n)[\s\S]*?(<!-- end -->)/g, (_, begin, name, end) => {
    const region = regions[name];
    if (region === undefined) throw new Error(`nothing makes the region ${name}`);
    return `${begin}\n${region}\n${end}`;
  });
}

/** One table for each message, in the order of the codes. */
export function messageTables(table: Readonly<Record<string, Message>>): string {
  return Object.entries(table)
    .sort(([, a], [, b]) => a.code - b.code)
    .map(([name, row]) => `### ${codeText(row.code)} ${titleOf(name)} (${row.clause})\n\n${parameterTable(row)}`)
    .join("\n");
}

function parameterTable({ parameters }: Message): string {
  const rows = Object.entries(parameters).map(
    ([name, { type, need, doc }]) => `| \`${name}\` | ${type.name} | ${need} | ${doc} |\n`,
  );
  return `| parameter | JSON | | meaning |\n| --- | --- | --- | --- |\n${rows.join("")}`;
}

/** `keyRelay` to `Key relay`. */
function titleOf(name: string): string {
  const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** A frame as it was sent, under the name that the page gives it. */
export interface WorkedFrame {
  readonly title: string;
  readonly bytes: Buffer;
}

const STATE: readonly ExtensionEntry[] = [
  { name: "qkm_state", part: "begin" },
  { name: "qkm_state", part: "link", link: "ab", share: "1:1", block_bytes: 32768, run: 1, highest: 57 },
  { name: "qkm_state", part: "holds", link: "ab", run: 1, blocks: "41,43-57" },
  { name: "qkm_state", part: "given", given: 5, proved: 4, given_up: "3" },
  { name: "qkm_state", part: "accepted", accepted: 0 },
  { name: "qkm_state", part: "end" },
];

/** What two dialogues say to each other: a relay that succeeds, one that fails, and a state. */
export async function workedFrames(): Promise<readonly WorkedFrame[]> {
  const ports = new TestPorts(new ManualClock());
  const [atA, atB] = memoryPair(A, B);
  const a = new KxSession(atA, { self: A, peer: B, dialect: "extended", defaultKeyBits: 256 }, ports);
  const b = new KxSession(atB, { self: B, peer: A, dialect: "extended", defaultKeyBits: 256 }, ports);
  const asked: RelayOffer = offer({ givenUp: "3" });
  await a.relay(asked, 1_000);
  ports.events.onRelayed = async () => Promise.reject(new Fault("BLOCK_NOT_HELD"));
  await faultOf(a.relay(asked, 1_000));
  await a.tell(STATE, 1_000);
  a.close("all is said");
  await Promise.all([a.gone, b.gone]);
  const [relay, , state] = atA.writes;
  const [success, failure, heard] = atB.writes;
  return [
    { title: "A relay under the scheme `link`, which also names a serial given up", bytes: relay },
    { title: "Its success", bytes: success },
    { title: "A failure: the answer to a second relay of that block", bytes: failure },
    { title: "A state", bytes: state },
    { title: "Its answer", bytes: heard },
  ].map(({ title, bytes }) => {
    if (bytes === undefined) throw new Error(`no frame for "${title}"`);
    return { title, bytes };
  });
}

export function framesPage(frames: readonly WorkedFrame[]): string {
  return frames.map(framePage).join("\n");
}

function framePage({ title, bytes }: WorkedFrame): string {
  const json = JSON.parse(bytes.subarray(10).toString("utf8")) as object;
  const lines = bytes.toString("hex").match(/.{1,64}/g) ?? [];
  const code = codeText(bytes.readUInt16BE(6));
  const indented = [...JSON.stringify(json, undefined, 1).split("\n"), "", ...lines].map((line) =>
    `    ${line}`.trimEnd(),
  );
  return `**${code}: ${title}**, ${bytes.length} bytes\n\n${indented.join("\n")}\n`;
}

export const regions = async (): Promise<Readonly<Record<string, string>>> => ({
  messages: messageTables(KX),
  frames: framesPage(await workedFrames()),
});
