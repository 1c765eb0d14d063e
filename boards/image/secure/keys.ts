// The operator's keys of Secure Boot: made once, kept in a folder of his; none of the private ones is in an image.

import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ImageError, installPackages, run, say } from "../tools.ts";

/** UEFI's names: the platform key signs changes of KEK, KEK signs those of db and dbx, db signs programs (UEFI 32.3). */
const FIRMWARE_KEYS = ["PK", "KEK", "db"] as const;
type FirmwareKey = (typeof FIRMWARE_KEYS)[number];
/** Who signs what comes into which variable. */
const SIGNERS = { PK: "PK", KEK: "PK", db: "KEK", dbx: "KEK" } as const;

/** Programs that make keys and sign, by their Debian packages. */
export const SIGNING_PACKAGES = {
  openssl: "openssl",
  sbsigntool: "sbsign",
  efitools: "sign-efi-sig-list",
  gpg: "gpg",
  "gpg-agent": "gpg-agent",
  gpgconf: "gpgconf",
  binutils: "objcopy",
  mtools: "mcopy",
  dosfstools: "mkfs.vfat",
  "grub-common": "grub-mkimage",
} as const;

/** The keys in a folder. */
export interface SecureKeys {
  readonly folder: string;
  /** PEM files of the key that signs EFI programs. */
  readonly db: { readonly key: string; readonly certificate: string };
  /** GRUB's: the OpenPGP public key that it has in itself, and the private one. */
  readonly grub: { readonly key: string; readonly publicKey: string };
  /** Signed changes of the firmware's variables, which put the keys into a firmware that has none. */
  readonly enrolment: Readonly<Record<FirmwareKey, string>>;
}

/** @throws ImageError when they are not all there */
export function secureKeys(folder: string): SecureKeys {
  const at = (name: string): string => join(folder, name);
  const keys: SecureKeys = {
    folder,
    db: { key: at("db.key"), certificate: at("db.pem") },
    grub: { key: at("grub.key"), publicKey: at("grub.pub") },
    enrolment: { PK: at("PK.auth"), KEK: at("KEK.auth"), db: at("db.auth") },
  };
  const files = [...Object.values(keys.db), ...Object.values(keys.grub), ...Object.values(keys.enrolment)];
  const missing = [...files, at("KEK.key"), at("KEK.pem"), at("owner")].filter((file) => !existsSync(file));
  if (missing.length > 0) {
    throw new ImageError(`${missing.join(", ")} is not there: make keys with npm run image -- --make-keys ${folder}`);
  }
  return keys;
}

/** Makes the folder with new keys: all of them or nothing. @throws ImageError when it is there */
export function makeSecureKeys(folder: string): void {
  if (existsSync(folder)) throw new ImageError(`${folder} is there: keys that machines know are never written over`);
  installPackages(SIGNING_PACKAGES);
  const half = `${folder}.${process.pid}`;
  mkdirSync(half, { recursive: true, mode: 0o700 });
  try {
    writeFileSync(join(half, "owner"), `${randomUUID()}\n`);
    for (const name of FIRMWARE_KEYS) makeFirmwareKey(half, name);
    for (const name of FIRMWARE_KEYS) signVariable(half, name, join(half, `${name}.esl`), join(half, `${name}.auth`));
    makeGrubKey(half);
    renameSync(half, folder);
  } finally {
    rmSync(half, { recursive: true, force: true });
  }
  say(
    `made the keys of Secure Boot in ${folder}; keep it offline and safe: machines that know them start nothing else`,
  );
}

function makeFirmwareKey(folder: string, name: FirmwareKey): void {
  const [key, certificate] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
  // What every firmware can: RSA of 2048 bits with SHA-256.
  run("openssl", [
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "10950"],
    ...["-subj", `/O=qkm/CN=qkm Secure Boot ${name}/`, "-keyout", key, "-out", certificate],
  ]);
  run("openssl", ["x509", "-in", certificate, "-outform", "DER", "-out", join(folder, `${name}.cer`)]);
  run("cert-to-efi-sig-list", ["-g", ownerOf(folder), certificate, join(folder, `${name}.esl`)]);
}

const ownerOf = (folder: string): string => readFileSync(join(folder, "owner"), "utf8").trim();

/** Signs what is to be put into a variable of the firmware, or added to it. */
export function signVariable(
  folder: string,
  variable: keyof typeof SIGNERS,
  list: string,
  out: string,
  add = false,
): void {
  const signer = SIGNERS[variable];
  run("sign-efi-sig-list", [
    ...(add ? ["-a"] : []),
    ...["-g", ownerOf(folder), "-k", join(folder, `${signer}.key`), "-c", join(folder, `${signer}.pem`)],
    ...[variable, list, out],
  ]);
}

function makeGrubKey(folder: string): void {
  withGpg((gpg) => {
    gpg(["--quick-generate-key", "qkm slots", "rsa3072", "sign", "never"]);
    gpg(["--output", join(folder, "grub.pub"), "--export"]);
    gpg(["--output", join(folder, "grub.key"), "--export-secret-keys"]);
  });
}

/** Writes `FILE.sig`, which GRUB wants to see beside the file. */
export function signForGrub(file: string, { grub }: SecureKeys): void {
  withGpg((gpg) => {
    gpg(["--import", grub.key]);
    gpg(["--digest-algo", "SHA512", "--output", `${file}.sig`, "--detach-sign", file]);
  });
}

/** GnuPG with a home of its own, which is gone afterwards, and so is the process that it leaves. */
function withGpg(work: (gpg: (args: readonly string[]) => void) => void): void {
  const home = mkdtempSync(join(tmpdir(), "qkm-gpg-"));
  const common = ["--homedir", home, "--batch", "--yes", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""];
  try {
    work((args) => run("gpg", [...common, ...args]));
  } finally {
    run("gpgconf", ["--homedir", home, "--kill", "all"]);
    rmSync(home, { recursive: true, force: true });
  }
}
