// Kicks the hardware watchdog as long as every part of the process is healthy, and not a moment longer.
//
//   opened early in the start ── kicked each second while healthy ── orderly stop: disarmed
//                                      │ a part is silent                │ any other end: left armed, so that the
//                                      └ not kicked: the machine resets  └ next process kicks it, or it resets

import { asFault, type Fault } from "../../core/fault.ts";
import type { Clock, Log, Meter } from "../../core/ports.ts";
import type { OpenWatchdog, Watchdog } from "../../device/watchdog.ts";
import type { Collect } from "../metrics/gauges.ts";
import type { Health } from "./health.ts";

const KICK_MS = 1_000;
/** Kicks within one timeout of the watchdog, at least. */
const KICKS_PER_TIMEOUT = 4;
const REOPEN_MS = 10_000;

/** The watchdog's device, and whether the process may run without it. */
export interface WatchdogSettings {
  readonly device: string;
  /** Whether the process must not run without it. */
  readonly required: boolean;
}

/** How the watchdog is opened, and the health that it is kicked on. */
export interface WatchdogPorts {
  readonly open: OpenWatchdog;
  readonly health: Pick<Health, "read">;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
}

/** Kicks the watchdog while the process is healthy; disarms it at an orderly stop. */
export class WatchdogFeeder implements Disposable {
  readonly #settings: WatchdogSettings;
  readonly #ports: WatchdogPorts;
  #open: Watchdog | undefined;
  /** Why it could not be used when that was last tried. */
  #trouble: string | undefined;
  #isWithheld = false;
  #endTimer: () => void = () => {};

  /** Opens the watchdog and kicks it from now on. @throws Fault WATCHDOG_UNAVAILABLE when it is required */
  constructor(settings: WatchdogSettings, ports: WatchdogPorts) {
    this.#settings = settings;
    this.#ports = ports;
    const fault = this.#begin();
    if (fault === undefined || !settings.required) return;
    this.#endTimer();
    throw fault;
  }

  /** Whether the machine is reset when this process hangs. */
  get isArmed(): boolean {
    return this.#open !== undefined;
  }

  /** Why it could not be opened, if so. */
  #begin(): Fault | undefined {
    const { log, open } = this.#ports;
    try {
      const watchdog = open(this.#settings.device);
      const { info } = watchdog;
      this.#open = watchdog;
      this.#trouble = undefined;
      log.info({ ...info }, "the hardware watchdog is armed");
      if (info.hasReset) log.warn({}, "the hardware watchdog has reset this machine");
      if (info.noWayOut) log.warn({}, "the hardware watchdog has no way out: it resets the machine after a stop too");
    } catch (thrown) {
      return this.#lost(asFault(thrown));
    }
    this.#turn();
    return undefined;
  }

  /** Goes on without it, and tries again. */
  #lost(fault: Fault): Fault {
    const { clock, log, meter } = this.#ports;
    this.#open?.[Symbol.dispose]();
    this.#open = undefined;
    this.#endTimer = clock.after(REOPEN_MS, () => void this.#begin());
    if (this.#trouble === fault.message) return fault;
    this.#trouble = fault.message;
    meter.add("alarms", { alarm: "watchdog_unavailable" });
    log.error(
      { alarm: "watchdog_unavailable", fault: fault.response },
      "the hardware watchdog cannot be used: nothing resets this machine if it hangs",
    );
    return fault;
  }

  #turn(): void {
    const watchdog = this.#open;
    if (watchdog === undefined) return;
    const { timeoutS } = watchdog.info;
    try {
      if (this.#mayKick(timeoutS)) watchdog.kick();
    } catch (thrown) {
      this.#lost(asFault(thrown));
      return;
    }
    const everyMs = Math.min(KICK_MS, ((timeoutS ?? Number.POSITIVE_INFINITY) * 1_000) / KICKS_PER_TIMEOUT);
    this.#endTimer = this.#ports.clock.after(everyMs, () => this.#turn());
  }

  /** Says so when it changes. */
  #mayKick(timeoutS: number | undefined): boolean {
    const { health, log, meter } = this.#ports;
    const { healthy, parts } = health.read();
    meter.add(healthy ? "watchdog_kicks" : "watchdog_kicks_withheld", {});
    if (healthy === !this.#isWithheld) return healthy;
    this.#isWithheld = !healthy;
    if (healthy) {
      log.warn({}, "every part is alive again: the hardware watchdog is kicked on");
    } else {
      const silent = parts.filter((part) => !part.healthy).map(({ name, silentMs }) => ({ name, silentMs }));
      meter.add("alarms", { alarm: "watchdog_withheld" });
      log.error(
        { alarm: "watchdog_withheld", silent, timeoutS },
        "a part of this key manager is silent: the hardware watchdog is kicked no more and resets the machine",
      );
    }
    return healthy;
  }

  /** At an orderly stop: from now on nothing resets the machine. */
  disarm(): void {
    this.#endTimer();
    const watchdog = this.#open;
    this.#open = undefined;
    try {
      watchdog?.disarm();
    } catch (thrown) {
      watchdog?.[Symbol.dispose]();
      this.#ports.log.error(
        { event: "watchdog_not_disarmed", fault: asFault(thrown).response },
        "the hardware watchdog could not be disarmed",
      );
    }
  }

  /** Kicks it no more and leaves it armed, unless it was disarmed. */
  [Symbol.dispose](): void {
    this.#endTimer();
    this.#open?.[Symbol.dispose]();
    this.#open = undefined;
  }
}

/** Sets the gauges of the watchdog at each scrape. */
export const watchdogGauges =
  (feeder: WatchdogFeeder): Collect =>
  (set) =>
    set("watchdog_armed", feeder.isArmed ? 1 : 0);
