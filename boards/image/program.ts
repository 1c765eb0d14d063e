// Puts the program into the root as /opt/qkm: sources, the packages that it runs with, the pinned Node. Nothing else.

import { createHash } from "node:crypto";
import {
  chmodSync,
  cpSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { compileAhead } from "./ahead.ts";
import { type Processor, packagesFor } from "./processor.ts";
import { ImageError, run, step } from "./tools.ts";

/** What of the repository is in the image. */
export const PROGRAM = ["package.json", "LICENSE", "src", "drivers", "boards"] as const;
/** What of `boards` is for building alone. */
export const BUILDING = ["boards/image", "boards/qemu"];

/** Where the program and its packages are taken from, and kept. */
export interface ProgramOptions {
  /** The folder of this repository. */
  readonly repository: string;
  readonly processor: Processor;
  readonly cache: string;
  /** What the program and the system that compiles it are known by. */
  readonly hash: string;
  /** Do not use what is kept. */
  readonly fresh: boolean;
}

/**
 * Puts the program into the root, compiled ahead; the next board of the same processor gets the same.
 * @throws ImageError when a package is missing, or Node does not run in the root
 */
export async function addProgram(root: string, options: ProgramOptions): Promise<void> {
  const { repository, processor, cache, fresh } = options;
  const key = createHash("sha256").update(options.hash).digest("hex").slice(0, 16);
  const kept = join(cache, `program-${processor.architecture}-${key}.tar`);
  if (existsSync(kept) && !fresh) {
    await step("adding the program as it was compiled", () => run("tar", ["-C", root, "-xpf", kept]));
    return;
  }
  const packages = await packagesFor(processor, repository, cache);
  await step("adding the program", () => copyProgram(root, repository, packages, processor));
  await step("compiling it", () => compileAhead(root));
  run("tar", ["-C", root, "-cf", `${kept}.half`, "opt/qkm", "usr/bin/qkm"]);
  for (const old of globSync(join(cache, `program-${processor.architecture}-*.tar`))) rmSync(old);
  renameSync(`${kept}.half`, kept);
}

function copyProgram(root: string, repository: string, packages: string, { cpu, strip }: Processor): void {
  const to = join(root, "opt/qkm");
  mkdirSync(to, { recursive: true });
  for (const name of PROGRAM) cpSync(join(repository, name), join(to, name), { recursive: true });
  for (const name of BUILDING) rmSync(join(to, name), { recursive: true, force: true });
  const node = `node-linux-${cpu}`;
  for (const path of packagesOf(packages)) copyPackage(join(packages, path), join(to, path), cpu);
  mkdirSync(join(to, "node_modules", node, "bin"), { recursive: true });
  for (const file of ["bin/node", "LICENSE"]) {
    cpSync(join(packages, "node_modules", node, file), join(to, "node_modules", node, file));
  }
  run(strip, [join(to, "node_modules", node, "bin/node")]);
  mkdirSync(join(to, "node_modules/.bin"));
  symlinkSync(`../${node}/bin/node`, join(to, "node_modules/.bin/node"));
  chmodSync(join(to, "src/cli/qkm.sh"), 0o755);
  symlinkSync("/opt/qkm/src/cli/qkm.sh", join(root, "usr/bin/qkm"));
}

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Folders of the packages that the program depends on, and of those that they depend on; without Node itself. */
function packagesOf(repository: string): string[] {
  const found = new Set<string>();
  const visit = (folder: string, optional: boolean): void => {
    const manifest: Manifest = JSON.parse(readFileSync(join(repository, folder, "package.json"), "utf8"));
    const needed = Object.keys(manifest.dependencies ?? {});
    const perhaps = optional ? Object.keys(manifest.optionalDependencies ?? {}) : [];
    for (const name of new Set([...needed, ...perhaps])) {
      const path = lookUp(repository, folder, name);
      if (path === undefined && perhaps.includes(name)) continue;
      if (path === undefined) throw new ImageError(`the package ${name} is not installed; run npm test once`);
      if (found.has(path)) continue;
      found.add(path);
      visit(path, true);
    }
  };
  visit("", false);
  return [...found].sort();
}

/** As Node does: in the package's own folder, then in those above. */
function lookUp(repository: string, from: string, name: string): string | undefined {
  for (let folder = from; ; folder = dirname(folder) === "." ? "" : dirname(folder)) {
    const path = join(folder, "node_modules", name);
    if (basename(folder) !== "node_modules" && existsSync(join(repository, path, "package.json"))) return path;
    if (folder === "") return undefined;
  }
}

const NEEDLESS = /\.(md|markdown|d\.[cm]?ts|ts|map|c|cc|cpp|h|hpp|gyp|gypi|yml|yaml|tsbuildinfo|o|a|d|bare)$/i;
const NEEDLESS_FOLDERS = new Set([
  "node_modules",
  "test",
  "tests",
  "docs",
  "examples",
  "benchmark",
  "obj.target",
  ".github",
  "deps",
  "src",
]);
/** Folders called `src` that hold programs, not what programs are made from. */
const SOURCES_OF_C = /\/(pkcs11js|sodium-native|node-hid|lmdb|bindings-cpp|msgpackr-extract|node-addon-api)\//;

function copyPackage(from: string, to: string, cpu: string): void {
  cpSync(from, to, {
    recursive: true,
    dereference: true,
    filter: (path) => {
      const inside = path.slice(from.length);
      if (inside === "") return true;
      if (basename(path) === "src") return !SOURCES_OF_C.test(`${path}/`);
      if (basename(path) === "node_modules" || NEEDLESS_FOLDERS.has(basename(path))) return false;
      return !NEEDLESS.test(path) && isForCpu(inside, cpu);
    },
  });
}

/** Prebuilt libraries of other systems and processors stay behind, and those for musl. */
function isForCpu(inside: string, cpu: string): boolean {
  const prebuilt = /\/prebuilds\/([^/]+)/.exec(inside)?.[1];
  if (/musl/.test(inside)) return false;
  return prebuilt === undefined || new RegExp(`(^|-)linux-${cpu}$`).test(prebuilt);
}
