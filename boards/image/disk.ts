// The parts of the disk as files, and the disk: ESP with GRUB, boot and system partition of slot A; the rest is made at the first start.

import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Board, BoardImage } from "../board.ts";
import { ImageError, run } from "./tools.ts";

const MIB = 1 << 20;
const BLOCK = 4096;
/** EFI system partition; Linux data. */
const TYPES = { esp: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", data: "0FC63DAF-8483-4772-8E79-3D69D8477DE4" };

/** What a disk image is put together from. */
export interface DiskOptions {
  readonly board: Board;
  readonly image: BoardImage;
  readonly epoch: number;
}

/** The same bytes for the same words. */
const derived = (words: string): Buffer => createHash("sha256").update(`qkm ${words}`).digest();

function uuid(words: string): string {
  const hex = derived(words).toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), `8${hex.slice(13, 16)}`, `a${hex.slice(17, 20)}`, hex.slice(20, 32)].join(
    "-",
  );
}

/** UUID of the partition with that name: the same on every disk. */
export const partitionUuid = (name: string): string => uuid(name).toLowerCase();

/** Makes `system` of the folder: squashfs with its hash tree behind it. Gives what the kernel's command line says of it. */
export function makeSystem(root: string, system: string, { board, image, epoch }: DiskOptions): string {
  rmSync(system, { force: true });
  // It takes the time from one place only.
  const env = { SOURCE_DATE_EPOCH: undefined };
  run(
    "mksquashfs",
    [
      ...[root, system, "-noappend", "-quiet", "-no-progress", "-xattrs", "-comp", "zstd", "-Xcompression-level", "12"],
      ...["-all-time", String(epoch), "-mkfs-time", String(epoch), "-wildcards", "-e", "kernel"],
    ],
    { env },
  );
  const blocks = Math.ceil(statSync(system).size / BLOCK);
  truncateSync(system, blocks * BLOCK);
  const salt = derived(`salt ${board.name}`).toString("hex");
  const said = run("veritysetup", [
    ...["format", system, system, "--no-superblock", `--hash-offset=${blocks * BLOCK}`, `--salt=${salt}`],
    ...[`--uuid=${uuid("verity")}`, `--data-blocks=${blocks}`],
  ]);
  const hash = /Root hash:\s+([0-9a-f]{64})/.exec(said)?.[1];
  if (hash === undefined) throw new ImageError(`veritysetup told no root hash: ${said}`);
  fits(system, image.storage.systemMiB);
  return `${blocks}:${blocks}:${hash}:${salt}`;
}

function fits(file: string, mib: number): void {
  const { size } = statSync(file);
  if (size > mib * MIB) {
    throw new ImageError(`${basename(file)} has ${Math.ceil(size / MIB)} MiB, the board's storage says ${mib}`);
  }
}

/** A FAT file system with these files, by their paths in it. */
export function makeFat(
  out: string,
  {
    mib,
    label,
    epoch,
    files,
  }: {
    readonly mib: number;
    readonly label: string;
    readonly epoch: number;
    readonly files: Readonly<Record<string, string>>;
  },
): void {
  rmSync(out, { force: true });
  const id = derived(label).toString("hex").slice(0, 8);
  const kind = mib >= 33 ? ["-F", "32", "-s", "1"] : ["-F", "16"];
  run("mkfs.vfat", [...kind, "--invariant", "-i", id, "-n", label, "-C", out, String(mib * 1024)]);
  const env = { SOURCE_DATE_EPOCH: String(epoch), TZ: "UTC", MTOOLS_SKIP_CHECK: "1" };
  const folders = new Set(
    Object.keys(files).flatMap((path) =>
      path
        .split("/")
        .slice(0, -1)
        .map((_, i, parts) => parts.slice(0, i + 1).join("/")),
    ),
  );
  for (const folder of folders) run("mmd", ["-i", out, `::/${folder}`], { env });
  for (const [path, from] of Object.entries(files)) {
    utimesSync(from, epoch, epoch);
    run("mcopy", ["-m", "-i", out, from, `::/${path}`], { env });
  }
}

/** What the boot partition holds, as paths. */
export interface BootParts {
  readonly kernel: string;
  readonly initramfs: string;
  readonly verity: string;
  /** A folder for what is made on the way. */
  readonly work: string;
}

