// The proactive mode (Q.4161 8.2): what Ak asks of the key manager, and what it is asked by it.

import type { Fault } from "../../core/fault.ts";
import type { AppId, KmId } from "../../core/ids.ts";
import type { Answer, Grant } from "./keys.ts";

/** Q.4161 0x2104: a session of the caller with another application. */
export interface SessionRequest {
  /** Who asks, by its certificate; homed at this KM. */
  readonly app: AppId;
  readonly destination: AppId;
  readonly applicationName: string | undefined;
  readonly budget: number | undefined;
}

/** Exactly one of the two is called, once. */
export interface SessionAnswer {
  /** 0x1205 with success. */
  opened(sessionId: SessionId, sourceKm: KmId): void;
  refused(fault: Fault): void;
}

/** Q.4161 0x2108: keys for the session's initiator. */
export interface SessionKeysRequest extends PeerKeysRequest {
  /** Who asks, by its certificate. */
  readonly app: AppId;
}

/** One connection of an application, as the key manager reaches it. */
export interface AppLine {
  /** By its certificate; homed at this KM. */
  readonly app: AppId;
  /** Sends 0x1206; resolves when 0x2107 says success. @throws Fault: what 0x2107 says, APP_UNAVAILABLE when this connection takes no sessions, PEER_UNAVAILABLE when it is late or gone */
  notify(creation: SessionCreation, timeoutMs: number): Promise<void>;
  /**
   * Sends 0x120A with the keys, which it writes and disposes; resolves with the IDs that 0x210B acknowledged, in the
   * order of the keys, when all have been answered, the time is over or the connection is gone.
   * @throws Fault MALFORMED_REQUEST when none was acknowledged, and an answer could not be read
   */
  push(sessionId: SessionId, grant: Grant, timeoutMs: number): Promise<readonly string[]>;
}

/** What ak sees of the proactive mode (Q.4161 8.2). */
export interface SessionDoor {
  /** A connection of an application is open; the function returned tells that it is gone. Offers go to the newest that takes sessions. */
  attach(line: AppLine): () => void;
  /** The functions returned give the request up (the client is gone); harmless after the answer. */
  createSession(request: SessionRequest, answer: SessionAnswer): () => void;
  sessionKeys(request: SessionKeysRequest, answer: Answer): () => void;
}

/** A session's name, chosen by the initiator's home KM: unique there together with that KM's ID. */
export type SessionId = string;

/** What two key managers and the destination's application are told of a new session. */
export interface SessionCreation {
  readonly sessionId: SessionId;
  readonly initiator: AppId;
  readonly destination: AppId;
  readonly applicationName: string | undefined;
  /** The session's budget: the most keys that it may supply; undefined for no limit but the configured one. */
  readonly budget: number | undefined;
}

/** Q.4163 0x1103 in a session: keys wanted for its destination application. */
export interface PeerKeysRequest {
  readonly sessionId: SessionId;
  readonly count: number;
  readonly sizeBits: number;
}
