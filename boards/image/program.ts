// Puts the program into the root as /opt/qkm: sources, the packages that it runs with, the pinned Node. Nothing else.

import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { Board } from "../board.ts";
import { compileAhead } from "./ahead.ts";
import { ImageError, run } from "./tools.ts";

const CPU = { amd64: "x64", arm64: "arm64", any: process.arch } as const;

/** What of the repository is in the image. */
export const PROGRAM = ["package.json", "LICENSE", "src", "drivers", "boards"] as const;
/** What of `boards` is for building alone. */
const BUILDING = ["boards/image", "boards/qemu"];

/** @throws ImageError when this machine has not the packages for the board's processor */
export function addProgram(repository: string, root: string, board: Board): void {
  const cpu = CPU[board.architecture];
  const to = join(root, "opt/qkm");
  mkdirSync(to, { recursive: true });
  for (const name of PROGRAM) cpSync(join(repository, name), join(to, name), { recursive: true });
  for (const name of BUILDING) rmSync(join(to, name), { recursive: true, force: true });
  const node = `node-linux-${cpu}`;
  if (!existsSync(join(repository, "node_modules", node)) || cpu !== process.arch) {
    throw new ImageError(`the image of ${board.name} is built on a machine with a ${board.architecture} processor`);
  }
  for (const path of packagesOf(repository)) copyPackage(join(repository, path), join(to, path), cpu);
  mkdirSync(join(to, "node_modules", node, "bin"), { recursive: true });
  for (const file of ["bin/node", "LICENSE"]) {
    cpSync(join(repository, "node_modules", node, file), join(to, "node_modules", node, file));
  }
  run("strip", [join(to, "node_modules", node, "bin/node")]);
  mkdirSync(join(to, "node_modules/.bin"));
  symlinkSync(`../${node}/bin/node`, join(to, "node_modules/.bin/node"));
  chmodSync(join(to, "src/cli/qkm.sh"), 0o755);
  symlinkSync("/opt/qkm/src/cli/qkm.sh", join(root, "usr/bin/qkm"));
  compileAhead(root);
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