/** Makes a slot's boot partition. */
export function makeBoot(out: string, { kernel, initramfs, verity, work }: BootParts, options: DiskOptions): void {
  const { board, image, epoch } = options;
  const terminal = board.console === undefined ? [] : [`console=${basename(board.console)},${board.consoleBaud}`];
  const words = [...terminal, ...COMMAND_LINE, ...image.kernel.commandLine.split(" ")].filter((word) => word !== "");
  const slot = join(work, "slot.cfg");
  writeFileSync(slot, `set verity="${verity}"\nset words="${words.join(" ")}"\n`);
  const files = { vmlinuz: kernel, "initrd.img": initramfs, "slot.cfg": slot };
  makeFat(out, { mib: image.storage.bootMiB, label: "QKM-BOOT", epoch, files });
}

/** Of every board. A machine that panics starts again; freed memory is wiped; the kernel lets no one look into it. */
const COMMAND_LINE = [
  ...["quiet", "loglevel=3", "panic=5", "oops=panic", "lockdown=integrity", "init_on_free=1", "slab_nomerge"],
  ...[
    "usb-storage.delay_use=0",
    "usb_storage.delay_use=0",
    "systemd.show_status=no",
    "systemd.gpt_auto=no",
    "rd.systemd.gpt_auto=no",
  ],
];

/** What GRUB is made of. */
export const GRUB_MODULES: readonly string[] = [
  "part_gpt",
  "fat",
  "normal",
  "configfile",
  "linux",
  "loadenv",
  "test",
  "echo",
  "regexp",
  "sleep",
  "reboot",
  "boot",
];

/** What the ESP is made of, as paths. */
export interface EspParts {
  /** A folder for what is made on the way. */
  readonly work: string;
  /** Folder of GRUB's modules for the board's firmware, or a GRUB that has its configuration in itself. */
  readonly grub: string | { readonly whole: string };
}

/** GRUB's choice of slots. */
export const GRUB_CONFIG: string = fileURLToPath(new URL("esp/grub.cfg", import.meta.url));

/** Makes the ESP: GRUB, its choice of slots, and what it remembers. */
export function makeEsp(out: string, { work, grub: given }: EspParts, { image, epoch }: DiskOptions): void {
  const [made, environment, config] = ["grub.efi", "grubenv", "grub.cfg"].map((name) => join(work, name));
  if (made === undefined || environment === undefined || config === undefined) return;
  const [grub, isWhole] = typeof given === "string" ? [made, false] : [given.whole, true];
  if (typeof given === "string") {
    run("grub-mkimage", ["-d", given, "-O", image.boot.platform, "-o", grub, "-p", "/EFI/BOOT", ...GRUB_MODULES]);
    copyFileSync(GRUB_CONFIG, config);
  }
  run("grub-editenv", [environment, "create"]);
  run("grub-editenv", [environment, "set", "ORDER=A B", "A_OK=1", "A_TRY=0", "B_OK=0", "B_TRY=0", "GOOD=A"]);
  const folder = "EFI/BOOT";
  const files = {
    [`${folder}/${image.boot.file}`]: grub,
    ...(isWhole ? {} : { [`${folder}/grub.cfg`]: config }),
    [`${folder}/grubenv`]: environment,
  };
  makeFat(out, { mib: image.storage.espMiB, label: "QKM-ESP", epoch, files });
}

/** Puts the parts where the partition table says. The file is sparse. */
export function makeDisk(
  out: string,
  parts: { readonly esp: string; readonly boot: string; readonly system: string },
  { board, image }: DiskOptions,
): void {
  const { espMiB, bootMiB, systemMiB } = image.storage;
  const table = [
    { name: "esp", mib: espMiB, type: TYPES.esp, file: parts.esp },
    { name: "boot-a", mib: bootMiB, type: TYPES.data, file: parts.boot },
    { name: "system-a", mib: systemMiB, type: TYPES.data, file: parts.system },
  ];
  const script = ["label: gpt", `label-id: ${uuid(`disk ${board.name}`)}`, "first-lba: 2048"];
  let mib = 1;
  rmSync(out, { force: true });
  writeFileSync(out, "");
  truncateSync(out, table.reduce((sum, row) => sum + row.mib, 2) * MIB);
  for (const { name, mib: size, type, file } of table) {
    script.push(`start=${mib * 2048}, size=${size * 2048}, type=${type}, uuid=${partitionUuid(name)}, name=${name}`);
    run("dd", [`if=${file}`, `of=${out}`, "bs=1M", `seek=${mib}`, "conv=notrunc,sparse", "status=none"]);
    mib += size;
  }
  run("sfdisk", ["--quiet", "--no-reread", "--no-tell-kernel", out], { input: `${script.join("\n")}\n` });
}

/** An empty folder of that name. */
export const workFolder = (folder: string): string => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
};
