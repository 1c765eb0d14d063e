// The way in: who waits for a handshake, who is in one, who is open; and why somebody is refused.

import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket, type TlsOptions } from "node:tls";
import { type ClientHello, GROUPS, type Group, peekHello } from "./client-hello.ts";
import { type Admit, examine, type Peer } from "./identity.ts";
import { contextOptions, type ListenOptions, type NetPorts, TIMING, type Timing } from "./options.ts";
import { DHE_PSK, offersPsk, type PreSharedKey, type PreSharedKeys, pskOptions } from "./pre-shared.ts";
import { certificateFields, nameIn, Refusal, refusalOfError } from "./refusal.ts";
import { refuseTickets } from "./tickets.ts";

/** A peer whose certificate or pre-shared key was examined, and who was admitted. */
export interface AdmittedPeer extends Peer {
  readonly group: KeyExchange;
}

type KeyExchange = Group | typeof DHE_PSK;

/** One connection on its way in. */
interface Arrival {
  readonly socket: Socket;
  readonly from: string;
  timer: NodeJS.Timeout | undefined;
  group: KeyExchange;
  /** Whom the identity that it showed stands for, when it came with a pre-shared key. */
  shown: { readonly identity: string; readonly key: PreSharedKey } | undefined;
}

/** What is on its way in and what is open. Handshakes beyond the limit wait in the order of arrival. */
export class Gate {
  readonly #options: ListenOptions;
  readonly #ports: NetPorts;
  readonly #admitted: (socket: TLSSocket, peer: AdmittedPeer) => void;
  readonly #timing: Timing;
  readonly #servers: ReadonlyMap<KeyExchange, Server>;
  readonly #open = new Set<Socket>();
  readonly #waiting: Arrival[] = [];
  readonly #shaking = new Map<string, Arrival>();

