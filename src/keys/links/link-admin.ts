// Whether an operator lets a link be used: while not, nothing is taken in from its module and no block of it is used.

import type { Context } from "../common/context.ts";
import type { LinkInventory } from "./link-inventory.ts";

/** On from the start: it lasts until it is put back or the process ends. */
export class LinkAdmin {
  #isOn = true;
  #returned = Promise.withResolvers<void>();

  get isOn(): boolean {
    return this.#isOn;
  }

  /** False when it was so already. */
  set(isOn: boolean): boolean {
    if (isOn === this.#isOn) return false;
    this.#isOn = isOn;
    if (isOn) this.#returned.resolve();
    else this.#returned = Promise.withResolvers<void>();
    return true;
  }

  /** Resolves while it is on, or when the signal ends the waiting. */
  async whenOn(signal: AbortSignal): Promise<void> {
    if (this.#isOn || signal.aborted) return;
    const aborted = Promise.withResolvers<void>();
    const abort = (): void => aborted.resolve();
    signal.addEventListener("abort", abort, { once: true });
    await Promise.race([this.#returned.promise, aborted.promise]);
    signal.removeEventListener("abort", abort);
  }
}

/** Takes a link out of use or puts it back, which log and counters tell. False when it was so. */
export function setLinkState(
  { log, meter }: Pick<Context, "log" | "meter">,
  link: LinkInventory,
  isOn: boolean,
): boolean {
  const { id } = link.settings;
  if (!link.use.set(isOn)) return false;
  if (isOn) log.info({ link: id }, "the link is in use again");
  else log.error({ alarm: OUT_OF_USE, link: id }, "an operator took the link out of use; put it back with: link up");
  if (!isOn) meter.add("alarms", { alarm: OUT_OF_USE });
  return true;
}

const OUT_OF_USE = "link_out_of_use";
