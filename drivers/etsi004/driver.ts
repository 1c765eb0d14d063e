// The `etsi004` driver as the configuration sees it.

import type { BoxDriver, DrivenLink, LinkFlaw } from "../../src/device/driver.ts";
import { BOX_OPTIONS, boxFlaws, boxOptionsOf } from "../common/box-options.ts";

const URL_FORM = {
  scheme: "tls",
  form: "tls://HOST:PORT, for example tls://192.0.2.9:25575",
};

/** What the boxes call the two KMs. */
const NAMES = ["local", "remote"] as const;

/** `local` is this KM's ID when it is left out, which is no URI. */
function nameFlaws({ box }: DrivenLink<typeof BOX_OPTIONS>["options"]): readonly LinkFlaw[] {
  if (box === undefined) return [];
  return NAMES.filter((name) => !/^[^:/]+:?\/\/./.test(box[name] ?? "")).map((name) => ({
    key: ["box", name],
    sentence: `${box[name] === undefined ? "is missing: it" : `"${box[name]}"`} must be a URI, for example "qkd://km-a@site-a"`,
  }));
}

/** A vendor's boxes that speak ETSI GS QKD 004. */
export const ETSI004: BoxDriver<typeof BOX_OPTIONS> = {
  kind: "box",
  options: BOX_OPTIONS,
  flaws: (link) => [...boxFlaws(link, URL_FORM), ...nameFlaws(link.options)],
  open: async (link, options, ports) =>
    (await import("./source.ts")).openEtsi004KeyBox(boxOptionsOf(link, options, URL_FORM.scheme), ports),
};
