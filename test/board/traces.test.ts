// The search of a machine's memory: a key is found wherever it lies, but for the registers that the kernel saved.

import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { temporaryFolder } from "../memory/support/folder.ts";
import { isInSavedRegisters, tracesIn } from "./support/traces.ts";

/** Beyond one piece of the search. */
const BYTES = 17 << 20;
const AREA_AT = 5 << 20;

/** Memory with 16 bytes of a key at `at`, and an area of XSAVE at `AREA_AT`. */
function memoryWith(key: Buffer, at: number): Buffer {
  const memory = Buffer.alloc(BYTES);
  memory.writeUInt32LE(0x1fa0, AREA_AT + 24);
  memory.writeUInt32LE(0xffff, AREA_AT + 28);
  key.copy(memory, at, 16, 32);
  return memory;
}

test.for([
  ["anywhere else", 1 << 20, 2],
  ["across two pieces", (16 << 20) - 8, 2],
  ["behind the first piece", (16 << 20) + 2_000, 2],
  ["before the registers", AREA_AT + 64, 2],
  ["in a saved register", AREA_AT + 160 + 16 * 12, 0],
  ["in the upper half of one", AREA_AT + 576 + 16 * 3, 0],
  ["behind the registers", AREA_AT + 832, 2],
] as const)("16 bytes of a key %s", async ([, at, found]) => {
  using folder = temporaryFolder();
  const key = randomBytes(32);
  const file = join(folder.path, "memory");
  writeFileSync(file, memoryWith(key, at));
  const traces = await tracesIn(file, [{ id: "k", key }], "nothing", isInSavedRegisters);
  expect(traces.keys).toHaveLength(found);
  expect((await tracesIn(file, [{ id: "k", key }], "nothing")).keys).toHaveLength(2);
});
