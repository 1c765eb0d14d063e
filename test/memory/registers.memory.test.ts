// What a cipher leaves in the processor's registers does not come into V8's heap.

import { afterEach, expect, test, vi } from "vitest";
import { TestProcess } from "../system/support/process.ts";
import { temporaryFolder } from "./support/folder.ts";
import { JOBS } from "./support/giver-up.ts";
import { copyOf, obstacleTo } from "./support/process-memory.ts";
import { echoes, isVaults, summary } from "./support/scan.ts";

const PROGRAM = new URL("support/giver-up.ts", import.meta.url).pathname;

/** OpenSSL has other code for each of them, and other registers: what OPENSSL_ia32cap takes away. Elsewhere it does nothing. */
const PROCESSORS = [
  ["this processor", undefined],
  ["one without AVX-512 and VAES", ":~0x600c0230000"],
  ["one with AES-NI alone", "~0x1000000000000000:0"],
  ["one without AES-NI", "~0x1200000200000000:0"],
] as const;

const CASES = PROCESSORS.flatMap(([processor, without]) =>
  JOBS.flatMap((job) => [32, 1_000].map((bytes) => ({ processor, without, job, bytes }))),
);

afterEach(() => void vi.unstubAllEnvs());

test.for(CASES)(
  "on $processor code that V8 gives up leaves no copy of $bytes bytes of key, right after $job",
  async ({ without, job, bytes }, { skip }) => {
    vi.stubEnv("OPENSSL_ia32cap", without);
    using folder = temporaryFolder();
    await using program = new TestProcess("giver-up", `${folder.path}/log`);
    await program.spawn([PROGRAM, folder.path, job, String(bytes)]);
    skip(obstacleTo(program.pid) !== undefined, obstacleTo(program.pid));

    const memory = await copyOf(program.pid);

    const locked = memory.filter(({ region }) => isVaults(region));
    expect(locked.some((piece) => piece.bytes.some((byte) => byte !== 0))).toBe(true);
    expect(summary(await echoes(memory))).toEqual([]);
  },
);
