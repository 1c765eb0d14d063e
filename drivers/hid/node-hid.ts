// The HID library as it is: node-hid on Linux's hidraw.

import { access, constants } from "node:fs/promises";
import { devicesAsync, HIDAsync } from "node-hid";
import { PortError } from "../../src/core/places/usb-port.ts";
import type { HidDevice, HidEdge, HidHandle } from "./edge.ts";

/** The edge on the package node-hid. */
export const nodeHid: HidEdge = {
  async devices(vendorId, productId): Promise<readonly HidDevice[]> {
    const devices = await devicesAsync(vendorId, productId).catch(explain);
    return devices.flatMap(({ path, serialNumber = "", usagePage = 0 }) =>
      path === undefined ? [] : [{ path, serialNumber, usagePage }],
    );
  },

  async open(path): Promise<HidHandle> {
    await access(path, constants.R_OK | constants.W_OK);
    const device = await HIDAsync.open(path).catch(explain);
    return {
      listen(report, gone) {
        device.on("error", gone);
        device.on("data", report);
      },
      async write(bytes) {
        await device.write(bytes);
      },
      async [Symbol.asyncDispose]() {
        await device.close();
      },
    };
  },
};

/** The library is loaded when it is first used; its Linux build is linked with libusb, though it calls nothing of it. */
function explain(cause: unknown): never {
  if (!(cause instanceof Error && "code" in cause && cause.code === "ERR_DLOPEN_FAILED")) throw cause;
  throw new PortError(
    `node-hid cannot be loaded: install the Debian package libusb-1.0-0 (${cause.message})`,
    "no-library",
  );
}
