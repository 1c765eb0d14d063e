// One connection of an application: its calls one after the other, each answered in the dialect that it came in.

import { asFault, Fault } from "../core/fault.ts";
import { type AppId, appId } from "../core/ids.ts";
import type { Clock, Log, Meter } from "../core/ports.ts";
import type { Grant } from "../keys/ports/keys.ts";
import type { ChunkFacts, StreamDoor, StreamQos } from "../keys/ports/streams.ts";
import type { Channel, ChannelHandler } from "../net/channel.ts";
import { decodeInPlace } from "../wire/raw-key.ts";
import type { SupplyRing } from "../wire/ring.ts";
import { applicationIn, type Dialect, type Frame, FrameError, FrameReader, SERVICES } from "./frames.ts";
import {
  chunkFrameBytes,
  closeAnswer,
  type GetKeyRequest,
  getKeyRefusal,
  isKnownType,
  type OpenRequest,
  openAnswer,
  readClose,
  readGetKey,
  readOpen,
  STATUS,
  statusOf,
  writeChunk,
} from "./messages.ts";

const DOOR = { door: "etsi004" } as const;
/** Clients of wire A make a connection for each call, and some leave it open. */
const IDLE_MS: Readonly<Record<Dialect, number>> = { A: 10_000, B: 600_000 };
const FIRST_FRAME_MS = 30_000;
/** What the key manager may take longer than the client's Timeout to say itself that it is over. */
const TIMEOUT_MARGIN_MS = 250;
const USUAL_TIMEOUT_MS = 5000;

/** Room for metadata: `{"age":…,"hops":…}` is never longer. */
export const METADATA_BYTES = 32;

/** What a connection works with. */
export interface ConnectionPorts {
  readonly streams: StreamDoor;
  readonly clock: Clock;
  readonly log: Log;
  readonly meter: Meter;
  /** Locked memory in which answers with key are laid. */
  readonly ring: SupplyRing;
}

/** A call until it is answered. */
interface Call {
  readonly dialect: Dialect;
  giveUp: () => void;
  stopTimer: () => void;
}

/** One connection of an application: its frames in, answers out in the order asked. */
export class Etsi004Connection implements ChannelHandler {
  readonly #app: AppId;
  readonly #channel: Channel;
  readonly #ports: ConnectionPorts;
  readonly #reader = new FrameReader();
  #call: Call | undefined;
  #ended = false;
  #stopIdle: () => void;

  constructor(channel: Channel, ports: ConnectionPorts) {
    this.#app = appId(channel.id);
    this.#channel = channel;
    this.#ports = ports;
    this.#stopIdle = this.#idle(FIRST_FRAME_MS);
    channel.start(this);
  }

