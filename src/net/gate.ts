// The way in: who waits for a handshake, who is in one, who is open; and why somebody is refused.

import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { GROUPS, type Group, peekGroups } from "./client-hello.ts";
import { examine, type Peer } from "./identity.ts";
import { contextOptions, type ListenOptions, type NetPorts, TIMING, type Timing } from "./options.ts";
import { certificateFields, nameIn, Refusal, refusalOfError } from "./refusal.ts";
import { refuseTickets } from "./tickets.ts";

/** A peer whose certificate was examined and admitted. */
export interface AdmittedPeer extends Peer {
  readonly group: Group;
}

/** One connection on its way in. */
interface Arrival {
  readonly socket: Socket;
  readonly from: string;
  timer: NodeJS.Timeout | undefined;
  group: Group;
}

/** What is on its way in and what is open. Handshakes beyond the limit wait in the order of arrival. */
export class Gate {
  readonly #options: ListenOptions;
  readonly #ports: NetPorts;
  readonly #admitted: (socket: TLSSocket, peer: AdmittedPeer) => void;
  readonly #timing: Timing;
  readonly #servers: ReadonlyMap<Group, Server>;
  readonly #open = new Set<Socket>();
  readonly #waiting: Arrival[] = [];
  readonly #shaking = new Map<string, Arrival>();

  constructor(options: ListenOptions, ports: NetPorts, admitted: (socket: TLSSocket, peer: AdmittedPeer) => void) {
    this.#options = options;
    this.#ports = ports;
    this.#admitted = admitted;
    this.#timing = { ...TIMING, ...options.timing };
    this.#servers = new Map(options.groups.map((group) => [group, this.#tlsServer(group)]));
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
    const arrival: Arrival = { socket, from, group: this.#options.groups[0], timer: undefined };
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
    peekGroups(arrival.socket, (offered) => {
      clearTimeout(arrival.timer);
      if (offered instanceof Refusal) {
        this.#fail(arrival, offered);
        return;
      }
      const { groups } = this.#options;
      arrival.group = groups.find((group) => offered.includes(GROUPS[group])) ?? groups[0];
      this.#waiting.push(arrival);
      this.#next();
    });
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
  #tlsServer(group: Group): Server {
    const server = createServer({
      ...contextOptions(this.#options.tls, [group]),
      requestCert: true,
      // Refused in #examine instead, where the certificate can still be named in the log. Nothing is read before.
      rejectUnauthorized: false,
      handshakeTimeout: this.#timing.handshakeMs,
    });
    refuseTickets(server);
    const arrivalOf = (socket: TLSSocket): Arrival | undefined =>
      this.#shaking.get(`${socket.remoteAddress}|${socket.remotePort}`);
    server.on("tlsClientError", (error, socket) => {
      const arrival = arrivalOf(socket);
      if (arrival !== undefined) this.#fail(arrival, refusalOfError(error));
      socket.destroy();
    });
    server.on("secureConnection", (socket) => {
      socket.on("error", () => socket.destroy());
      const arrival = arrivalOf(socket);
      if (arrival === undefined) {
        socket.destroy();
        return;
      }
      this.#leave(arrival);
      this.#examine(socket, arrival);
    });
    return server;
  }

  #examine(socket: TLSSocket, { from, group }: Arrival): void {
    const { door, kind } = this.#options;
    const { audit, log, meter, admit } = this.#ports;
    const peer = examine(socket, kind, admit);
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
