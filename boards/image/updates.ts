// Updates: the key that signs them, made when it is missing, and the signed bundle for RAUC.

import { constants, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { workFolder } from "./disk.ts";
import { run, say } from "./tools.ts";

/** The certificate and key that sign updates, as paths of PEM files. */
export interface UpdateKeys {
  readonly certificate: string;
  readonly key: string;
}

/** Files of the signing key in `folder`. The private key is the operator's: it is in no image. */
export function updateKeys(folder: string): UpdateKeys {
  const [certificate, key] = [join(folder, "updates.pem"), join(folder, "updates.key")];
  if (existsSync(certificate) && existsSync(key)) return { certificate, key };
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  say(`making a key that signs updates: ${key}; keep it, appliances take no updates without it`);
  run("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-sha384", "-days", "10950"],
    ...["-subj", "/O=qkm/CN=qkm updates", "-keyout", key, "-out", certificate],
  ]);
  return { certificate, key };
}

/** The certificate that an image trusts for its updates, as PEM. */
export const keyringOf = ({ certificate }: UpdateKeys): string => readFileSync(certificate, "utf8");

/** What an update bundle holds, as paths. */
export interface BundleParts {
  readonly boot: string;
  readonly system: string;
  readonly board: string;
  readonly version: string;
  /** The system's list of packages. */
  readonly packages: string;
}

/** Makes the signed bundle `out` of a slot's two partitions. */
export function makeBundle(
  out: string,
  { boot, system, board, version, packages }: BundleParts,
  keys: UpdateKeys,
): void {
  const folder = workFolder(`${out}.${process.pid}`);
  try {
    copyFileSync(boot, join(folder, "boot.img"), constants.COPYFILE_FICLONE);
    copyFileSync(system, join(folder, "system.img"), constants.COPYFILE_FICLONE);
    const update = [
      ...["[update]", `compatible=qkm-${board}`, `version=${version}`],
      // The console shows what changes before it installs: RAUC has one field of free text, of one line.
      `description=${readFileSync(packages, "utf8").trim().replaceAll("\t", " ").replaceAll("\n", ";")}`,
    ];
    const manifest = [...update, "[bundle]", "format=verity"];
    const images = ["[image.boot]", "filename=boot.img", "[image.system]", "filename=system.img"];
    writeFileSync(join(folder, "manifest.raucm"), `${[...manifest, ...images].join("\n")}\n`);
    rmSync(out, { force: true });
    run("rauc", ["bundle", `--cert=${keys.certificate}`, `--key=${keys.key}`, folder, out]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
