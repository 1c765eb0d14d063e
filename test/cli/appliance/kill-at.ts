// Preloaded into `qkm`: kills the process at its n-th change to the file system, as a power cut would.
//
//   QKM_TEST_KILL_AT=7 node --import .../kill-at.ts src/cli/qkm.ts appliance provision ...

import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const at = Number(process.env.QKM_TEST_KILL_AT);
let changes = 0;

/** Before the change; a file's content is written by half. */
function before(half: () => void = () => {}): void {
  changes += 1;
  if (changes !== at) return;
  half();
  process.kill(process.pid, "SIGKILL");
}

const { renameSync, rmSync, mkdirSync, fsyncSync, writeFileSync } = fs;
fs.renameSync = (...args) => {
  before();
  renameSync(...args);
};
fs.rmSync = (...args) => {
  before();
  rmSync(...args);
};
fs.fsyncSync = (...args) => {
  before();
  fsyncSync(...args);
};
Object.assign(fs, {
  mkdirSync(...args: Parameters<typeof mkdirSync>) {
    before();
    return mkdirSync(...args);
  },
  writeFileSync(...[file, content, options]: Parameters<typeof writeFileSync>) {
    const bytes = typeof content === "string" ? Buffer.from(content) : new Uint8Array(content.buffer);
    before(() => writeFileSync(file, bytes.subarray(0, bytes.length / 2), options));
    writeFileSync(file, content, options);
  },
});
syncBuiltinESMExports();
