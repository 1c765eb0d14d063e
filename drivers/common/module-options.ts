// What the drivers of modules have in common in the configuration.

import * as v from "valibot";
import { secretFile } from "../../src/config/schema/fields.ts";
import { isUrlPort } from "../../src/core/places/box-port.ts";
import { isNetworkPort, NETWORK_PORT_FORM, parseNetworkPort } from "../../src/core/places/network-port.ts";
import { isUsbPort, parseUsbPort, USB_PORT_FORM } from "../../src/core/places/usb-port.ts";
import type { DrivenLink, LinkFlaw } from "../../src/device/driver.ts";

/** Of every link with a module. */
export const MODULE_OPTIONS = {
  pairing_key_file: v.optional(secretFile("file with the module's pairing key, not readable by others")),
};

/** A device that is another driver's. */
interface ForeignDevice {
  readonly path: RegExp;
  readonly sentence: string;
}

/** What is wrong with a module's port, whatever its driver. */
export function moduleFlaws({ port, options }: DrivenLink<typeof MODULE_OPTIONS>, foreign: ForeignDevice): LinkFlaw[] {
  const flaws: LinkFlaw[] = [];
  const wrong = (key: string, sentence: string): number => flaws.push({ key: [key], sentence });
  if (isUsbPort(port) && parseUsbPort(port) === undefined)
    wrong("port", `"${port}" must be a path or ${USB_PORT_FORM}`);
  if (foreign.path.test(port)) wrong("port", `${port} ${foreign.sentence}`);
  if (isUrlPort(port)) wrong("port", `${port} is a vendor's box: write driver = "etsi014", or "etsi004"`);
  if (!isNetworkPort(port)) return flaws;
  if (parseNetworkPort(port) === undefined) wrong("port", `"${port}" must be ${NETWORK_PORT_FORM}`);
  if (options.pairing_key_file === undefined) {
    wrong("pairing_key_file", `is missing: what comes from ${port} passes a network`);
  }
  return flaws;
}
