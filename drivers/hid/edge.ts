// What the driver needs of a HID library: who is there, and reports of one device both ways.

/** A HID device as the system lists it; one with several uses is listed once for each. */
export interface HidDevice {
  readonly path: string;
  /** Empty when it has none. */
  readonly serialNumber: string;
  readonly usagePage: number;
}

/** An open device. It never comes back once it is gone. */
export interface HidHandle extends AsyncDisposable {
  /** To be called once. `report` owns each input report; `gone` says that the device went away. */
  listen(report: (bytes: Buffer) => void, gone: () => void): void;
  /** Sends an output report behind its report ID of one byte; resolves when the device has it. One at a time. */
  write(report: Buffer): Promise<void>;
}

/** What the driver needs of a HID library; the tests put a model here. */
export interface HidEdge {
  /** The devices of these ids now. */
  devices(vendorId: number, productId: number): Promise<readonly HidDevice[]>;
  /** @throws Error with the system's `code` where there is no file or no permission; or of the library */
  open(path: string): Promise<HidHandle>;
}
