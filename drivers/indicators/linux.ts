// The lights of a Linux machine: /sys/class/leds/NAME, whose trigger lights it (Documentation/leds/leds-class.rst).
//
//   trigger none, brightness 0 or max_brightness     off, on
//   trigger timer                                    blinking, by the kernel, once a second

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Log } from "../../src/core/ports.ts";
import type { Condition, ConditionDisplay, Indicator, Light } from "../../src/device/indicators.ts";

const SYSFS = "/sys/class/leds";

/** Lights that are missing or may not be written are named in the log once, and left alone. `sysfs`: where their folder is. */
export function openLinuxIndicators(indicators: readonly Indicator[], log: Log, sysfs = SYSFS): ConditionDisplay {
  const lights = indicators.map((indicator) => new Led(join(sysfs, indicator.led), indicator, log));
  return {
    show: (condition) => {
      for (const light of lights) light.show(condition);
    },
    // A board without power to its lights and one that was stopped look alike; one that was zeroised goes on to say so.
    end: (condition) => {
      for (const light of lights) light.end(condition);
    },
  };
}

class Led {
  readonly #folder: string;
  readonly #indicator: Indicator;
  readonly #log: Log;
  #does: Light | undefined;
  #isTold = false;

  constructor(folder: string, indicator: Indicator, log: Log) {
    this.#folder = folder;
    this.#indicator = indicator;
    this.#log = log;
  }

  show(condition: Condition): void {
    this.#set(this.#indicator.shows[condition]);
  }

  end(condition: Condition): void {
    this.#set(condition === "zeroised" ? this.#indicator.shows.zeroised : "off");
  }

  #set(light: Light): void {
    if (light === this.#does) return;
    try {
      this.#write(light);
      this.#does = light;
      this.#isTold = false;
    } catch (err) {
      this.#does = undefined;
      if (!this.#isTold) this.#log.warn({ led: this.#indicator.led, err }, "an indicator cannot be set");
      this.#isTold = true;
    }
  }

  #write(light: Light): void {
    const put = (file: string, value: string): void => writeFileSync(join(this.#folder, file), value);
    if (light !== "blinking") {
      put("trigger", "none");
      put("brightness", light === "off" ? "0" : readFileSync(join(this.#folder, "max_brightness"), "utf8").trim());
      return;
    }
    put("trigger", "timer");
  }
}
