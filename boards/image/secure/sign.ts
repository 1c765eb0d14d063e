// Signs an image that was built: firmware → GRUB → unified kernel image → dm-verity, each verified by the one before.
//
//   ESP      GRUB, signed for the firmware; its configuration and the key of qkm.efi.sig are in it
//   boot-*   qkm.efi      kernel, initial RAM disk, command line with the root hash; signed for the firmware
//            qkm.efi.sig  GRUB's lockdown wants to verify it, too, and has no way to ask the firmware
//   system-* as it was: the root hash in the command line is that of its hash tree

import { createHash } from "node:crypto";
import { copyFileSync, globSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Board, BoardImage } from "../../board.ts";
import type { BuiltImage } from "../build.ts";
import { GRUB_CONFIG, GRUB_MODULES, makeDisk, makeEsp, makeFat, partitionUuid, workFolder } from "../disk.ts";
import { processorOf } from "../processor.ts";
import { ImageError, installPackages, run, step } from "../tools.ts";
import { type EfiPrograms, efiPrograms } from "./efi.ts";
import { makeUnified } from "./kernel.ts";
import { type SecureKeys, SIGNING_PACKAGES, secureKeys, signForGrub, signVariable } from "./keys.ts";

/** What signing takes beside the image. */
export interface SignOptions {
  readonly board: Board & { readonly image: BoardImage };
  /** Folder of the keys. */
  readonly keys: string;
  /** Where systemd's EFI programs are kept. */
  readonly cache: string;
  /** Seconds since 1970 that files get. */
  readonly epoch: number;
  /** Once this system is in order, the firmware shall start none that was signed before it. */
  readonly revokeOlder?: boolean;
}

