// Tests of drivers/watchdog/linux.ts on a FIFO in the place of the device, and a folder in the place of sysfs.

import { expect, test } from "vitest";
import { openLinuxWatchdog } from "../../../drivers/watchdog/linux.ts";
import { exerciseWatchdog } from "../../contracts/watchdog.ts";
import { ModelWatchdog } from "../../support/model-watchdog.ts";

exerciseWatchdog("the Linux driver", () => {
  const rig = new ModelWatchdog();
  return { rig, open: () => openLinuxWatchdog(rig.device, rig.sysfs) };
});

test("what sysfs tells of the device is read when it is opened", () => {
  using model = new ModelWatchdog();
  model.describe({ identity: "i6300ESB timer", timeout: "30", nowayout: "1", bootstatus: "32" });
  using watchdog = openLinuxWatchdog(model.device, model.sysfs);
  expect(watchdog.info).toEqual({
    ...{ device: model.device, identity: "i6300ESB timer", timeoutS: 30 },
    ...{ noWayOut: true, hasReset: true },
  });
});

test("what sysfs does not tell, or tells as nonsense, is not made up", () => {
  using model = new ModelWatchdog();
  model.describe({ timeout: "soon", nowayout: "0", bootstatus: "0" });
  using watchdog = openLinuxWatchdog(model.device, model.sysfs);
  expect(watchdog.info).toMatchObject({ identity: undefined, timeoutS: undefined, noWayOut: false, hasReset: false });
  using bare = openLinuxWatchdog(model.device, "/nowhere");
  expect(bare.info).toMatchObject({ timeoutS: undefined, noWayOut: false, hasReset: false });
});

test("a device that is not there is named with the remedy", () => {
  expect(() => openLinuxWatchdog("/nowhere/watchdog0")).toThrow("/nowhere/watchdog0: there is no such device: is the");
});

test("a device that takes nothing is a fault instead of a wait", () => {
  using model = new ModelWatchdog();
  using watchdog = openLinuxWatchdog(model.device, model.sysfs);
  const fill = (): void => {
    for (let kicks = 0; kicks < 1 << 20; kicks++) watchdog.kick();
  };
  expect(fill).toThrow("it does not take what is written");
});
