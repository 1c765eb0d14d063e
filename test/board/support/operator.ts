// What a person does at the console of an appliance, in more than one story.

import { eventually } from "../../system/support/eventually.ts";
import type { Appliance } from "./appliance.ts";

const BOOTS_MS = 900_000;
const POLL_MS = 1_000;

/** What `show status` shows of a key manager that serves; its count of peers has the same word. */
export const READY = /^state +ready *$/m;

/** Asks the console again and again, until what it shows fits. @throws Error with what it shows, when that never fits */
export async function showsOf(appliance: Appliance, command: string, fits: RegExp): Promise<string> {
  let shown = "";
  const fitted = async (): Promise<boolean> => {
    shown = await appliance.command(command);
    return fits.test(shown);
  };
  await eventually(`${appliance.id} shows ${fits} to "${command}"`, fitted, BOOTS_MS, POLL_MS).catch((thrown) => {
    throw new Error(`it shows:\n${shown}`, { cause: thrown });
  });
  return shown;
}

/** Gives a command that asks for a code, and the code. */
export async function confirmed({ console: line }: Appliance, command: string): Promise<void> {
  line.type(`${command}\r`);
  const [, code] = /type\s+(\d{6})\s+within/.exec(await line.shows("code: ")) ?? [];
  line.type(`${code}\r`);
}

/** Until the slot that runs has proved itself: RAUC may write the other one. */
export async function inOrder(appliance: Appliance): Promise<void> {
  await appliance.root("until [ -e /run/boot/good ]; do sleep 1; done", BOOTS_MS);
}

/** Logs in, installs an update from the medium, and starts the machine again: until its GRUB shows itself. */
export async function update(appliance: Appliance, file: string): Promise<void> {
  const { console: line } = appliance;
  await appliance.logIn();
  await inOrder(appliance);
  line.type(`update ${file}\r`);
  await line.shows("Debian's packages stay as they are.");
  await line.shows("[y/N] ");
  line.type("y\r");
  await line.shows("Installed. It is used from the next start on", BOOTS_MS);
  await confirmed(appliance, "reboot");
  await line.shows("Welcome to GRUB", BOOTS_MS);
}

/** GRUB tries a system with a changed root: the kernel refuses it, and the machine starts again. */
export async function refused({ console: line }: Appliance): Promise<void> {
  await line.shows("dm-verity device corrupted", BOOTS_MS);
  await line.shows("Welcome to GRUB", BOOTS_MS);
}
