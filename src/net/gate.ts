// The way in: who is on it, who is let in, and why somebody is refused.

import type { Socket } from "node:net";
import { createServer, type SecureContextOptions, type Server, type TLSSocket, type TlsOptions } from "node:tls";
import { Fault } from "../core/fault.ts";
import { limitNow } from "../core/limits.ts";
import { ARRIVAL_LIMITS, type Arrival, type KeyExchange } from "./arrival.ts";
import { Arrivals } from "./arrivals.ts";
import { Parting } from "./parting.ts";
import { Places } from "./places.ts";
import { type Certificate, certificateFields, nameIn, Refusal, refusalOfError } from "./refusal.ts";
import { TrafficSecrets } from "./tls/alert.ts";
import { type ClientHello, GROUPS, peekHello } from "./tls/client-hello.ts";
import { type Credentials, credentialsOf } from "./tls/credentials.ts";
import { examine, examineShown, identified, notAdmitted, type Peer } from "./tls/identity.ts";
import { negotiated } from "./tls/negotiated.ts";
import { contextOptions, type ListenOptions, type NetPorts, TIMING } from "./tls/options.ts";
import { DHE_PSK, offersPsk, type PreSharedKeys, pskOptions } from "./tls/pre-shared.ts";
import { refuseTickets } from "./tls/tickets.ts";

/** A peer whose certificate or pre-shared key was examined, and who was admitted. */
export interface AdmittedPeer extends Peer {
  readonly group: KeyExchange;
}

const HYBRID = "X25519MLKEM768";

/** What is on its way in, what is open, and what was refused and may still read why. */
export class Gate {
  readonly #options: ListenOptions;
  readonly #credentials: Credentials;
  readonly #stopRenewals: () => void;
  readonly #ports: NetPorts;
  readonly #admitted: (socket: TLSSocket, peer: AdmittedPeer) => void;
  readonly #servers: ReadonlyMap<KeyExchange, Server>;
  readonly #secrets = new Map<KeyExchange, TrafficSecrets>();
  readonly #arrivals: Arrivals;
  readonly #places: Places;
  readonly #parting = new Parting();

  constructor(options: ListenOptions, ports: NetPorts, admitted: (socket: TLSSocket, peer: AdmittedPeer) => void) {
    const { handshakeMs, answerMs, idleMs } = { ...TIMING, ...options.timing };
    this.#options = options;
    this.#credentials = credentialsOf(options.tls);
    this.#ports = ports;
    this.#admitted = admitted;
    const { groups, preShared } = options;
    const servers = groups.map((group) => [group, this.#certificateServer(group)] as const);
    const psk = preShared === undefined ? [] : ([[DHE_PSK, this.#pskServer(preShared)]] as const);
    this.#servers = new Map<KeyExchange, Server>([...servers, ...psk]);
    const { maxConnections, arrivals } = options;
    const limits = {
      ...ARRIVAL_LIMITS,
      get most() {
        return Math.max(ARRIVAL_LIMITS.most, limitNow(maxConnections));
      },
      ...arrivals,
    };
    const patience = { handshakeMs, answerMs, limits };
    this.#stopRenewals = this.#credentials.onRenewed(() => this.#renew());
    this.#arrivals = new Arrivals(patience, {
      begin: ({ group, socket }) => this.#servers.get(group)?.emit("connection", socket),
      refused: ({ from }, refusal) => this.#refuse(refusal, from),
    });
    this.#places = new Places(maxConnections, idleMs, {
      closed: (id, refusal) => this.#closed(id, refusal),
    });
  }

  get connections(): number {
    return this.#arrivals.size + this.#places.size + this.#parting.size;
  }

  accept(socket: Socket): void {
    socket.on("error", () => socket.destroy());
    const arrival = this.#arrivals.add(socket, this.#options.groups[0]);
    if (arrival === undefined) {
      socket.destroy();
      return;
    }
    peekHello(socket, (hello) => {
      if (hello instanceof Refusal) {
        this.#arrivals.fail(arrival, hello);
        return;
      }
      const exchange = this.#exchangeFor(hello);
      if (exchange === undefined) {
        this.#arrivals.fail(arrival, new Refusal("group"));
        return;
      }
      arrival.group = exchange;
      this.#arrivals.waits(arrival);
    });
  }

  #exchangeFor({ suites, groups: offered }: ClientHello): KeyExchange | undefined {
    const { minTls, preShared, allowed } = this.#options;
    const groups = allowed?.() ?? this.#options.groups;
    if (preShared !== undefined && preShared.size > 0 && offersPsk(suites)) return DHE_PSK;
    const common = groups.find((group) => offered.includes(GROUPS[group]));
    // OpenSSL refuses, and says so in an alert.
    if (common !== undefined || minTls !== "1.2") return common ?? groups[0];
    // A client of TLS 1.2 may offer no list (RFC 8422 4); it cannot have the hybrid group.
    return offered.length === 0 ? groups.find((group) => group !== HYBRID) : undefined;
  }

