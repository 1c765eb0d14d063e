// docs/kq.md: its table of messages and its frames in hex are what the code makes. KQ_DOCS=write brings them up to date.

import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { secretOf } from "../../src/core/memory/secret.ts";
import { codedBytes, encodeCobs } from "../../src/kq/framing/cobs.ts";
import { REPORT_BYTES, REPORT_DESCRIPTOR, REPORTS } from "../../src/kq/framing/reports.ts";
import { helloFrame, type Self } from "../../src/kq/greeting.ts";
import { type Guard, plainGuard, SealedGuard } from "../../src/kq/guard.ts";
import { LIMITS } from "../../src/kq/limits.ts";
import { encode, KQ, type KqName, type PayloadOf } from "../../src/kq/messages.ts";

const MANUAL = new URL("../../docs/kq.md", import.meta.url);

const nonces = {
  host: Buffer.from("101112131415161718191a1b1c1d1e1f", "hex"),
  module: Buffer.from("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf", "hex"),
};
const about = { link: "ab", blockBytes: 4_096 };
const host: Self = { ...about, side: "host", name: "qkm", run: 0 };
const module: Self = { ...about, side: "tx", name: "Sim Tx", run: 3 };

function onLine(frame: Buffer): Buffer {
  const coded = Buffer.alloc(codedBytes(frame.length) + 1);
  return coded.subarray(0, encodeCobs(frame, coded, 0));
}

const hex = (bytes: Buffer): string =>
  (bytes.toString("hex").match(/.{1,64}/g) ?? []).map((line) => `    ${line.replace(/(..)(?=.)/g, "$1 ")}`).join("\n");

const shown = (title: string, frame: Buffer): string => {
  const copy = Buffer.from(frame);
  return `${title}\n\n\`\`\`\nframe:\n${hex(copy)}\non the line:\n${hex(onLine(copy))}\n\`\`\``;
};

const made = <N extends KqName>(guard: Guard, name: N, number: number, values: PayloadOf<N>): Buffer =>
  guard.seal(name, number, (to) => encode(name, values, to));

const key = Buffer.from("00ff1e00c3a5", "hex");
const status = { qber: 21_300, keyRate: 150_000, held: 2, dropped: 0, alarms: ["detector-hot"] };

function plainFrames(): string {
  const guard = plainGuard(nonces);
  const ranges = [{ run: 3, first: 0, count: 2 }];
  return [
    shown("1. The host calls; it knows no random bytes of the module yet:", helloFrame(host, nonces.host)),
    shown("2. The module answers:", helloFrame(module, nonces.module, nonces.host)),
    shown(
      "3. The host confirms; the connection is open for it, and for the module when this arrives:",
      helloFrame(host, nonces.host, nonces.module),
    ),
    shown("4. The host grants room for 4 blocks (numbered 0):", made(guard, "credit", 0, { blocks: 4 })),
    shown("5. The module reports (numbered 0):", made(guard, "status", 0, status)),
    shown(
      "6. The first 6 bytes of block 0 of run 3 (numbered 1):",
      made(guard, "fragment", 1, { run: 3, sequence: 0, offset: 0, key }),
    ),
    shown(
      "7. The host acknowledges both (its acknowledgement 0):",
      made(guard, "acknowledgement", 0, { next: 2, resend: 0 }),
    ),
    shown(
      "8. Number 2 did not arrive, number 3 did: the host asks (its acknowledgement 1):",
      made(guard, "acknowledgement", 1, { next: 2, resend: 1 }),
    ),
    shown("9. Blocks 0 and 1 are sealed and on disk (numbered 1):", made(guard, "durable", 1, { blocks: ranges })),
  ].join("\n\n");
}

function sealedFrames(): string {
  using pairingKey = secretOf(Buffer.alloc(32, 0x5a));
  using guard = new SealedGuard("module", pairingKey, nonces);
  return [
    shown("2. The module's answer, with its proof:", helloFrame({ ...module, pairingKey }, nonces.module, nonces.host)),
    shown("3. The host's confirmation, with its own:", helloFrame({ ...host, pairingKey }, nonces.host, nonces.module)),
    shown("6. The same piece, sealed:", made(guard, "fragment", 1, { run: 3, sequence: 0, offset: 0, key })),
  ].join("\n\n");
}

function table(): string {
  const rows = Object.entries(KQ).map(([name, { code, from, order, text, fields }]) => {
    const list = Object.entries(fields).map(
      ([field, { kind, text: says }]) => `| | | | \`${field}\` | ${kind.size} | ${says} |`,
    );
    return [
      `| **${name}** | \`0x${code.toString(16).padStart(2, "0")}\` | ${from}, ${order} | | | ${text} |`,
      ...list,
    ].join("\n");
  });
  return `| message | code | from, order | field | bytes | what it says |\n| --- | --- | --- | --- | --- | --- |\n${rows.join("\n")}`;
}

function reports(): string {
  const code = REPORTS.coder();
  const shownIn = (title: string, frame: Buffer): string => {
    const target = Buffer.alloc(REPORTS.maxBytes);
    const end = code(Buffer.from(frame), target, 0);
    const each = Array.from({ length: end / REPORT_BYTES }, (_, at) =>
      hex(target.subarray(at * REPORT_BYTES, (at + 1) * REPORT_BYTES)),
    );
    return `${title}\n\n\`\`\`\n${each.join("\n\n")}\n\`\`\``;
  };
  return [
    shownIn(
      "3. The host confirms, as above: two reports, of 62 and 14 bytes:",
      helloFrame(host, nonces.host, nonces.module),
    ),
    shownIn("4. The host grants room for 4 blocks: one report:", made(plainGuard(nonces), "credit", 0, { blocks: 4 })),
    `The report descriptor of a module:\n\n\`\`\`\n${hex(Buffer.from(REPORT_DESCRIPTOR))}\n\`\`\``,
  ].join("\n\n");
}

const limits = (): string =>
  `| limit | value |\n| --- | --- |\n${Object.entries(LIMITS)
    .map(([name, value]) => `| \`${name}\` | ${value.toLocaleString("en")} |`)
    .join("\n")}`;

const PARTS: Readonly<Record<string, () => string>> = {
  table,
  plain: plainFrames,
  sealed: sealedFrames,
  reports,
  limits,
};

test("docs/kq.md shows the messages, limits and frames that the code makes", () => {
  const manual = readFileSync(MANUAL, "utf8");
  let fresh = manual;
  for (const [name, part] of Object.entries(PARTS)) {
    const place = new RegExp(`(<!-- made: ${name} -->\n)[^]*?(<!-- end -->)`);
    expect(fresh, `a place for ${name}`).toMatch(place);
    fresh = fresh.replace(place, (_all, begin: string, end: string) => `${begin}\n${part()}\n\n${end}`);
  }
  if (process.env.KQ_DOCS === "write") writeFileSync(MANUAL, fresh);
  else expect(manual).toBe(fresh);
});

test("codes are unique, and every message has its words", () => {
  const codes = Object.values(KQ).map(({ code }) => code);
  expect(new Set(codes).size).toBe(codes.length);
  for (const { text, fields } of Object.values(KQ)) {
    expect(text).not.toBe("");
    for (const field of Object.values(fields)) expect(field.text).not.toBe("");
  }
});