  constructor(options: ListenOptions, ports: NetPorts, admitted: (socket: TLSSocket, peer: AdmittedPeer) => void) {
    this.#options = options;
    this.#ports = ports;
    this.#admitted = admitted;
    this.#timing = { ...TIMING, ...options.timing };
    const { groups, preShared } = options;
    const servers = groups.map((group) => [group, this.#certificateServer(group)] as const);
    const psk = preShared === undefined ? [] : ([[DHE_PSK, this.#pskServer(preShared)]] as const);
    this.#servers = new Map<KeyExchange, Server>([...servers, ...psk]);
  }

  get connections(): number {
    return this.#open.size;
  }

  accept(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    const from = `${socket.remoteAddress}|${socket.remotePort}`;
    if (this.#open.size >= this.#options.maxConnections) {
      socket.destroy();
      this.#refuse(new Refusal("too_many", `${this.#open.size}`), from);
      return;
    }
    const arrival: Arrival = { socket, from, group: this.#options.groups[0], timer: undefined, shown: undefined };
    this.#open.add(socket);
    socket.once("close", () => {
      this.#open.delete(socket);
      this.#leave(arrival);
    });
    this.#arm(arrival);
    this.#look(arrival);
  }

  close(): void {
    for (const socket of this.#open) socket.destroy();
  }

  #arm(arrival: Arrival): void {
    arrival.timer = setTimeout(() => this.#fail(arrival, new Refusal("timeout")), this.#timing.handshakeMs);
  }

  /** Waits for what the client offers; that takes no place among the handshakes. */
  #look(arrival: Arrival): void {
    peekHello(arrival.socket, (hello) => {
      clearTimeout(arrival.timer);
      if (hello instanceof Refusal) {
        this.#fail(arrival, hello);
        return;
      }
      arrival.group = this.#exchangeFor(hello);
      this.#waiting.push(arrival);
      this.#next();
    });
  }

  #exchangeFor({ suites, groups: offered }: ClientHello): KeyExchange {
    const { groups, preShared } = this.#options;
    if (preShared !== undefined && offersPsk(suites)) return DHE_PSK;
    return groups.find((group) => offered.includes(GROUPS[group])) ?? groups[0];
  }

  #next(): void {
    while (this.#shaking.size < (this.#options.maxHandshakes ?? 32)) {
      const arrival = this.#waiting.shift();
      if (arrival === undefined) return;
      this.#shaking.set(arrival.from, arrival);
      this.#arm(arrival);
      this.#servers.get(arrival.group)?.emit("connection", arrival.socket);
    }
  }

  /** Takes an arrival out of the line or the handshakes, whichever it is in. */
  #leave(arrival: Arrival): void {
    clearTimeout(arrival.timer);
    const place = this.#waiting.indexOf(arrival);
    if (place >= 0) this.#waiting.splice(place, 1);
    if (this.#shaking.get(arrival.from) === arrival) this.#shaking.delete(arrival.from);
    this.#next();
  }

  #fail(arrival: Arrival, refusal: Refusal): void {
    this.#leave(arrival);
    this.#refuse(refusal, arrival.from);
    arrival.socket.destroy();
  }

  /** One server per group: whatever it negotiates, the group is known. */
  #certificateServer(group: Group): Server {
    return this.#tlsServer({
      ...contextOptions(this.#options.tls, [group]),
      requestCert: true,
      // Refused in #examine instead, where the certificate can still be named in the log. Nothing is read before.
      rejectUnauthorized: false,
    });
  }

  #pskServer(keys: PreSharedKeys): Server {
    return this.#tlsServer(
      pskOptions(keys, (socket, identity, key) => {
        const arrival = this.#arrivalOf(socket);
        if (arrival !== undefined) arrival.shown = { identity, key };
      }),
    );
  }

  #arrivalOf(socket: TLSSocket): Arrival | undefined {
    return this.#shaking.get(`${socket.remoteAddress}|${socket.remotePort}`);
  }

  #tlsServer(options: TlsOptions): Server {
    const server = createServer({ ...options, handshakeTimeout: this.#timing.handshakeMs });
    refuseTickets(server);
    server.on("tlsClientError", (error, socket) => {
      const arrival = this.#arrivalOf(socket);
      if (arrival !== undefined) this.#fail(arrival, refusalOfError(error));
      socket.destroy();
    });
    server.on("secureConnection", (socket) => {
      socket.on("error", () => socket.destroy());
      const arrival = this.#arrivalOf(socket);
      if (arrival === undefined) {
        socket.destroy();
        return;
      }
      this.#leave(arrival);
      this.#examine(socket, arrival);
    });
    return server;
  }

  #examine(socket: TLSSocket, { from, group, shown }: Arrival): void {
    const { door, kind } = this.#options;
    const { audit, log, meter, admit } = this.#ports;
    const peer = group === DHE_PSK ? examineShown(shown, admit) : examine(socket, kind, admit, nameOf(socket));
    if (peer instanceof Refusal) {
      this.#refuse(peer, from, certificateFields(socket.getPeerX509Certificate()));
      socket.destroy();
      return;
    }
    meter.add("connections_opened", { door, group });
    audit?.note("connection_opened", { door, id: peer.id, certificate: peer.certificate });
    log.info({ door, from, id: peer.id, group, certificate: peer.certificate }, "connection opened");
    this.#admitted(socket, { ...peer, group });
  }

  #refuse(refusal: Refusal, from: string, certificate: Readonly<Record<string, unknown>> = {}): void {
    const { door } = this.#options;
    this.#ports.meter.add("connections_refused", { door, reason: refusal.reason });
    this.#ports.audit?.note("connection_refused", { door, reason: refusal.reason, who: nameIn(certificate) });
    this.#ports.log.warn(
      { door, from, reason: refusal.reason, ...certificate },
      `connection refused: ${refusal.message}`,
    );
  }
}

/** The server name (SNI) with which a client came; empty when it gave none. */
function nameOf(socket: TLSSocket): string {
  const name: unknown = Reflect.get(socket, "servername");
  return typeof name === "string" ? name : "";
}

/** RFC 4279: who has the key of an identity is whom it stands for. */
function examineShown(shown: Arrival["shown"], admit: Admit): Peer | Refusal {
  if (shown === undefined) return new Refusal("no_certificate");
  const { id } = shown.key;
  const fault = admit(id, "");
  if (fault !== undefined) return new Refusal("not_admitted", `${id}: ${fault.message}`);
  return { id, serverName: "", certificate: `PSK identity ${JSON.stringify(shown.identity)}` };
}
