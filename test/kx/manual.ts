// The parts of docs/kx.md and docs/ak.md that are made: the tables of messages, and whole frames of test/vectors.

import { KX } from "../../src/kx/payload/messages.ts";
import { codeText, type Message } from "../../src/wire/message.ts";
import type { Vector } from "./worked.ts";

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

/** A frame, under the name that the page gives it. */
export interface WorkedFrame {
  readonly title: string;
  readonly bytes: Buffer;
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

export const regions = (vectors: readonly Vector[]): Readonly<Record<string, string>> => ({
  messages: messageTables(KX),
  frames: framesPage(vectors.map(({ title, hex }) => ({ title, bytes: Buffer.from(hex, "hex") }))),
});
