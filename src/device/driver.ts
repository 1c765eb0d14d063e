// What every driver's opener looks like, so that drivers/index.ts can be a table of them.

import type { LinkId } from "../core/ids.ts";
import type { Secret, SecretPool } from "../core/memory/secret.ts";
import type { Clock, Log, Meter, Random } from "../core/ports.ts";
import type { KeySource } from "./key-source.ts";

/** Which module, on which line. */
export interface SourceOptions {
  readonly link: LinkId;
  /** Device path, for example `/dev/ttyACM0`, or `usb:VENDOR:PRODUCT:SERIAL`. */
  readonly port: string;
  /** Size of every link block; a module that says otherwise delivers nothing, with an alarm. */
  readonly blockBytes: number;
  /** 32 bytes; turns on AES-256-GCM on the line. The caller disposes it after the source. */
  readonly pairingKey?: Secret | undefined;
  /** Bits per second, for lines that have a rate. */
  readonly baudRate?: number | undefined;
}

/** What a driver is given by the node: locked memory for its blocks, time, randomness, log and counters. */
export interface SourcePorts {
  /** Slots for the blocks on their way in, each of at least `blockBytes`. */
  readonly pool: SecretPool;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly meter: Meter;
}

/** Opens a key source; resolves even while its device is not there, and keeps trying. */
export type Driver = (options: SourceOptions, ports: SourcePorts) => Promise<KeySource>;
