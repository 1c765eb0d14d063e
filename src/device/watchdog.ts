// The contract of a driver that kicks a hardware watchdog. Its tests: test/contracts/watchdog.ts.

/** What the watchdog says of itself; undefined where the system does not tell. */
export interface WatchdogInfo {
  readonly device: string;
  readonly identity: string | undefined;
  /** Seconds after the last kick until it resets the machine. */
  readonly timeoutS: number | undefined;
  /** It cannot be disarmed: it resets the machine after an orderly stop too, unless the next process kicks it in time. */
  readonly noWayOut: boolean;
  /** The machine was last started by it. */
  readonly hasReset: boolean;
}

/**
 * An open watchdog: it is armed, and resets the machine unless it is kicked in time. When this process ends without
 * `disarm`, however that comes, it stays armed.
 */
export interface Watchdog extends Disposable {
  readonly info: WatchdogInfo;
  /** Puts off the reset by the whole timeout. Never waits. @throws Fault WATCHDOG_UNAVAILABLE: dispose it, open another */
  kick(): void;
  /** At an orderly stop: the machine is not reset. It is closed after. @throws Fault WATCHDOG_UNAVAILABLE */
  disarm(): void;
  /** Closes it and leaves it armed. */
  [Symbol.dispose](): void;
}

/** @throws Fault WATCHDOG_UNAVAILABLE when there is no such device, another process has it, or it cannot be written */
export type OpenWatchdog = (device: string) => Watchdog;
