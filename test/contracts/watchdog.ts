// The contract of src/device/watchdog.ts as tests, for every driver.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Watchdog } from "../../src/device/watchdog.ts";

/** The device as it is seen from its other side. */
export interface WatchdogRig extends Disposable {
  readonly kicks: number;
  readonly isHeld: boolean;
  readonly isDisarmed: boolean;
  pull(): void;
}

/** Registers the tests; `build` makes a device and what opens it. */
export function exerciseWatchdog(
  name: string,
  build: () => { readonly rig: WatchdogRig; readonly open: () => Watchdog },
): void {
  describe(`${name} keeps the contract of a watchdog`, () => {
    let rig: WatchdogRig;
    let open: () => Watchdog;
    beforeEach(() => {
      ({ rig, open } = build());
    });
    afterEach(() => rig[Symbol.dispose]());

    test("each kick reaches the device at once", () => {
      using watchdog = open();
      for (let kicks = 1; kicks <= 3; kicks++) {
        watchdog.kick();
        expect(rig.kicks).toBe(kicks);
      }
      expect(rig.isHeld).toBe(true);
    });

    test("disarming it is a magic close, after which it is not kicked any more", () => {
      using watchdog = open();
      watchdog.kick();
      watchdog.disarm();
      expect(rig.isDisarmed).toBe(true);
      expect(() => watchdog.kick()).toThrow(expect.objectContaining({ code: "WATCHDOG_UNAVAILABLE" }));
      expect(() => watchdog.disarm()).toThrow(expect.objectContaining({ code: "WATCHDOG_UNAVAILABLE" }));
    });

    test("a dispose leaves it armed, and the next process can have it", () => {
      const watchdog = open();
      watchdog.kick();
      watchdog[Symbol.dispose]();
      watchdog[Symbol.dispose]();
      expect(rig).toMatchObject({ isHeld: false, isDisarmed: false });
      using next = open();
      next.kick();
      expect(rig).toMatchObject({ kicks: 2, isHeld: true });
    });

    test("a kick after a magic close by another opening arms it again", () => {
      open().disarm();
      expect(rig.isDisarmed).toBe(true);
      using watchdog = open();
      watchdog.kick();
      expect(rig.isDisarmed).toBe(false);
    });

    test("a device that goes away is a fault with its reason, and never waited for", () => {
      using watchdog = open();
      watchdog.kick();
      rig.pull();
      expect(() => watchdog.kick()).toThrow(expect.objectContaining({ code: "WATCHDOG_UNAVAILABLE" }));
      expect(() => watchdog.disarm()).toThrow(expect.objectContaining({ code: "WATCHDOG_UNAVAILABLE" }));
      expect(() => open()).toThrow(expect.objectContaining({ code: "WATCHDOG_UNAVAILABLE" }));
    });
  });
}