  received(chunk: Uint8Array): void {
    if (this.#ended) return;
    try {
      this.#reader.push(chunk);
      this.#next();
    } catch (thrown) {
      this.#refuseFrame(thrown);
    }
  }

  drained(): void {
    try {
      this.#next();
    } catch (thrown) {
      this.#refuseFrame(thrown);
    }
  }

  closed(reason: string): void {
    this.#end();
    this.#ports.log.info({ ...DOOR, app: this.#app, reason }, "connection closed");
  }

  #idle(ms: number): () => void {
    return this.#ports.clock.after(ms, () => {
      this.#end();
      this.#channel.close("no call came for long");
    });
  }

  /** Begins the next call, if none is under way. @throws FrameError */
  #next(): void {
    while (!this.#ended && this.#call === undefined && !this.#channel.writing) {
      const frame = this.#reader.next();
      if (frame === undefined) return;
      this.#stopIdle();
      this.#begin(frame);
    }
  }

  #begin({ dialect, service, payload }: Frame): void {
    if (service === SERVICES.open) this.#open(dialect, readOpen(payload, dialect));
    else if (service === SERVICES.getKey) this.#getKey(dialect, readGetKey(payload, dialect));
    else if (service === SERVICES.close) this.#close(dialect, readClose(payload));
    else throw new FrameError("unknown_code", `service ${service} is not known`);
  }

  /** Runs until the function given is called, or the time is over. */
  #start(dialect: Dialect, timeoutMs: number, late: () => void): Call {
    const stopTimer = this.#ports.clock.after(timeoutMs, () => {
      call.giveUp();
      late();
    });
    const call: Call = { dialect, giveUp: () => {}, stopTimer };
    this.#call = call;
    return call;
  }

  /** True once for each call: whoever is told so may answer. */
  #settle(call: Call): boolean {
    call.stopTimer();
    if (this.#call !== call) return false;
    this.#call = undefined;
    return !this.#ended;
  }

  #open(dialect: Dialect, request: OpenRequest): void {
    const { qos, id } = request;
    const answer = (status: number, said: StreamQos = qos, name = id): void => {
      if (this.#settle(call)) this.#send(dialect, openAnswer(dialect, { status, qos: said, id: name }));
    };
    const late = (qos.timeoutMs || USUAL_TIMEOUT_MS) + TIMEOUT_MARGIN_MS;
    const call = this.#start(dialect, late, () => answer(STATUS.timeout));
    try {
      if (!isKnownType(request.mimeType)) {
        answer(STATUS.qosNotMet, { ...qos, withFacts: true });
        return;
      }
      const asked = { app: this.#app, other: otherIn(request, this.#app), id, qos };
      call.giveUp = this.#ports.streams.openStream(asked, {
        // Clients of wire B take 1 for a failure: who was just given the ID cannot have told it to anybody.
        opened: (name, said, isJoined) =>
          answer(isJoined || (dialect === "B" && id === undefined) ? STATUS.ok : STATUS.alone, said, name),
        refused: (fault, offer) => answer(offer === undefined ? this.#refused(fault) : STATUS.qosNotMet, offer),
      });
    } catch (thrown) {
      answer(this.#refused(thrown));
    }
  }

  #getKey(dialect: Dialect, request: GetKeyRequest): void {
    const { id, index } = request;
    const { streams } = this.#ports;
    try {
      const qos = streams.streamQos(this.#app, id);
      const wants = wantsOf(dialect, request, qos);
      if (wants === "tooSmall") {
        this.#send(dialect, getKeyRefusal(dialect, STATUS.metadataTooSmall, index, METADATA_BYTES));
        return;
      }
      const refuse = (status: number): void => {
        if (this.#settle(call)) this.#send(dialect, getKeyRefusal(dialect, status, index));
      };
      const call = this.#start(dialect, qos.timeoutMs, () => refuse(STATUS.timeout));
      call.giveUp = streams.chunk(
        { app: this.#app, id, index },
        {
          granted: (grant, bytes, facts) =>
            this.#granted(call, { grant, bytes, index, metadata: wants === "facts" ? textOf(facts) : NOTHING }),
          refused: (fault) => refuse(this.#refused(fault)),
        },
      );
    } catch (thrown) {
      this.#send(dialect, getKeyRefusal(dialect, this.#refused(thrown), index));
    }
  }

  #granted(call: Call, chunk: Chunk): void {
    using grant = chunk.grant;
    if (!this.#settle(call)) return;
    const { ring } = this.#ports;
    const { dialect } = call;
    const { bytes, index, metadata } = chunk;
    const start = ring.begin();
    try {
      if (!ring.fits(2 * chunkFrameBytes(bytes, metadata.length)))
        throw new RangeError("the chunk does not fit the ring");
      const answer = { dialect, index, chunkBytes: bytes, metadata };
      ring.advance(writeChunk(ring.memory, ring.end, answer, (at) => layKeys(grant, bytes, ring.memory, at)));
    } catch (thrown) {
      ring.memory.fill(0, start);
      this.#send(dialect, getKeyRefusal(dialect, this.#refused(thrown), index));
      return;
    }
    ring.flush(start, this.#channel);
    this.#answered(dialect);
  }

  #close(dialect: Dialect, id: string): void {
    let status: number = STATUS.ok;
    try {
      this.#ports.streams.closeStream(this.#app, id);
    } catch (thrown) {
      status = this.#refused(thrown);
    }
    this.#send(dialect, closeAnswer(dialect, status));
  }

  #send(dialect: Dialect, bytes: Uint8Array): void {
    this.#channel.write(bytes);
    this.#answered(dialect);
  }

  /** The next call begins when the channel has taken the answer. */
  #answered(dialect: Dialect): void {
    this.#stopIdle();
    this.#stopIdle = this.#idle(IDLE_MS[dialect]);
  }

  /** The status of a refusal, which is counted. */
  #refused(thrown: unknown): number {
    const { log, meter } = this.#ports;
    const fault = asFault(thrown);
    meter.add("requests_refused", { ...DOOR, fault: fault.code });
    if (fault.code === "INTERNAL") log.error({ ...DOOR, app: this.#app, err: fault.cause }, "a request failed");
    return statusOf(fault.code);
  }

  #refuseFrame(thrown: unknown): void {
    const { log, meter } = this.#ports;
    const fields = { ...DOOR, app: this.#app, certificate: this.#channel.certificate };
    this.#end();
    if (!(thrown instanceof FrameError)) {
      log.error({ ...fields, err: thrown }, "a defect while a frame was handled");
      this.#channel.close("an internal error");
      return;
    }
    const { reason, message } = thrown;
    meter.add("frames_refused", { ...DOOR, reason });
    log.warn({ ...fields, reason }, `a frame is refused: ${message}`);
    this.#channel.close(`a frame was refused: ${message}`);
  }

  #end(): void {
    this.#ended = true;
    this.#stopIdle();
    const call = this.#call;
    this.#call = undefined;
    call?.stopTimer();
    call?.giveUp();
  }
}

interface Chunk {
  readonly grant: Grant;
  /** Of the chunk. */
  readonly bytes: number;
  readonly index: number;
  readonly metadata: Uint8Array;
}

const NOTHING = new Uint8Array(0);

/** Lays the keys one after the other and zeroes what the last one has beyond the chunk; returns the position behind. */
function layKeys(grant: Grant, bytes: number, memory: Uint8Array, at: number): number {
  let end = at;
  for (let index = 0; index < grant.count; index++) {
    end = decodeInPlace(memory, end, grant.writeKey(index, memory, end));
  }
  const stop = at + bytes;
  if (end < stop) throw new RangeError("a chunk is shorter than it should be");
  memory.fill(0, stop, end);
  return stop;
}

/** The application that a call names beside the one that calls. @throws Fault MALFORMED_REQUEST */
function otherIn({ source, destination }: OpenRequest, app: AppId): AppId {
  const [one, other] = [applicationIn(source), applicationIn(destination)];
  if (one !== app && other !== app) {
    throw new Fault("MALFORMED_REQUEST", { text: "neither URI names the application in the certificate" });
  }
  return appId(one === app ? other : one);
}

type Wants = "nothing" | "facts" | "tooSmall";

/** What comes with the key. @throws Fault EXTENSION_UNSUPPORTED: key of a kind that there is not */
function wantsOf(dialect: Dialect, { metadataBytes, metadata }: GetKeyRequest, { withFacts }: StreamQos): Wants {
  // The C client has no room for metadata: it says there which kind of key it wants, a type and a role.
  if (dialect === "A" && metadata.length === 2 && KEY_ROLES.includes(metadata[1] ?? -1)) {
    if (metadata[0] === 0) return "nothing";
    if (metadata[0] === 1) throw new Fault("EXTENSION_UNSUPPORTED", { text: "there is no oblivious key" });
  }
  if (metadataBytes === 0 || !withFacts) return "nothing";
  return metadataBytes < METADATA_BYTES ? "tooSmall" : "facts";
}

const KEY_ROLES = [0x00, 0x10, 0x11];
const MOST_AGE = 2 ** 32 - 1;
const MOST_HOPS = 999;

const textOf = ({ ageMs, hops }: ChunkFacts): Uint8Array =>
  Buffer.from(`{"age":${Math.min(ageMs, MOST_AGE)},"hops":${Math.min(hops, MOST_HOPS)}}`, "latin1");
