// What links say to their drivers: that each understands it, and that no two links are one module.

import { DRIVERS, type DriverName } from "../../drivers/index.ts";
import type { LinkConfig, NodeConfig } from "../config.ts";
import { mayBeSame, parseUsbPort } from "../core/places/usb-port.ts";
import type { Complain } from "./checks.ts";

/** Complains of what the drivers of links cannot work with, or two links share. */
export function checkPorts({ links }: NodeConfig, complain: Complain): void {
  for (const [at, link] of links.entries()) {
    const { kind, options, flaws } = DRIVERS[link.driver];
    for (const key of Object.keys(link.options).filter((name) => !Object.hasOwn(options, name))) {
      complain(["links", at, key], `belongs to driver = ${ownersOf(key)}: remove it, or write another driver`);
    }
    for (const { key, sentence } of flaws(link)) complain(["links", at, ...key], sentence);
    // One box may serve several links, each for another KM at the far end.
    const other = kind === "box" ? undefined : links.slice(0, at).find((one) => isSamePort(one, link));
    if (other !== undefined) {
      complain(["links", at, "port"], `"${link.port}" is the module of a link already, "${other.id}"`);
    }
  }
}

/** The drivers that have an option. */
const ownersOf = (key: string): string =>
  (Object.keys(DRIVERS) as DriverName[])
    .filter((name) => Object.hasOwn(DRIVERS[name].options, key))
    .map((name) => `"${name}"`)
    .join(" or ");

function isSamePort(a: LinkConfig, b: LinkConfig): boolean {
  const [usbA, usbB] = [parseUsbPort(a.port), parseUsbPort(b.port)];
  return a.port === b.port || (usbA !== undefined && usbB !== undefined && mayBeSame(usbA, usbB));
}
