// A process that works with key, and makes V8 give up optimised code each time: `node giver-up.ts FOLDER JOB BYTES`.

import { randomFillSync } from "node:crypto";
import { writeSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { runInThisContext } from "node:vm";
import { open, seal } from "../../../drivers/pkcs11/ciphers/gcm.ts";
import { connect } from "../../../drivers/pkcs11/connection.ts";
import { generateKek } from "../../../drivers/pkcs11/kek.ts";
import { borrowLibrary } from "../../../drivers/pkcs11/library.ts";
import { gcmOpen, gcmSeal } from "../../../src/vault/epochs/data-keys.ts";
import { LockedMemory } from "../../../src/vault/memory/locked-memory.ts";
import { keptLog, makeToken } from "../../support/softhsm.ts";

const KEY_BYTES = 32;
const TAG_BYTES = 16;
const TIMES = 32;
const WARM_UP = 20_000;
const SEARCHED_MS = 30_000;
const NOTHING = Array.from({ length: 8 }, (_, index) => () => index);

/** What is done with key just before. */
export const JOBS = ["a token seals it", "a token opens it", "a data key seals it", "a data key opens it"] as const;

type Outgrown = (shape: { readonly value: number }, job: () => unknown) => number;

/** Optimised for one shape of object; given another, its code is given up when the job is done. */
function outgrown(number: number): Outgrown {
  const code: Outgrown = runInThisContext(`(shape, job) => { job(); return shape.value + ${number}; }`);
  for (let round = 0; round < WARM_UP; round++) code({ value: round }, NOTHING[round % NOTHING.length] ?? String);
  return code;
}

async function main(folder: string, name: string, bytes: number): Promise<void> {
  const { module, label, pinFile, conf } = await makeToken(folder);
  const line = connect(borrowLibrary(module, conf), { label, pinFile, sessions: 1 }, keptLog());
  const memory = new LockedMemory({ allowUnlocked: true, log: keptLog() });
  const dataKey = randomFillSync(memory.region(KEY_BYTES));
  const region = memory.region(bytes + TAG_BYTES);
  const plain = randomFillSync(region.subarray(0, bytes));
  const job = { iv: new Uint8Array(12), aad: new Uint8Array(32), sealed: new Uint8Array(region.length) };
  await line.run(async (session) => {
    const { pkcs11 } = line;
    const { key } = await generateKek({ pkcs11, session, tellsLocal: true, log: keptLog() }, "kek", "gcm");
    const bench = { pkcs11, session, key, synchronous: true };
    const [sealing, opening] = [
      { ...job, plain },
      { ...job, plain: region },
    ];
    const jobs: Readonly<Record<(typeof JOBS)[number], () => unknown>> = {
      "a token seals it": () => seal(bench, sealing),
      "a token opens it": () => open(bench, opening),
      "a data key seals it": () => gcmSeal(dataKey, sealing),
      "a data key opens it": () => gcmOpen(dataKey, sealing),
    };
    const [sealer, opener] = name.startsWith("a token") ? JOBS : [JOBS[2], JOBS[3]];
    await jobs[sealer]();
    const work = jobs[name === opener ? opener : sealer];
    const codes = Array.from({ length: TIMES }, (_, number) => outgrown(number));
    const other = Object.assign({ name: "another shape" }, { value: 0.5 });
    for (const code of codes) code(other, work);
    // Whatever is done from here on may use the memory again that is to be searched.
    writeSync(process.stdout.fd, "ready\n");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SEARCHED_MS);
  });
  memory.zero();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await main(process.argv[2] ?? "", process.argv[3] ?? "", Number(process.argv[4]));
  process.exit(0);
}
