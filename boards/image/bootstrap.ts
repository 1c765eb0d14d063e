// The Debian part of an image: packages, users, the board's kernel with the modules that it needs. Kept for the next time.

import { createHash } from "node:crypto";
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Board, BoardImage } from "../board.ts";
import { IMAGE_PACKAGES, LOADED_MODULES, MODULES, PRUNED, ROOT_MODULES } from "./packages.ts";
import { debianSources } from "./sources.ts";
import { ImageError, run, say, step } from "./tools.ts";

/** For which board the base system is made, and from which packages. */
export interface BaseOptions {
  readonly board: Board;
  readonly image: BoardImage;
  readonly cache: string;
  /** Seconds since 1970 that all files get. */
  readonly epoch: number;
  /** Do not use what is kept. */
  readonly fresh: boolean;
}

/** A tar with the root of the board, without qkm. `kernel/` in it has the kernel. */
export async function bootstrap(options: BaseOptions): Promise<string> {
  const { board, image, cache, fresh } = options;
  const packages = [...IMAGE_PACKAGES, ...image.packages].sort();
  const modules = [...ROOT_MODULES, ...LOADED_MODULES, ...MODULES, ...image.kernel.disk, ...image.kernel.load];
  const sources = debianSources();
  const recipe = { board: board.architecture, packages, modules, more: image.kernel.more, PRUNED, RECIPE, sources };
  const key = createHash("sha256").update(JSON.stringify(recipe)).digest("hex").slice(0, 16);
  const made = join(cache, `${board.name}-${key}.tar`);
  if (existsSync(made) && !fresh) {
    say(`Debian's part is there: ${made} (--fresh makes it anew)`);
    return made;
  }
  const work = `${made}.${process.pid}`;
  mkdirSync(work, { recursive: true });
  try {
    const root = join(work, "root");
    await step("installing Debian's packages into a folder", () => install(work, root, packages, options));
    await step("taking the kernel", () => addKernel(work, root, image, [...modules, ...image.kernel.more]));
    prune(root);
    run("tar", [...TAR, `--mtime=@${options.epoch}`, "-C", root, "-cf", `${made}.half`, "."]);
    for (const old of globSync(join(cache, `${board.name}-*.tar`))) if (old !== made) rmSync(old);
    renameSync(`${made}.half`, made);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return made;
}

/** Changed whenever the same packages would give another tree. */
const RECIPE = 1;
const TAR = ["--sort=name", "--numeric-owner", "--xattrs", "--format=posix", "--pax-option=delete=atime,delete=ctime"];

function install(work: string, root: string, packages: readonly string[], { board, epoch }: BaseOptions): void {
  const { list, release } = debianSources();
  const sources = join(work, "sources.list");
  writeFileSync(sources, list);
  run(
    "mmdebstrap",
    [
      ...["--variant=essential", "--format=directory", `--architectures=${board.architecture}`],
      ...[`--include=${packages.join(",")}`, '--aptopt=APT::Install-Recommends "false"'],
      ...["--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*"],
      '--customize-hook=chroot "$1" groupadd --system --gid 900 qkm',
      '--customize-hook=chroot "$1" useradd --system --uid 900 --gid qkm --home-dir /data/qkm --shell /usr/sbin/nologin qkm',
      '--customize-hook=dpkg-query --admindir="$1/var/lib/dpkg" --show >"$1/usr/share/packages"',
      ...[release, root, sources],
    ],
    { env: { SOURCE_DATE_EPOCH: String(epoch) } },
  );
}

/** The kernel goes in without its package's scripts: there is no boot folder, and the initramfs is our own. */
function addKernel(work: string, root: string, { kernel }: BoardImage, modules: readonly string[]): void {
  const depends = run("apt-cache", ["depends", "--no-recommends", kernel.package]);
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined) throw new ImageError(`apt knows no package ${kernel.package}; run apt-get update`);
  run("apt-get", ["download", "-q", name], { cwd: work });
  const [deb] = globSync(join(work, "linux-image-*.deb"));
  if (deb === undefined) throw new ImageError(`apt-get download ${name} brought no package`);
  const tree = join(work, "kernel");
  run("dpkg-deb", ["-x", deb, tree]);
  const [folder] = globSync(join(tree, "lib/modules/*"));
  if (folder === undefined) throw new ImageError(`${basename(deb)} has no modules`);
  keepModules(folder, tree, modules);
  const version = basename(folder);
  mkdirSync(join(root, "usr/lib/modules"), { recursive: true });
  run("cp", ["-a", folder, join(root, "usr/lib/modules", version)]);
  mkdirSync(join(root, "kernel"));
  run("cp", [join(tree, "boot", `vmlinuz-${version}`), join(root, "kernel/vmlinuz")]);
  writeFileSync(join(root, "usr/share/kernel-package"), `${basename(deb)}\n`);
}

/** Removes all modules but these and what they need. */
function keepModules(folder: string, tree: string, wanted: readonly string[]): void {
  run("depmod", ["-b", tree, basename(folder)]);
  const depends = new Map(
    readFileSync(join(folder, "modules.dep"), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => line.split(/:? /).filter((path) => path !== ""))
      .map(([path = "", ...needs]) => [path.replace(/:$/, ""), needs] as const),
  );
  const byName = new Map([...depends.keys()].map((path) => [moduleName(path), path]));
  const built = new Set(readFileSync(join(folder, "modules.builtin"), "utf8").split("\n").map(moduleName));
  const keep = new Set<string>();
  for (const name of wanted) {
    const path = byName.get(name);
    if (path === undefined && !built.has(name)) say(`this kernel has no module ${name}`);
    if (path !== undefined) for (const file of [path, ...(depends.get(path) ?? [])]) keep.add(file);
  }
  for (const path of depends.keys()) if (!keep.has(path)) rmSync(join(folder, path));
  run("find", [join(folder, "kernel"), "-type", "d", "-empty", "-delete"]);
  run("depmod", ["-b", tree, basename(folder)]);
  for (const link of ["build", "source"]) rmSync(join(folder, link), { force: true });
}

const moduleName = (path: string): string =>
  basename(path)
    .replace(/\.ko(\..*)?$/, "")
    .replaceAll("-", "_");

function prune(root: string): void {
  for (const path of PRUNED) rmSync(join(root, path), { recursive: true, force: true });
  run("find", [join(root, "usr/share/doc"), "-type", "f", "!", "-name", "copyright", "-delete"]);
  run("find", [join(root, "usr/share/doc"), "-type", "d", "-empty", "-delete"]);
  run("find", [
    join(root, "usr/bin"),
    "(",
    "-name",
    "perl*",
    "-o",
    "-name",
    "grub-*",
    ")",
    "!",
    "-name",
    "grub-editenv",
    "-delete",
  ]);
  run("find", [join(root, "usr/sbin"), "-name", "grub-*", "-delete"]);
  for (const folder of ["dev", "run", "tmp", "var"]) {
    rmSync(join(root, folder), { recursive: true, force: true });
    mkdirSync(join(root, folder));
  }
}
