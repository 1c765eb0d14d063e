// `npm run image -- --board BOARD`: makes the board's disk image, signed for Secure Boot if asked, or the signed bundle of an update.

import { copyFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { type BuiltImage, buildImage, CACHE, imagedBoard } from "./build.ts";
import { makeSecureKeys } from "./secure/keys.ts";
import { makeEnrolment, signImage } from "./secure/sign.ts";
import { ImageError, say, step } from "./tools.ts";
import { compare } from "./twice.ts";
import { makeBundle, updateKeys } from "./updates.ts";

const USAGE = `usage: npm run image -- --board BOARD [--out FILE] [--bundle FILE] [--keys DIR] [--cache DIR] [--fresh] [--twice]
                         [--sign DIR [--revoke-older] [--enrol FILE]]
       npm run image -- --make-keys DIR

  --board BOARD   what hardware the image is for; docs/boards.md lists the boards
  --out FILE      a copy of the disk image, to be written to the appliance's disk
  --bundle FILE   the signed bundle that updates appliances (FILE.raucb)
  --keys DIR      where the key is that signs updates; made if it is missing
  --cache DIR     where parts are kept for the next time
  --fresh         use nothing that is kept
  --twice         make all of it twice, and compare
  --make-keys DIR make the keys of Secure Boot (docs/secure-boot.md)
  --sign DIR      sign disk image and bundle with them, for a firmware that starts nothing else
  --revoke-older  once it is in order, the firmware shall start nothing that was signed before
  --enrol FILE    make a FAT volume that puts the keys into a firmware in setup mode
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      board: { type: "string" },
      out: { type: "string" },
      bundle: { type: "string" },
      keys: { type: "string" },
      cache: { type: "string" },
      fresh: { type: "boolean" },
      twice: { type: "boolean" },
      "make-keys": { type: "string" },
      sign: { type: "string" },
      "revoke-older": { type: "boolean", default: false },
      enrol: { type: "string" },
      help: { type: "boolean" },
    },
  });
  const { board, out, bundle, sign, help } = values;
  if (values["make-keys"] !== undefined) {
    makeSecureKeys(values["make-keys"]);
    return;
  }
  if (help || board === undefined) {
    process.stdout.write(USAGE);
    process.exitCode = help ? 0 : 2;
    return;
  }
  if (sign === undefined && (values.enrol !== undefined || values["revoke-older"])) {
    throw new ImageError("--enrol and --revoke-older go with --sign DIR, which names the keys");
  }
  const unsigned = await buildImage({ ...values, board, fresh: values.fresh || values.twice });
  if (values.twice) {
    const second = join(dirname(dirname(unsigned.disk)), "again");
    const again = await buildImage({ board, keys: unsigned.keys, cache: second, fresh: true });
    compare(unsigned, again);
    rmSync(second, { recursive: true });
  }
  const built = sign === undefined ? unsigned : await signed(unsigned, { ...values, board, sign });
  if (bundle !== undefined) {
    await step(`signing ${bundle}`, () => makeBundle(bundle, { ...built, board }, updateKeys(built.keys)));
  }
  if (out !== undefined) copyFileSync(built.disk, out);
  say(`the image is ${out ?? built.disk}`);
}

interface SignValues {
  readonly board: string;
  readonly sign: string;
  readonly cache?: string | undefined;
  readonly "revoke-older": boolean;
  readonly enrol?: string | undefined;
}

async function signed(built: BuiltImage, { cache = CACHE, enrol, sign, ...values }: SignValues): Promise<BuiltImage> {
  const options = { board: imagedBoard(values.board), keys: sign, cache, epoch: built.epoch };
  if (enrol !== undefined) await makeEnrolment(enrol, options);
  return await signImage(built, { ...options, revokeOlder: values["revoke-older"] });
}

main().catch((thrown: unknown) => {
  if (!(thrown instanceof ImageError) && !(thrown instanceof TypeError)) throw thrown;
  process.stderr.write(`image: ${thrown.message}\n`);
  process.exitCode = 1;
});
