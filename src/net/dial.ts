// Dials an authenticated connection and gives it as a Channel.

import { connect, type TLSSocket } from "node:tls";
import { Fault } from "../core/fault.ts";
import type { Group } from "../core/tls-choices.ts";
import type { Channel } from "./channel.ts";
import { certificateFields, nameIn, Refusal, refusalOfError } from "./refusal.ts";
import { GROUPS } from "./tls/client-hello.ts";
import { type Credentials, credentialsOf } from "./tls/credentials.ts";
import { examine, type Peer } from "./tls/identity.ts";
import { negotiated } from "./tls/negotiated.ts";
import { contextOptions, type NetPorts, type SecureOptions, TIMING } from "./tls/options.ts";
import { TlsChannel } from "./tls-channel.ts";

/** Where to dial and who must answer. */
export interface DialOptions extends SecureOptions {
  readonly host: string;
  readonly port: number;
  /** The ID that the other end's certificate has to show: whom we mean to reach. */
  readonly expect: string;
  /** What the other end is told in the hello (SNI); it says nothing of who is meant. */
  readonly serverName?: string;
  readonly signal?: AbortSignal;
}

/**
 * Connects and examines the other end; its host name counts for nothing, its identity for everything.
 * @throws Refusal (logged and counted) when it is not whom we mean; Error when there is nobody, or at abort
 */
export async function dial(options: DialOptions, ports: Omit<NetPorts, "admit">): Promise<Channel> {
  const timing = { ...TIMING, ...options.timing };
  const credentials = credentialsOf(options.tls);
  const socket = connect({
    ...contextOptions(options, options.groups),
    host: options.host,
    port: options.port,
    ...(options.serverName !== undefined && { servername: options.serverName }),
    // Refused in `welcome` instead, where the certificate can still be named in the log. Nothing is sent before.
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
  socket.setNoDelay(true).setKeepAlive(true, timing.keepAliveMs);
  const broken = await handshake(socket, timing.handshakeMs, options.signal);
  const peer = broken ?? welcome(socket, options, { credentials, identify: ports.identify });
  if (!(peer instanceof Error)) {
    stand(socket, peer, { options, ports, credentials });
    return opened(socket, peer, { options, ports, writeMs: timing.writeMs });
  }
  if (peer instanceof Refusal) refused(socket, peer, { options, ports });
  socket.destroy();
  throw peer;
}

/** Where the other end listens: of several members of a key manager one does. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** How long one of several addresses may take: a machine that is off does not even refuse. */
const MEMBER_DIAL_MS = 1_500;

/**
 * Dials addresses in turn until one of them answers as whom we mean; `address` is the one that did.
 * @throws what the last one failed with, like `dial`
 */
export async function dialAny(
  addresses: readonly [Address, ...Address[]],
  options: Omit<DialOptions, "host" | "port">,
  ports: Omit<NetPorts, "admit">,
): Promise<{ readonly channel: Channel; readonly address: Address }> {
  const [first, ...others] = addresses;
  if (others.length === 0) return { channel: await dial({ ...options, ...first }, ports), address: first };
  let failure: unknown;
  for (const address of addresses) {
    const signals = [AbortSignal.timeout(MEMBER_DIAL_MS), ...(options.signal ? [options.signal] : [])];
    try {
      return { channel: await dial({ ...options, ...address, signal: AbortSignal.any(signals) }, ports), address };
    } catch (thrown) {
      failure = thrown;
    }
    if (options.signal?.aborted) break;
  }
  throw failure;
}

interface Dialling {
  readonly options: DialOptions;
  readonly ports: Omit<NetPorts, "admit">;
}

type KnownPeer = Peer & { readonly group: Group };

/** Resolves when the handshake has ended: with nothing, or with why it failed. */
function handshake(socket: TLSSocket, ms: number, signal: AbortSignal | undefined): Promise<Error | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => end(new Refusal("timeout")), ms);
    const abort = (): void => end(new Error("dialling was given up"));
    const fail = (error: Error): void => end("code" in error && isTls(error.code) ? refusalOfError(error) : error);
    const end = (outcome?: Error): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      socket.off("secureConnect", end);
      resolve(outcome);
    };
    // Stays, so that an error that comes later is never unhandled.
    socket.on("error", fail);
    socket.once("close", () => fail(new Error("the other end closed the connection during the handshake")));
    socket.once("secureConnect", end);
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted) abort();
  });
}

const isTls = (code: unknown): boolean => typeof code === "string" && code.startsWith("ERR_SSL");

function welcome(
  socket: TLSSocket,
  { kind, expect, groups }: DialOptions,
  trusted: Pick<Parameters<typeof examine>[2], "credentials" | "identify">,
): KnownPeer | Refusal {
  const admit = (id: string): Fault | undefined =>
    id === expect ? undefined : new Fault("NOT_AUTHORIZED", { text: `${expect} was dialled` });
  const peer = examine(socket, kind, { admit, ...trusted });
  if (peer instanceof Refusal) return peer;
  const group = groupOf(socket);
  if (group === undefined || !groups.includes(group)) return new Refusal("group", group);
  return { ...peer, group };
}

function groupOf(socket: TLSSocket): Group | undefined {
  const name: unknown = Reflect.get(Object(socket.getEphemeralKeyInfo()), "name");
  return typeof name === "string" && Object.hasOwn(GROUPS, name) ? (name as Group) : undefined;
}

function opened(socket: TLSSocket, peer: KnownPeer, dialling: Dialling & { readonly writeMs: number }): Channel {
  const { options, ports, writeMs } = dialling;
  const { door, host, port } = options;
  const agreed = negotiated(socket);
  ports.meter.add("connections_opened", { door, group: peer.group, ...agreed });
  const { id, group, certificate } = peer;
  ports.audit?.note("connection_opened", { door, id, certificate });
  ports.log.info(
    { event: "connection_opened", door, to: `${host}:${port}`, id, ...agreed, group, certificate },
    "connection opened",
  );
  return new TlsChannel(socket, peer, writeMs);
}

/** It is closed when the other end's certificate is good no more. */
function stand(
  socket: TLSSocket,
  { id }: KnownPeer,
  { options, ports, credentials }: Dialling & { readonly credentials: Credentials },
): void {
  const { door } = options;
  const leave = credentials.stand({
    certificate: socket.getPeerX509Certificate(),
    whyNot: () => undefined,
    end: ({ reason, message }) => {
      ports.meter.add("connections_refused", { door, reason });
      ports.audit?.note("connection_cut", { door, id, reason });
      ports.log.warn({ event: "connection_cut", door, id, reason }, `connection closed: ${message}`);
      socket.destroy();
    },
    disowned: () => {},
  });
  socket.once("close", leave);
}

function refused(socket: TLSSocket, refusal: Refusal, { options, ports }: Dialling): void {
  const { door, host, port } = options;
  const { reason } = refusal;
  ports.meter.add("connections_refused", { door, reason });
  const certificate = certificateFields(socket.getPeerX509Certificate());
  ports.audit?.note("connection_refused", { door, reason, who: nameIn(certificate) });
  ports.log.warn(
    { event: "connection_refused", door, to: `${host}:${port}`, reason, ...certificate },
    `connection refused: ${refusal.message}`,
  );
}
