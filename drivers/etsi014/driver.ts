// The `etsi014` driver as the configuration sees it.

import type { BoxDriver } from "../../src/device/driver.ts";
import { BOX_OPTIONS, boxFlaws, boxOptionsOf } from "../common/box-options.ts";

const URL_FORM = {
  scheme: "https",
  form: "https://HOST:PORT, for example https://192.0.2.9:443 or https://[2001:db8::9]:443",
};

/** A vendor's boxes that speak ETSI GS QKD 014. */
export const ETSI014: BoxDriver<typeof BOX_OPTIONS> = {
  kind: "box",
  options: BOX_OPTIONS,
  flaws: (link) => boxFlaws(link, URL_FORM),
  open: async (link, options, ports) =>
    (await import("./source.ts")).openEtsi014KeyBox(boxOptionsOf(link, options, URL_FORM.scheme), ports),
};
