// Makes a board's image, step by step; what was made of the same sources is not made again.

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Board, BoardImage } from "../board.ts";
import { BOARDS } from "../index.ts";
import { bootstrap } from "./bootstrap.ts";
import { makeBoot, makeDisk, makeEsp, makeSystem, workFolder } from "./disk.ts";
import { makeInitramfs } from "./initramfs.ts";
import { addKernel } from "./kernel.ts";
import { BUILD_PACKAGES } from "./packages.ts";
import { processorOf, runForeign } from "./processor.ts";
import { addProgram, BUILDING, PROGRAM } from "./program.ts";
import { addSystem } from "./system.ts";
import { ImageError, installPackages, run, say, step } from "./tools.ts";
import { keyringOf, updateKeys } from "./updates.ts";

/** The folder of this repository. */
export const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));

/** What `npm run image` was asked for. */
export interface BuildOptions {
  /** Name of the board. */
  readonly board: string;
  /** Where Debian's part and the image's parts are kept. */
  readonly cache?: string | undefined;
  /** Folder of the key that signs updates. */
  readonly keys?: string | undefined;
  /** Make all of it anew. */
  readonly fresh?: boolean | undefined;
}

/** What was built, as paths. */
export interface BuiltImage {
  /** The disk image. */
  readonly disk: string;
  /** A slot's two partitions, as updates bring them. */
  readonly boot: string;
  readonly system: string;
  /** The list of its Debian packages. */
  readonly packages: string;
  /** Folder of GRUB's modules for the board's firmware. */
  readonly grub: string;
  readonly version: string;
  /** Seconds since 1970 that its files have. */
  readonly epoch: number;
  /** Folder of the key that signs updates. */
  readonly keys: string;
}

/** What puts the program into an image: the rest of what makes one may change without compiling it again. */
const COMPILING = ["program", "ahead", "processor"].map((name) => `boards/image/${name}.ts`);

/** Where parts are kept, unless told otherwise. */
export const CACHE: string = join(REPOSITORY, "node_modules/.cache/qkm-image");

/** The board of that name, of which an image is made. @throws ImageError that names those there are */
export function imagedBoard(name: string): Board & { readonly image: BoardImage } {
  const imaged = Object.values<Board>(BOARDS).flatMap((board) =>
    board.image === undefined ? [] : [{ ...board, image: board.image }],
  );
  const board = imaged.find((known) => known.name === name);
  if (board !== undefined) return board;
  throw new ImageError(`there is no image for a board "${name}"; boards: ${imaged.map(({ name }) => name).join(", ")}`);
}

/** Builds the image, or finds it built. @throws ImageError */
export async function buildImage(options: BuildOptions): Promise<BuiltImage> {
  const { fresh = false, cache = CACHE } = options;
  const board = imagedBoard(options.board);
  const { image } = board;
  const epoch = epochOf();
  const folder = join(cache, board.name);
  const built = {
    ...{ disk: join(folder, "disk.img"), boot: join(folder, "boot.img"), system: join(folder, "system.img") },
    ...{ packages: join(folder, "packages"), grub: join(folder, "grub") },
    ...{ version: versionOf(), epoch, keys: options.keys ?? join(cache, "keys") },
  };
  installPackages(BUILD_PACKAGES);
  if (process.getuid?.() !== 0) throw new ImageError("an image holds files of many owners: run this as root");
  const processor = processorOf(board);
  runForeign(processor);
  mkdirSync(folder, { recursive: true });
  const tar = await bootstrap({ image, processor, cache, epoch, fresh });
  const sources = hashOf(PROGRAM);
  const keyring = keyringOf(updateKeys(built.keys));
  const stamp = JSON.stringify({ tar: basename(tar), epoch, keyring, sources, version: built.version });
  const stamped = join(folder, "stamp");
  if (!fresh && existsSync(stamped) && readFileSync(stamped, "utf8") === stamp) {
    say(`nothing has changed: ${built.disk}`);
    return built;
  }
  rmSync(stamped, { force: true });
  const work = workFolder(join(folder, "work"));
  try {
    const [root, disk] = [join(work, "root"), { board, image, epoch }];
    mkdirSync(root);
    await step("unpacking Debian's part", () => run("tar", ["--numeric-owner", "-C", root, "-xpf", tar]));
    await step("taking kernel and GRUB", () => addKernel(root, join(work, "kernel"), image));
    const hash = `${basename(tar)} ${hashOf(PROGRAM, BUILDING)} ${hashOf(COMPILING)}`;
    await addProgram(root, { repository: REPOSITORY, processor, cache, hash, fresh });
    addSystem(root, { board, image, version: built.version, keyring });
    copyFileSync(join(root, "usr/share/packages"), built.packages);
    const initramfs = join(work, "initrd.img");
    await step("making the initial RAM disk", () => makeInitramfs(root, join(work, "initramfs"), initramfs, disk));
    const verity = await step("packing the system", () => makeSystem(root, built.system, disk));
    rmSync(built.grub, { recursive: true, force: true });
    run("cp", ["-a", join(root, "kernel/grub"), built.grub]);
    await step("making the disk", () => {
      makeBoot(built.boot, { kernel: join(root, "kernel/vmlinuz"), initramfs, verity, work }, disk);
      makeEsp(join(work, "esp.img"), { work, grub: built.grub }, disk);
      makeDisk(built.disk, { ...built, esp: join(work, "esp.img") }, disk);
    });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  writeFileSync(stamped, stamp);
  const mib = (path: string): string => `${(statSync(path).size / (1 << 20)).toFixed(0)} MiB`;
  say(`${built.disk}: ${mib(built.disk)}, of which the system is ${mib(built.system)}`);
  return built;
}

/** Of files and folders of this repository, but for what is in the folders that are left out. */
function hashOf(names: readonly string[], leftOut: readonly string[] = []): string {
  const hash = createHash("sha256");
  const folders = names.map((name) => join(REPOSITORY, name));
  const files = folders.flatMap((path) => (statSync(path).isDirectory() ? globSync(`${path}/**/*`) : [path]));
  for (const path of [...files, join(REPOSITORY, "package-lock.json")].sort()) {
    const name = relative(REPOSITORY, path);
    if (!statSync(path).isFile() || leftOut.some((folder) => name.startsWith(`${folder}/`))) continue;
    hash.update(`${name}\0${statSync(path).mode}\0`).update(readFileSync(path));
  }
  return hash.digest("hex");
}

/** Seconds since 1970 of the last commit: the time of every file in the image. */
function epochOf(): number {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined) return Number(given);
  const commit = gitOr("", ["log", "-1", "--format=%ct"]);
  return commit === "" ? Math.floor(statSync(join(REPOSITORY, "package.json")).mtimeMs / 1_000) : Number(commit);
}

function versionOf(): string {
  const { version } = JSON.parse(readFileSync(join(REPOSITORY, "package.json"), "utf8"));
  const commit = gitOr("", ["rev-parse", "--short=8", "HEAD"]);
  return commit === "" ? String(version) : `${version}-${commit}`;
}

function gitOr(otherwise: string, args: readonly string[]): string {
  try {
    return run("git", args, { cwd: REPOSITORY }).trim();
  } catch (thrown) {
    if (thrown instanceof ImageError) return otherwise;
    throw thrown;
  }
}