  close(): void {
    this.#stopRenewals();
    this.#arrivals.close();
    this.#places[Symbol.dispose]();
    this.#parting[Symbol.dispose]();
  }

  /** One server per group: whatever it negotiates, the group is known. */
  #certificateServer(group: KeyExchange & ListenOptions["groups"][number]): Server {
    return this.#tlsServer(group, {
      ...this.#context(group),
      requestCert: true,
      // Refused in #examine instead, where the certificate can still be named in the log. Nothing is read before.
      rejectUnauthorized: false,
    });
  }

  #context(group: ListenOptions["groups"][number]): SecureContextOptions {
    return {
      ...contextOptions(this.#options, [group]),
      // In TLS 1.2 the curves of clients' certificates must be in the list too. The slash keeps them behind the group itself.
      ...(this.#options.minTls === "1.2" && { ecdhCurve: `${group}/P-256:P-384` }),
    };
  }

  /** Handshakes from now on are those of the renewed material. */
  #renew(): void {
    for (const group of this.#options.groups) {
      const server = this.#servers.get(group);
      server?.setSecureContext(this.#context(group));
      if (server !== undefined) refuseTickets(server);
    }
  }

  #pskServer(keys: PreSharedKeys): Server {
    return this.#tlsServer(
      DHE_PSK,
      pskOptions(keys, (socket, identity, key) => {
        const arrival = this.#arrivals.shaking(socket);
        if (arrival === undefined) return false;
        arrival.shown = { identity, key };
        // Here OpenSSL still has an alert for it; when the handshake has ended it has none.
        arrival.denied = notAdmitted(key.id, "", this.#ports.admit);
        return arrival.denied === undefined;
      }),
    );
  }

  #tlsServer(group: KeyExchange, options: TlsOptions): Server {
    const { handshakeMs } = { ...TIMING, ...this.#options.timing };
    // Arrivals end what takes too long; this only has to be later.
    const server = createServer({ ...options, handshakeTimeout: 2 * handshakeMs });
    refuseTickets(server);
    const seen = (socket: TLSSocket): void => {
      const arrival = this.#arrivals.shaking(socket);
      if (arrival !== undefined) arrival.tls = socket;
    };
    this.#secrets.set(group, new TrafficSecrets(server, seen));
    server.on("tlsClientError", (error, socket) => {
      const arrival = this.#arrivals.shaking(socket);
      if (arrival !== undefined) this.#arrivals.fail(arrival, arrival.denied ?? refusalOfError(error));
      socket.destroy();
    });
    server.on("secureConnection", (socket) => {
      socket.on("error", () => socket.destroy());
      const arrival = this.#arrivals.shaking(socket);
      if (arrival === undefined) {
        socket.destroy();
        return;
      }
      this.#arrivals.shown(arrival);
      this.#examine(socket, arrival);
    });
    return server;
  }

  #examine(socket: TLSSocket, arrival: Arrival): void {
    const { door, kind } = this.#options;
    const { audit, log, meter, admit, identify } = this.#ports;
    const { from, group, shown } = arrival;
    const examiner = { admit, identify, credentials: this.#credentials };
    const peer = group === DHE_PSK ? examineShown(shown, admit) : examine(socket, kind, examiner, nameOf(socket));
    const refusal = peer instanceof Refusal ? peer : this.#places.take(peer.id, socket);
    if (refusal !== undefined || peer instanceof Refusal) {
      const why = refusal ?? new Refusal("handshake");
      const certificate = socket.getPeerX509Certificate();
      this.#refuse(why, from, certificateFields(certificate));
      const id = certificate === undefined ? undefined : identified(certificate, kind, identify);
      this.#turnAway(socket, arrival, why, typeof id === "string" ? id : undefined);
      return;
    }
    this.#stand(socket, peer, group === DHE_PSK ? shown : undefined);
    this.#arrivals.letIn(arrival, !this.#places.isHasty(peer.id));
    this.#secrets.get(group)?.forget(socket);
    meter.add("connections_opened", { door, group, ...negotiated(socket) });
    audit?.note("connection_opened", { door, id: peer.id, certificate: peer.certificate });
    log.info(
      {
        event: "connection_opened",
        door,
        from,
        id: peer.id,
        ...negotiated(socket),
        group,
        certificate: peer.certificate,
      },
      "connection opened",
    );
    this.#admitted(socket, { ...peer, group });
  }

  /** Says why: in the door's words, where there is no alert for it or it means another key manager; otherwise in an alert. */
  #turnAway(socket: TLSSocket, arrival: Arrival, why: Refusal, id: string | undefined): void {
    const { turnAway } = this.#ports;
    const isElsewhere = why.fault?.code === "NOT_AT_HOME" && id !== undefined;
    const isMute = socket.getProtocol() === "TLSv1.2" && !this.#arrivals.isPressed;
    if (turnAway === undefined || !(isElsewhere || isMute)) {
      const alert = this.#secrets.get(arrival.group)?.alert(socket, why.reason);
      this.#parting.sendOff(socket, arrival.socket, alert, this.#arrivals.isPressed);
      return;
    }
    this.#parting.stay(socket);
    turnAway(socket, id ?? NOBODY, isElsewhere && why.fault !== undefined ? why.fault : faultOf(why));
  }

  /** It is closed when it is good no more: its certificate, or whom this door lets in, have changed. */
  #stand(socket: TLSSocket, { id }: Peer, shown: Arrival["shown"]): void {
    const certificate = socket.getPeerX509Certificate();
    const leave = this.#credentials.stand({
      certificate,
      whyNot: () => this.#whyNotKey(shown) ?? this.#whyNot(id, certificate),
      end: (refusal) => {
        this.#closed(id, refusal);
        this.#ports.audit?.note("connection_cut", { door: this.#options.door, id, reason: refusal.reason });
        socket.destroy();
      },
      disowned: () => this.#ports.disowned?.(id),
    });
    socket.once("close", leave);
  }

  /** Applications come and go with the configuration; who else may stay is told by who listens. */
  #whyNot(id: string, certificate: Certificate | undefined): Refusal | undefined {
    const { kind } = this.#options;
    const { admit, identify, mayStay = kind === "app" ? admit : undefined } = this.#ports;
    if (mayStay === undefined) return undefined;
    const known = certificate === undefined ? id : identified(certificate, kind, identify);
    if (known !== id) return known instanceof Refusal ? known : new Refusal("identity", `it is ${known} now`);
    return notAdmitted(id, "", mayStay);
  }

  /** Of who came with a pre-shared key: it must still be the one of that identity. */
  #whyNotKey(shown: Arrival["shown"]): Refusal | undefined {
    if (shown === undefined || this.#options.preShared?.get(shown.identity) === shown.key) return undefined;
    return new Refusal("psk", `${JSON.stringify(shown.identity)} has another key now, or none`);
  }

  #refuse(refusal: Refusal, from: string, certificate: Readonly<Record<string, unknown>> = {}): void {
    const { door } = this.#options;
    const { reason } = refusal;
    this.#ports.meter.add("connections_refused", { door, reason });
    // A name that no authority has signed could be a new one each time: the log has it, the audit log must not grow with it.
    const who = VERIFIED.has(reason) ? nameIn(certificate) : undefined;
    this.#ports.audit?.note("connection_refused", { door, reason, who });
    this.#ports.log.warn(
      { event: "connection_refused", door, from, reason, ...certificate },
      `connection refused: ${refusal.message}`,
    );
  }

  /** An open connection made room. */
  #closed(id: string, { reason, message }: Refusal): void {
    const { door } = this.#options;
    this.#ports.meter.add("connections_refused", { door, reason });
    this.#ports.log.warn({ door, id, reason }, `connection closed: ${message}`);
  }
}

/** An application's ID for who has none that is known here. */
const NOBODY = "nobody";

/** A refusal in the words of a door. */
const faultOf = ({ reason, message }: Refusal): Fault =>
  reason === "too_many"
    ? new Fault("BUSY", { text: message, retryAfterMs: 1000 })
    : new Fault("CONNECTION_REFUSED", { text: message });

/** The server name (SNI) with which a client came; empty when it gave none. */
function nameOf(socket: TLSSocket): string {
  const name: unknown = Reflect.get(socket, "servername");
  return typeof name === "string" ? name : "";
}

/** Reasons of those whose certificate an authority of this door has signed. OpenSSL may call one expired that none has. */
const VERIFIED: ReadonlySet<Refusal["reason"]> = new Set(["identity", "not_admitted", "too_many"]);