/** Writes the signed disk and boot partition beside the image's in a folder `signed`. @throws ImageError */
export async function signImage(built: BuiltImage, options: SignOptions): Promise<BuiltImage> {
  const { board, epoch, cache } = options;
  const { image } = board;
  const keys = secureKeys(options.keys);
  installPackages(SIGNING_PACKAGES);
  const programs = await efiPrograms(image, processorOf(board), cache);
  const folder = join(dirname(built.disk), "signed");
  mkdirSync(folder, { recursive: true });
  const signed = { ...built, disk: join(folder, "disk.img"), boot: join(folder, "boot.img") };
  const work = workFolder(join(folder, "work"));
  try {
    await step("signing the image", () => {
      const kernel = signedKernel(built, programs, work, options);
      const revoked = options.revokeOlder ? revocation(keys, kernel, work) : undefined;
      remember(keys, kernel);
      const files = { "qkm.efi": kernel, "qkm.efi.sig": `${kernel}.sig`, ...(revoked && { "dbx.auth": revoked }) };
      makeFat(signed.boot, { mib: image.storage.bootMiB, label: "QKM-BOOT", epoch, files });
      const esp = join(work, "esp.img");
      makeEsp(esp, { work, grub: { whole: signedGrub(built.grub, work, options) } }, { board, image, epoch });
      makeDisk(signed.disk, { ...signed, esp }, { board, image, epoch });
    });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return signed;
}

function signedKernel(built: BuiltImage, { stub }: EfiPrograms, work: string, { board, keys }: SignOptions): string {
  run("mcopy", ["-n", "-i", built.boot, "::/vmlinuz", "::/initrd.img", "::/slot.cfg", work]);
  const slot = readFileSync(join(work, "slot.cfg"), "utf8");
  const said = (name: string): string => {
    const value = new RegExp(`^set ${name}="(.*)"$`, "m").exec(slot)?.[1];
    if (value === undefined) throw new ImageError(`slot.cfg of ${built.boot} does not say ${name}`);
    return value;
  };
  const boot = `qkm.boot-a=${partitionUuid("boot-a")}`;
  const commandLine = [boot, `qkm.verity=${said("verity")}`, said("words")].join(" ");
  const [whole, kernel] = [join(work, "unsigned.efi"), join(work, "qkm.efi")];
  const parts = { stub, kernel: join(work, "vmlinuz"), initramfs: join(work, "initrd.img"), commandLine, work };
  makeUnified(whole, parts, processorOf(board));
  signForFirmware(whole, kernel, secureKeys(keys));
  signForGrub(kernel, secureKeys(keys));
  return kernel;
}

/** Signs an EFI program. */
export function signForFirmware(program: string, out: string, { db }: SecureKeys): void {
  run("sbsign", ["--key", db.key, "--cert", db.certificate, "--output", out, program]);
}

/** GRUB's configuration as a signed GRUB has it. */
export function signedConfig(config: string): string {
  const signed = config.replace('set signed=""', "set signed=1");
  if (signed === config) throw new ImageError("GRUB's configuration does not ask whether it is signed");
  return signed;
}

/** GRUB with all that it needs in itself: it reads no configuration and no module from the disk. */
function signedGrub(modules: string, work: string, { board, keys: folder }: SignOptions): string {
  const keys = secureKeys(folder);
  const [config, early, files] = ["memory/grub/grub.cfg", "early.cfg", "memory.tar"].map((name) => join(work, name));
  const [whole, signed] = [join(work, "unsigned-grub.efi"), join(work, "grub.efi")];
  if (config === undefined || early === undefined || files === undefined) return signed;
  mkdirSync(dirname(config), { recursive: true });
  writeFileSync(config, signedConfig(readFileSync(GRUB_CONFIG, "utf8")));
  // What is in GRUB itself was verified with it; for the disk's kernel the configuration asks for signatures again. Nobody is
  // a superuser: there is no prompt to be had.
  writeFileSync(early, "set check_signatures=no\nset superusers=nobody\nexport superusers\n");
  run("tar", ["--sort=name", "--owner=0", "--group=0", "--mtime=@0", "-C", join(work, "memory"), "-cf", files, "grub"]);
  run("grub-mkimage", [
    ...["-d", modules, "-O", board.image.boot.platform, "-o", whole],
    // In this order: --memdisk sets a prefix of its own.
    ...["--disable-shim-lock", "--pubkey", keys.grub.publicKey, "--memdisk", files, "-p", "(memdisk)/grub"],
    ...["--config", early],
    ...[...GRUB_MODULES, "memdisk", "tar", "chain", "pgp", "gcry_rsa", "gcry_sha512", "gcry_sha256"],
  ]);
  signForFirmware(whole, signed, keys);
  return signed;
}

/** The firmware's list entry of a program: the hash over what its signature covers. */
function hashEntry(program: string, out: string): Buffer {
  run("hash-to-efi-sig-list", [program, out]);
  return readFileSync(out);
}

/** Keeps the hash of a signed kernel, so that a later one can revoke it. */
function remember({ folder }: SecureKeys, kernel: string): void {
  const list = join(folder, "signed");
  mkdirSync(list, { recursive: true });
  const half = join(list, `half.${process.pid}`);
  const name = createHash("sha256").update(hashEntry(kernel, half)).digest("hex");
  renameSync(half, join(list, `${name}.esl`));
}

/** Signs the list of all kernels that were signed so far, but this one; undefined if there are none. */
function revocation({ folder }: SecureKeys, kernel: string, work: string): string | undefined {
  const [own, list, out] = [join(work, "own.esl"), join(work, "dbx.esl"), join(work, "dbx.auth")];
  const entry = hashEntry(kernel, own);
  const others = globSync(join(folder, "signed/*.esl"))
    .sort()
    .map((file) => readFileSync(file))
    .filter((other) => !other.equals(entry));
  if (others.length === 0) return undefined;
  writeFileSync(list, Buffer.concat(others));
  signVariable(folder, "dbx", list, out, true);
  return out;
}

/** Makes a FAT volume that puts the keys into a firmware in setup mode. @throws ImageError */
export async function makeEnrolment(
  out: string,
  { board, keys: folder, cache, epoch }: Omit<SignOptions, "revokeOlder">,
): Promise<void> {
  const { enrolment } = secureKeys(folder);
  installPackages(SIGNING_PACKAGES);
  const { loader } = await efiPrograms(board.image, processorOf(board), cache);
  const work = workFolder(`${out}.${process.pid}`);
  try {
    const file = (name: string, from: string): string => {
      copyFileSync(from, join(work, name));
      return join(work, name);
    };
    writeFileSync(join(work, "loader.conf"), "secure-boot-enroll force\n");
    const files = Object.entries(enrolment).flatMap(([name, auth]) => [
      [`loader/keys/auto/${name}.auth`, file(`${name}.auth`, auth)],
      [`${name}.cer`, file(`${name}.cer`, join(folder, `${name}.cer`))],
    ]);
    makeFat(out, {
      ...{ mib: 34, label: "QKM-KEYS", epoch },
      files: {
        [`EFI/BOOT/${board.image.boot.file}`]: file("loader.efi", loader),
        "loader/loader.conf": join(work, "loader.conf"),
        ...Object.fromEntries(files),
      },
    });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
