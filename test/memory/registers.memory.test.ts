// What a cipher leaves in the processor's registers does not come into V8's heap.

import { expect, test } from "vitest";
import { TestProcess } from "../system/support/process.ts";
import { temporaryFolder } from "./support/folder.ts";
import { JOBS } from "./support/giver-up.ts";
import { copyOf, obstacleTo } from "./support/process-memory.ts";
import { echoes, isVaults, summary } from "./support/scan.ts";

const PROGRAM = new URL("support/giver-up.ts", import.meta.url).pathname;

test.for(JOBS)("code that V8 gives up leaves no copy of key, right after %s", async (job, { skip }) => {
  using folder = temporaryFolder();
  await using program = new TestProcess("giver-up", `${folder.path}/log`);
  await program.spawn([PROGRAM, folder.path, job]);
  skip(obstacleTo(program.pid) !== undefined, obstacleTo(program.pid));

  const memory = await copyOf(program.pid);

  const locked = memory.filter(({ region }) => isVaults(region));
  expect(locked.some(({ bytes }) => bytes.some((byte) => byte !== 0))).toBe(true);
  expect(summary(await echoes(memory))).toEqual([]);
});
