// What every driver looks like, so that drivers/index.ts can be a table of them: what the configuration may say of a link
// whose key comes through it, what of that cannot work, and how it is opened.
//
// A driver of modules gives a `KeySource`, one of a vendor's boxes a `KeyBox`.

import type { InferOutput, ObjectEntries, StrictObjectSchema } from "valibot";
import type { KmId, LinkId } from "../core/ids.ts";
import type { Secret, SecretPool } from "../core/memory/secret.ts";
import type { Clock, Log, Meter, Random } from "../core/ports.ts";
import type { BoxPorts, KeyBox } from "./key-box.ts";
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
export type OpenSource = (options: SourceOptions, ports: SourcePorts) => Promise<KeySource>;

/** What is wrong with a link: at one of its keys, or in a table of it. */
export interface LinkFlaw {
  readonly key: readonly string[];
  /** What to do. */
  readonly sentence: string;
}

/** Values of options, by their schema. */
export type OptionsOf<Options extends ObjectEntries> = InferOutput<StrictObjectSchema<Options, undefined>>;

/** What the configuration says of a link to its driver. */
export interface DrivenLink<Options extends ObjectEntries> {
  /** A path that is absolute, or whatever else the driver understands. */
  readonly port: string;
  /** As the driver's schema has them; files by absolute paths. */
  readonly options: OptionsOf<Options>;
}

interface LinkDriver<Options extends ObjectEntries> {
  /** What `[[links]]` may say beside what every link has: keys as in the file, none of them required, none with a default. */
  readonly options: Options;
  /** What cannot work. */
  flaws(link: DrivenLink<Options>): readonly LinkFlaw[];
}

/** A driver of modules. None of its code but this is loaded before it is opened. */
export interface ModuleDriver<Options extends ObjectEntries = ObjectEntries> extends LinkDriver<Options> {
  readonly kind: "module";
  open(module: Omit<SourceOptions, "baudRate">, options: OptionsOf<Options>, ports: SourcePorts): Promise<KeySource>;
}

/** A link whose key comes from a vendor's boxes. */
export interface BoxLink {
  readonly link: LinkId;
  readonly self: KmId;
  /** URL of the box. */
  readonly port: string;
  readonly blockBytes: number;
}

/** A driver of a vendor's boxes. None of its code but this is loaded before it is opened. */
export interface BoxDriver<Options extends ObjectEntries = ObjectEntries> extends LinkDriver<Options> {
  readonly kind: "box";
  open(box: BoxLink, options: OptionsOf<Options>, ports: BoxPorts): Promise<KeyBox>;
}
