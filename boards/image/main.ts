// `npm run image -- --board BOARD`: makes the board's disk image, or the signed bundle of an update.

import { copyFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { buildImage } from "./build.ts";
import { ImageError, say, step } from "./tools.ts";
import { compare } from "./twice.ts";
import { makeBundle, updateKeys } from "./updates.ts";

const USAGE = `usage: npm run image -- --board BOARD [--out FILE] [--bundle FILE] [--keys DIR] [--cache DIR] [--fresh] [--twice]

  --board BOARD   what hardware the image is for; docs/boards.md lists the boards
  --out FILE      a copy of the disk image, to be written to the appliance's disk
  --bundle FILE   the signed bundle that updates appliances (FILE.raucb)
  --keys DIR      where the key is that signs updates; made if it is missing
  --cache DIR     where parts are kept for the next time
  --fresh         use nothing that is kept
  --twice         make all of it twice, and compare
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
      help: { type: "boolean" },
    },
  });
  const { board, out, bundle, help } = values;
  if (help || board === undefined) {
    process.stdout.write(USAGE);
    process.exitCode = help ? 0 : 2;
    return;
  }
  const built = await buildImage({ ...values, board, fresh: values.fresh || values.twice });
  if (values.twice) {
    const second = join(dirname(dirname(built.disk)), "again");
    const again = await buildImage({ board, keys: built.keys, cache: second, fresh: true });
    compare(built, again);
    rmSync(second, { recursive: true });
  }
  if (bundle !== undefined) {
    await step(`signing ${bundle}`, () => makeBundle(bundle, { ...built, board }, updateKeys(built.keys)));
  }
  if (out !== undefined) copyFileSync(built.disk, out);
  say(`the image is ${out ?? built.disk}`);
}

main().catch((thrown: unknown) => {
  if (!(thrown instanceof ImageError) && !(thrown instanceof TypeError)) throw thrown;
  process.stderr.write(`image: ${thrown.message}\n`);
  process.exitCode = 1;
});
