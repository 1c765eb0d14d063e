// The watchdog of Linux: /dev/watchdogN, which counts from its opening, and what /sys/class/watchdog tells of it.
//
//   any byte written      puts off the reset
//   "V", then the close   disarms it (the magic close), unless it has no way out
//   the close alone       leaves it armed

import { closeSync, constants, openSync, readFileSync, writeSync } from "node:fs";
import { basename, join } from "node:path";
import { Fault } from "../../src/core/fault.ts";
import type { Watchdog, WatchdogInfo } from "../../src/device/watchdog.ts";

const SYSFS = "/sys/class/watchdog";
/** In `bootstatus` (linux/watchdog.h, WDIOF_CARDRESET): the watchdog has reset the machine. */
const CARD_RESET = 0x20;
const KICK = Uint8Array.of(0);
const MAGIC_CLOSE = Uint8Array.of("V".charCodeAt(0));
/** Bytes, never waiting: a device that does not take one at once is as good as none. */
const FLAGS = constants.O_WRONLY | constants.O_NONBLOCK;

/** Opens and arms a watchdog. `sysfs`: where its folder is. @throws Fault WATCHDOG_UNAVAILABLE */
export function openLinuxWatchdog(device: string, sysfs = SYSFS): Watchdog {
  return new LinuxWatchdog(
    attempt(device, () => openSync(device, FLAGS)),
    infoOf(device, sysfs),
  );
}

class LinuxWatchdog implements Watchdog {
  readonly info: WatchdogInfo;
  #fd: number | undefined;

  constructor(fd: number, info: WatchdogInfo) {
    this.#fd = fd;
    this.info = info;
  }

  kick(): void {
    this.#write(KICK);
  }

  disarm(): void {
    this.#write(MAGIC_CLOSE);
    this[Symbol.dispose]();
  }

  #write(byte: Uint8Array): void {
    const { device } = this.info;
    const fd = this.#fd;
    if (fd === undefined) throw new Fault("WATCHDOG_UNAVAILABLE", { text: `${device} is closed` });
    attempt(device, () => writeSync(fd, byte));
  }

  [Symbol.dispose](): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) closeSync(fd);
  }
}

function attempt<T>(device: string, work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const why = REASONS[codeOf(cause)] ?? (cause instanceof Error ? cause.message : String(cause));
    throw new Fault("WATCHDOG_UNAVAILABLE", { text: `${device}: ${why}`, cause });
  }
}

const codeOf = (thrown: unknown): string =>
  thrown instanceof Error && "code" in thrown ? String(thrown.code) : "unknown";

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such device: is the module of its kernel driver loaded?",
  ENODEV: "the device is gone",
  ENXIO: "there is no such device",
  EBUSY: "another process has it: only one may",
  EACCES: "this user may not write to it: give it the group of the key manager (udev)",
  EPERM: "this process may not write to it: allow the device in the unit (DeviceAllow=)",
  EAGAIN: "it does not take what is written",
};

function infoOf(device: string, sysfs: string): WatchdogInfo {
  const folder = join(sysfs, folderOf(device));
  const text = (name: string): string | undefined => {
    try {
      return readFileSync(join(folder, name), "utf8").trim() || undefined;
    } catch {
      return undefined;
    }
  };
  const number = (name: string): number | undefined => {
    const value = Number(text(name) ?? Number.NaN);
    return Number.isSafeInteger(value) ? value : undefined;
  };
  return {
    device,
    identity: text("identity"),
    timeoutS: number("timeout"),
    noWayOut: number("nowayout") === 1,
    hasReset: ((number("bootstatus") ?? 0) & CARD_RESET) !== 0,
  };
}

/** /dev/watchdog is the old name of the first one. */
const folderOf = (device: string): string => {
  const name = basename(device);
  return name === "watchdog" ? "watchdog0" : name;
};
