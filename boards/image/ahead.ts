// Has Node compile the program ahead: on the appliance nothing can be written, and every start would do it again.

import { globSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ImageError, run, runAside, say } from "./tools.ts";

/** What is a program of its own, and begins when it is imported. */
const PROGRAMS = [
  "src/main.ts",
  "src/cli/qkm.ts",
  "src/vault/store/check/walk-main.ts",
  "drivers/pkcs11/process/main.ts",
];
/** What runs in a browser: it is read as text. */
const PAGE = "src/view/page/";
/** In so many processes that V8 never collects its old garbage: what it writes of a function tells how often it did. */
const PARTS = 12;
/** Imports one part of all the rest, also of what the units load only when they need it. */
const IMPORT_PART = `
  const { globSync } = await import("node:fs");
  const isRun = (file) => !${JSON.stringify(PROGRAMS)}.includes(file) && !file.startsWith("${PAGE}");
  const files = globSync("{src,drivers,boards}/**/*.ts").sort().filter(isRun);
  const [part, most] = [Number(process.argv[1]), Math.ceil(files.length / ${PARTS})];
  for (const file of files.slice(part * most, (part + 1) * most)) await import("/opt/qkm/" + file);
`;
const RUNS = [
  ...Array.from({ length: PARTS }, (_, part) => ["--input-type=module", "--eval", IMPORT_PART, String(part)]),
  ...PROGRAMS.map((program) => [program]),
];

/**
 * Fills /opt/qkm/cache of `root`, for the user qkm alone: Node keeps users apart. With a seed V8 writes the same bytes each
 * time, and takes them without it. It is done twice, side by side; what differs all the same holds the time of day, and is
 * left out. @throws ImageError when Node keeps nothing
 */
export async function compileAhead(root: string): Promise<void> {
  const fills = [fill(root, "cache"), fill(root, "cache.again")] as const;
  await Promise.allSettled(fills); // nothing is written any more when one has failed
  const [cache, again] = await Promise.all(fills);
  const files = globSync("*/*", { cwd: cache });
  const changing = files.filter((file) => !readFileSync(join(cache, file)).equals(readFileSync(join(again, file))));
  for (const file of changing) rmSync(join(cache, file));
  rmSync(again, { recursive: true });
  run("chown", ["-R", "0:0", cache]);
  run("chmod", ["-R", "a+rX", cache]);
  say(`compiled ahead: ${files.length - changing.length} modules`);
}

/** Fills the new folder `name` in /opt/qkm of `root`; gives its path here. */
async function fill(root: string, name: string): Promise<string> {
  const cache = join(root, "opt/qkm", name);
  mkdirSync(cache);
  run("chown", ["900:900", cache]);
  const env = ["/usr/bin/env", "-i", "PATH=/usr/bin:/bin", `NODE_COMPILE_CACHE=/opt/qkm/${name}`];
  // Without arguments the programs say what they miss (64, 78: sysexits); an import that fails ends it otherwise.
  const once = 'node_modules/.bin/node --predictable --random-seed=1 "$@" || case $? in 64 | 78) ;; *) exit 1 ;; esac';
  const node = ["sh", "-c", `cd /opt/qkm; ${once}`, "sh"];
  for (const args of RUNS) await runAside("chroot", ["--userspec=900:900", root, ...env, ...node, ...args]);
  if (readdirSync(cache).length === 0) throw new ImageError("Node kept nothing of what it compiled");
  return cache;
}
