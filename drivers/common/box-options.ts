// What the drivers of vendor's boxes have in common in the configuration.

import * as v from "valibot";
import { choice, file, integer, secretFile, text, wholeBytes } from "../../src/config/schema/fields.ts";
import { boxPlace } from "../../src/core/places/box-port.ts";
import type { BoxLink, DrivenLink, LinkFlaw } from "../../src/device/driver.ts";
import type { BoxOptions } from "../../src/device/key-box.ts";

/** Of every link with boxes: who this KM is to the box here. */
export const BOX_OPTIONS = {
  box: v.optional(
    v.strictObject({
      remote: text("what the vendor's boxes call the KM at the other end: its SAE ID; for `etsi004` its URI"),
      local: v.optional(text("what they call this KM; `id` of `[node]` when left out")),
      certificate: file(
        "the certificate that this KM shows to the box (PEM); a renewed one counts with the next connection",
      ),
      key: secretFile("its private key (PEM), not readable by others"),
      trust: file("the CA that signed the box's certificate (PEM)"),
      server_name: v.optional(text("name in the box's certificate, where it is not the host of `port`")),
      min_tls: v.optional(choice(["1.3", "1.2"], "`1.2` for a box that has nothing newer"), "1.3"),
      key_bits: v.optional(
        v.pipe(
          integer(64, 262_144, "`etsi014`: size of each key that is asked for; the box's largest when left out"),
          wholeBytes,
        ),
      ),
      wire: v.optional(choice(["A", "B"], "`etsi004`: how the box writes its frames"), "B"),
    }),
  ),
};

type BoxTable = DrivenLink<typeof BOX_OPTIONS>["options"];

/** How the URL of a kind of box is written. */
export interface BoxUrl {
  readonly scheme: string;
  readonly form: string;
}

/** What is wrong with a box's URL and table, whatever its driver. */
export function boxFlaws({ port, options }: DrivenLink<typeof BOX_OPTIONS>, { scheme, form }: BoxUrl): LinkFlaw[] {
  const flaws: LinkFlaw[] = [];
  if (boxPlace(port, scheme) === undefined) flaws.push({ key: ["port"], sentence: `"${port}" must be ${form}` });
  if (options.box === undefined) {
    flaws.push({ key: ["box"], sentence: "is missing: [links.box] says who this KM is to the box" });
  }
  return flaws;
}

/** What a box's driver needs of both. @throws Error for what has flaws */
export function boxOptionsOf({ link, self, port, blockBytes }: BoxLink, { box }: BoxTable, scheme: string): BoxOptions {
  const place = boxPlace(port, scheme);
  if (place === undefined || box === undefined) throw new Error(`the link ${link} has no box`);
  const { local = self, remote, certificate, key, trust } = box;
  return {
    ...{ link, blockBytes, ...place, local, remote, tls: { certificate, key, trust } },
    serverName: box.server_name,
    minTls: box.min_tls,
    keyBits: box.key_bits,
    wire: box.wire,
  };
}
