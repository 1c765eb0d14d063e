// A vault that passes a relayed key on has key and pads in its locked memory only, and after the job nowhere.

import { randomBytes } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { slowPoly1305 } from "../support/slow-poly1305.ts";
import { eventually } from "../system/support/eventually.ts";
import { TestProcess } from "../system/support/process.ts";
import { temporaryFolder } from "./support/folder.ts";
import { copyOf, obstacleTo } from "./support/process-memory.ts";
import { isVaults, scan, summary } from "./support/scan.ts";
import { Secrets } from "./support/secrets.ts";
import { BLOCK_BYTES, CONTEXT, FIRST, PADS, SECOND } from "./support/transit.ts";

const TRANSIT = new URL("support/transit.ts", import.meta.url).pathname;

const cut = (block: Buffer, { offset, length }: { readonly offset: number; readonly length: number }) =>
  block.subarray(offset, offset + length);

/** Writes down what comes to the node; what it must not be found with. */
function prepare(folder: string): { key: Buffer; padIn: Buffer; padOut: Buffer } {
  const [first, second, third, fourth] = PADS.map(() => randomBytes(BLOCK_BYTES));
  if (!first || !second || !third || !fourth) throw new Error("there are four pad blocks");
  const key = randomBytes(BLOCK_BYTES);
  const padIn = Buffer.concat([cut(first, FIRST), cut(second, SECOND)]);
  const padOut = Buffer.concat([cut(third, FIRST), cut(fourth, SECOND)]);
  const masked = key.map((byte, index) => byte ^ (padIn[index + 32] ?? 0));
  const tag = slowPoly1305(padIn.subarray(0, 32), Buffer.concat([CONTEXT, masked]));
  writeFileSync(join(folder, "pads"), Buffer.concat([first, second, third, fourth]));
  writeFileSync(join(folder, "key"), masked);
  writeFileSync(join(folder, "tag"), Buffer.from(tag, "hex"));
  return { key, padIn, padOut };
}

test.for(["direct", "envelope"] as const)(
  "key-protocol 2, otp: in transit key and pads lie in locked memory alone, in %s mode",
  async (mode, { skip }) => {
    using folder = temporaryFolder();
    const { key, padIn, padOut } = prepare(folder.path);
    await using node = new TestProcess("transit", `${folder.path}/log`);
    await node.spawn([TRANSIT, folder.path, mode]);
    skip(obstacleTo(node.pid) !== undefined, obstacleTo(node.pid));
    const secrets = new Secrets();
    for (const [name, bytes] of Object.entries({ key, padIn, padOut })) secrets.addBlock(name, bytes);
    const outgoing = key.map((byte, index) => byte ^ (padOut[index + 32] ?? 0));
    expect(readFileSync(join(folder.path, "masked")).equals(outgoing)).toBe(true);

    const during = await scan(await copyOf(node.pid), secrets);
    expect(summary(during.filter(({ region }) => !isVaults(region)))).toEqual([]);
    // The search sees: the whole key lies in its slot.
    expect(new Set(during.map(({ secret, offset }) => `${secret} ${offset}`)).size).toBeGreaterThanOrEqual(1024);
    expect(new Set(during.map(({ secret }) => secret))).toEqual(new Set(["key"]));

    process.kill(node.pid, "SIGUSR2");
    await eventually("the job is disposed", () => existsSync(join(folder.path, "disposed")));
    expect(summary(await scan(await copyOf(node.pid), secrets))).toEqual([]);
  },
);
