// Tests of drivers/indicators/linux.ts on a folder that looks like /sys/class/leds.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BOARDS } from "../../../boards/index.ts";
import { openLinuxIndicators } from "../../../drivers/indicators/linux.ts";
import { CONDITIONS, type Condition } from "../../../src/device/indicators.ts";
import { type Recorder, recorder } from "../../support/recorder.ts";

const { indicators } = BOARDS["raspberrypi-cm4"];
let sysfs: string;
let told: Recorder;
beforeEach(() => {
  sysfs = mkdtempSync(join(tmpdir(), "qkm-leds-"));
  told = recorder();
  for (const { led } of indicators) make(led);
});
afterEach(() => rmSync(sysfs, { recursive: true }));

function make(led: string): void {
  mkdirSync(join(sysfs, led));
  writeFileSync(join(sysfs, led, "max_brightness"), "255\n");
  writeFileSync(join(sysfs, led, "brightness"), "0\n");
  writeFileSync(join(sysfs, led, "trigger"), "mmc0");
}

const read = (led: string, file: string): string => readFileSync(join(sysfs, led, file), "utf8").trim();

/** What a light does, by its files. */
function lightOf(led: string): string {
  if (read(led, "trigger") === "timer") return "blinking";
  expect(read(led, "trigger")).toBe("none");
  return { "0": "off", "255": "on" }[read(led, "brightness")] ?? "dim";
}

const lights = (): string[] => indicators.map(({ led }) => lightOf(led));

test("each condition is shown as the board's data says, and no two look alike", () => {
  const display = openLinuxIndicators(indicators, told.log, sysfs);
  const looks = CONDITIONS.map((condition: Condition) => {
    display.show(condition, true);
    expect(lights()).toEqual(indicators.map(({ shows }) => shows[condition]));
    return lights().join();
  });
  expect(new Set(looks).size).toBe(CONDITIONS.length);
  expect(told.lines).toEqual([]);
});

test("a light that shows it already is left alone", () => {
  const display = openLinuxIndicators(indicators, told.log, sysfs);
  display.show("healthy", true);
  writeFileSync(join(sysfs, "ACT", "brightness"), "17");
  display.show("healthy", true);
  expect(read("ACT", "brightness")).toBe("17");
});

test("after an orderly stop all is dark; that the keys were destroyed stays to be seen", () => {
  const display = openLinuxIndicators(indicators, told.log, sysfs);
  display.show("healthy", true);
  display.end("healthy");
  expect(lights()).toEqual(["off", "off"]);
  display.end("zeroised");
  expect(lights()).toEqual(indicators.map(({ shows }) => shows.zeroised));
});

test("a light that is missing is named once, the other works, and it is lit when it comes", () => {
  rmSync(join(sysfs, "ACT"), { recursive: true });
  const display = openLinuxIndicators(indicators, told.log, sysfs);
  for (let turn = 0; turn < 3; turn++) display.show("fault", true);
  expect(told.lines.map(({ fields }) => fields.led)).toEqual(["ACT"]);
  expect(lightOf("PWR")).toBe("on");
  make("ACT");
  display.show("booting", true);
  expect(lights()).toEqual(["blinking", "off"]);
});
