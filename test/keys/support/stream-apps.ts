// Applications of key streams as the face sees them: they open, ask for indexes, and keep what they are given.

import type { Fault } from "../../../src/core/fault.ts";
import type { AppId } from "../../../src/core/ids.ts";
import type { ChunkFacts, StreamQos } from "../../../src/keys/ports/streams.ts";
import { Streams } from "../../../src/keys/streams/streams.ts";
import { type GivenKey, readGrant } from "./apps.ts";
import type { Network } from "./network.ts";
import type { TestNode } from "./node.ts";

/** All is left to the key manager. */
export const ANY: StreamQos = {
  ...{ chunkBytes: 0, maxBps: 0, minBps: 0, jitterBps: 0, priority: 0, timeoutMs: 1000, ttlS: 0 },
  withFacts: true,
};

export interface Opened {
  id: string;
  qos: StreamQos | undefined;
  isJoined: boolean | undefined;
  fault: Fault | undefined;
  offer: StreamQos | undefined;
  giveUp: () => void;
}

export function openStream(
  streams: Streams,
  app: string,
  other: string,
  id?: string,
  qos: Partial<StreamQos> = {},
): Opened {
  const opened: Opened = {
    ...{ id: "", qos: undefined, isJoined: undefined, fault: undefined, offer: undefined, giveUp: () => {} },
  };
  const request = { app: app as AppId, other: other as AppId, id, qos: { ...ANY, ...qos } };
  opened.giveUp = streams.openStream(request, {
    opened: (...[name, registered, isJoined]) => Object.assign(opened, { id: name, qos: registered, isJoined }),
    refused: (fault, offer) => Object.assign(opened, { fault, offer }),
  });
  return opened;
}

export interface Chunk {
  answers: number;
  /** The keys that it is made of. */
  keys: readonly GivenKey[];
  /** The bytes, as hexadecimal digits. */
  bytes: string | undefined;
  facts: ChunkFacts | undefined;
  fault: Fault | undefined;
  giveUp: () => void;
}

export function getChunk(streams: Streams, app: string, id: string, index: number): Chunk {
  const chunk: Chunk = {
    ...{ answers: 0, keys: [], bytes: undefined, facts: undefined, fault: undefined, giveUp: () => {} },
  };
  chunk.giveUp = streams.chunk(
    { app: app as AppId, id, index },
    {
      granted(grant, bytes, facts) {
        chunk.answers++;
        chunk.facts = facts;
        chunk.keys = readGrant(grant);
        grant[Symbol.dispose]();
        chunk.bytes = Buffer.concat(chunk.keys.map(({ key }) => Buffer.from(key, "base64")))
          .subarray(0, bytes)
          .toString("hex");
      },
      refused(fault) {
        chunk.answers++;
        chunk.fault = fault;
      },
    },
  );
  return chunk;
}

export const streamsOf = (node: TestNode): Streams => node.km.openStreams((host) => new Streams(host));

/** A stream of app-a1 and app-b1 that both have opened. */
export async function openBoth(
  network: Network,
  a: Streams,
  b: Streams,
  qos: Partial<StreamQos> = {},
): Promise<string> {
  const first = openStream(a, "app-a1", "app-b1", undefined, qos);
  await network.run(50);
  openStream(b, "app-b1", "app-a1", first.id, qos);
  await network.run(50);
  return first.id;
}
