// One request of an authenticated application: routed, checked, asked of the key manager, answered.

import { asFault, malformed } from "../core/fault.ts";
import type { AppId } from "../core/ids.ts";
import { type Limit, limitNow } from "../core/limits.ts";
import type { Log, Meter } from "../core/ports.ts";
import { jsonObject } from "../http/body.ts";
import type { Handler } from "../http/connection.ts";
import type { Exchange } from "../http/exchange.ts";
import type { Answer, Grant, KeyDoor } from "../keys/ports/keys.ts";
import { CONTAINER } from "./container.ts";
import { sendFault } from "./refuse.ts";
import {
  keyIdsOfBody,
  keyIdsOfQuery,
  optionsOfBody,
  optionsOfQuery,
  type RequestOptions,
  refuseKeyIdIn,
} from "./request-options.ts";
import { ALLOWED, type Route, routeOf } from "./route.ts";
import { statusText } from "./status.ts";

/** What requests at this door need: the key manager, time and log. */
export interface HandlerPorts {
  readonly door: KeyDoor;
  /** Additional slaves that a request may name; 0 for no multicast. */
  readonly mostSlaves: Limit;
  readonly log: Log;
  readonly meter: Meter;
}

/** The handler of all requests of this door. */
export const makeHandler =
  (ports: HandlerPorts): Handler =>
  (exchange) =>
    new Call(ports, exchange).serve();

/** One request: routed, checked, asked of the key manager, answered. */
class Call implements Answer {
  readonly #ports: HandlerPorts;
  readonly #exchange: Exchange;

  constructor(ports: HandlerPorts, exchange: Exchange) {
    this.#ports = ports;
    this.#exchange = exchange;
  }

  serve(): void {
    try {
      this.#route();
    } catch (thrown) {
      this.refused(thrown);
    }
  }

  granted(grant: Grant): void {
    try {
      this.#exchange.sendKeys(grant, CONTAINER);
    } catch (thrown) {
      this.refused(thrown);
    }
  }

  refused(thrown: unknown): void {
    const fault = asFault(thrown);
    const { log, meter } = this.#ports;
    meter.add("requests_refused", { door: "etsi014", fault: fault.code });
    if (fault.code === "INTERNAL") {
      log.error({ err: fault.cause, app: this.#exchange.app }, "a request met an internal error");
    }
    sendFault(this.#exchange, fault);
  }

  #route(): void {
    const exchange = this.#exchange;
    const { method, target } = exchange.head;
    if (exchange.turnedAway !== undefined) throw exchange.turnedAway;
    const route = routeOf(target);
    if (route === undefined) {
      exchange.sendText(404, '{"message":"there is no such resource; see ETSI GS QKD 014 clause 5"}');
    } else if (method === "GET") {
      this.#get(route);
    } else if (method === "HEAD") {
      this.#head(route);
    } else if (method === "POST" && route.operation !== "status") {
      this.#post(route);
    } else {
      const allow = ALLOWED[route.operation];
      exchange.sendText(405, JSON.stringify({ message: `the methods are: ${allow}` }), { Allow: allow });
    }
  }

  /** A body of a GET is not looked at. */
  #get({ operation, other, query }: Route): void {
    this.#refuseSelf(other);
    if (operation === "status") this.#sendStatus(other);
    else if (operation === "enc_keys") this.#supply(other, optionsOfQuery(query, this.#ports.door.sizes));
    else this.#fetch(other, keyIdsOfQuery(query));
  }

  /**
   * As GET, but without using up key: a HEAD is safe (RFC 9110 9.2.1), which GET of keys is not. Of an answer with keys it tells what
   * can be told beforehand, and the body of any answer is kept back.
   */
  #head({ operation, other, query }: Route): void {
    const { door } = this.#ports;
    this.#refuseSelf(other);
    if (operation === "status") {
      this.#sendStatus(other);
      return;
    }
    if (operation === "enc_keys") optionsOfQuery(query, door.sizes);
    else keyIdsOfQuery(query);
    // Refuses applications that are not known, and everything while the key manager starts.
    door.status(this.#exchange.app, other);
    this.#exchange.sendText(200, undefined);
  }

  #post({ operation, other, query }: Route): void {
    const { body, head } = this.#exchange;
    const { door, mostSlaves } = this.#ports;
    this.#refuseSelf(other);
    refuseKeyIdIn(query);
    const json = jsonObject(body, head.contentType);
    const limits = { sizes: door.sizes, mostSlaves: limitNow(mostSlaves) };
    if (operation === "enc_keys") this.#supply(other, optionsOfBody(json, query, limits));
    else this.#fetch(other, keyIdsOfBody(json));
  }

  #sendStatus(other: AppId): void {
    const { app } = this.#exchange;
    const { door, mostSlaves } = this.#ports;
    this.#exchange.sendText(200, statusText(app, other, door.status(app, other), limitNow(mostSlaves)));
  }

  #supply(destination: AppId, options: RequestOptions): void {
    const { app } = this.#exchange;
    if (options.others !== undefined) refuseAmong(app, destination, options.others);
    this.#exchange.whenGone(this.#ports.door.supply({ door: "etsi014", app, destination, ...options }, this));
  }

  #fetch(initiator: AppId, keyIds: readonly string[]): void {
    const { app } = this.#exchange;
    this.#exchange.whenGone(this.#ports.door.fetch({ door: "etsi014", app, initiator, keyIds }, this));
  }

  /** 014 is silent on an SAE that names itself: it needs no key manager to share a key with itself. */
  #refuseSelf(other: AppId): void {
    if (this.#exchange.app === other) throw malformed("an SAE cannot share keys with itself");
  }
}

/** Each SAE gets the keys once. */
function refuseAmong(master: AppId, slave: AppId, others: readonly AppId[]): void {
  if (others.includes(slave)) throw malformed("additional_slave_SAE_IDs names the slave of the path");
  if (others.includes(master)) throw malformed("additional_slave_SAE_IDs names the master");
}
