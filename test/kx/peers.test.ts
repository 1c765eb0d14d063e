// Kx over real TLS connections on the loopback address.

import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { type KmId, kmId, linkId } from "../../src/core/ids.ts";
import { type Kx, type KxPeer, startKx } from "../../src/kx/peers.ts";
import { dial } from "../../src/net/dial.ts";
import type { SecureOptions, TlsMaterial } from "../../src/net/tls/options.ts";
import { type Listener, listenTls } from "../../src/net/tls-listener.ts";
import { type Authority, authority, forIdentity, material } from "../support/certificates.ts";
import { until } from "../support/until.ts";
import {
  A,
  B,
  C,
  COMPLETION_JSON,
  END_TAG,
  faultOf,
  fixedRandom,
  KEY_ID,
  MACHINE_CLOCK,
  offer,
  RELAY_JSON,
  TestPorts,
} from "./fixture.ts";
import { HandPeer, handFrame } from "./hand-peer.ts";

const A0 = kmId("km-0");
const LOOPBACK = { host: "127.0.0.1", port: 0 };
let kms: Authority;
let apps: Authority;
let tls: Record<"km-a" | "km-b" | "km-c", TlsMaterial>;

beforeAll(async () => {
  [kms, apps] = await Promise.all([authority("KMs"), authority("apps")]);
  const [a, b, c] = await Promise.all(["km-a", "km-b", "km-c"].map(kmTls));
  if (!a || !b || !c) throw new Error("no certificates");
  tls = { "km-a": a, "km-b": b, "km-c": c };
});

const kmTls = async (id: string): Promise<TlsMaterial> => material(await forIdentity(kms, "km", id), kms);

const ending: (() => PromiseLike<void> | void)[] = [];
afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end();
});

interface Started {
  readonly kx: Kx;
  readonly ports: TestPorts<typeof MACHINE_CLOCK>;
}

interface Setting {
  readonly port?: number;
  readonly keepalive?: { readonly silenceMs: number; readonly timeoutMs: number };
}

async function start(km: "km-a" | "km-b" | "km-c", peers: readonly KxPeer[], setting: Setting = {}): Promise<Started> {
  const ports = new TestPorts(MACHINE_CLOCK);
  const { port = 0, ...rest } = setting;
  const kx = await startKx(
    {
      km: tlsOwner(km),
      listen: { ...LOOPBACK, port },
      tls: tls[km],
      peers,
      defaultKeyBits: 256,
      generation: 0,
      ...rest,
    },
    { ...ports, random: fixedRandom(0) },
  );
  ending.push(() => kx[Symbol.asyncDispose]());
  return { kx, ports };
}

const tlsOwner = (km: "km-a" | "km-b" | "km-c"): KmId => ({ "km-a": A, "km-b": B, "km-c": C })[km];

const peer = (id: KmId, port: number, dialect: KxPeer["dialect"] = "extended"): KxPeer => ({
  id,
  addresses: [{ ...LOOPBACK, port }],
  dialect,
});

/** km-a dials km-b; the address of km-a counts for nothing, as km-b never dials it. */
async function pair(setting: Setting = {}) {
  const b = await start("km-b", [peer(A, 1)], setting);
  const a = await start("km-a", [peer(B, b.kx.port)], setting);
  await connected(a, b);
  return { a, b };
}

async function connected(...all: readonly Started[]): Promise<void> {
  for (const { kx } of all) await until("the peers are connected", () => kx.connected().length === 1);
}

/** A peer by hand that dials `port` with some credentials. */
async function handDial(port: number, own: TlsMaterial, groups: SecureOptions["groups"] = ["X25519MLKEM768"]) {
  const quiet = new TestPorts(MACHINE_CLOCK);
  const options = { ...LOOPBACK, port, expect: "km-b", door: "test", tls: own, kind: "km", groups } as const;
  const hand = new HandPeer(await dial(options, quiet));
  ending.push(() => hand.channel.close("end of test"));
  return hand;
}

describe("two key managers", () => {
  it("design 10: the one whose ID sorts first dials, with the hybrid group; relays and tells cross", async () => {
    const { a, b } = await pair();
    expect(a.ports.count("connections_opened", { door: "kx", group: "X25519MLKEM768" })).toBe(1);
    expect(b.ports.count("connections_opened", { door: "kx", group: "X25519MLKEM768" })).toBe(1);
    expect([a.kx.connected(), b.kx.connected()]).toEqual([[B], [A]]);
    const [toB, toA] = [a.ports.events.peers[0], b.ports.events.peers[0]];
    const entry = { name: "qkm_state", text: "ü".repeat(20_000) };
    const results = await Promise.all([
      toB?.relay(offer(), 5_000),
      toA?.relay(offer({ source: B, destination: A }), 5_000),
      ...Array.from({ length: 20 }, () => [toB?.tell([entry], 5_000), toA?.tell([entry], 5_000)]).flat(),
    ]);
    expect(results.slice(0, 2)).toEqual([0, 1].map(() => ({ keyId: KEY_ID, tag: END_TAG })));
    expect(b.ports.events.offers).toEqual([offer()]);
    for (const { ports } of [a, b]) expect(ports.events.tells).toEqual(Array.from({ length: 20 }, () => [entry]));
  });

  it("key-protocol 2: keys of 32 KiB under pads cross both ways at once", async () => {
    const { a, b } = await pair();
    const key = Uint8Array.from({ length: 32_768 }, (_, index) => (index * 31 + 5) & 0xff);
    const pads = [
      { link: linkId("ab"), run: 1, sequence: 4, offset: 0, length: 32_768 },
      { link: linkId("ab"), run: 1, sequence: 6, offset: 0, length: 32 },
    ];
    const asked = offer({ protection: { scheme: "otp", pads, tag: END_TAG }, key });
    const relays = [a, b].flatMap(({ ports }) =>
      Array.from({ length: 8 }, () => ports.events.peers[0]?.relay(asked, 5_000)),
    );
    expect(await Promise.all(relays)).toEqual(relays.map(() => ({ keyId: KEY_ID, tag: END_TAG })));
    for (const { ports } of [a, b]) {
      expect(ports.events.offers).toHaveLength(8);
      for (const came of ports.events.offers) expect(Buffer.from(came.key).equals(key)).toBe(true);
    }
  });

  it("design 5: whole keys cross between two that are configured as strict", async () => {
    const b = await start("km-b", [peer(A, 1, "strict")]);
    const a = await start("km-a", [peer(B, b.kx.port, "strict")]);
    await connected(a, b);
    const text = Buffer.alloc(4_088, 7).toString("base64");
    const keys = Array.from({ length: 11 }, (_, index) => ({
      keyId: `k-${index}`,
      length: 4_088,
      writeKey: (target: Uint8Array, at: number) => at + Buffer.from(text, "latin1").copy(target, at),
    }));
    await a.ports.events.peers[0]?.relayUnprotected(
      { requestId: "r", source: A, destination: B, transit: [], keys },
      5_000,
    );
    expect(b.ports.events.arrivals.map((arrival) => arrival.keys)).toEqual([keys.map(({ keyId }) => [keyId, text])]);
  });

  it("connect again when the other end was gone and is back", async () => {
    const { a, b } = await pair();
    const { port } = b.kx;
    await b.kx[Symbol.asyncDispose]();
    await until("km-a noticed", () => a.kx.connected().length === 0);
    const again = await start("km-b", [peer(A, 1)], { port });
    await connected(a, again);
    expect(a.ports.events.happened.slice(0, 3)).toEqual([
      "connected km-b #1",
      "disconnected km-b #1",
      "connected km-b #2",
    ]);
    await a.ports.events.peers.at(-1)?.tell([{ name: "x" }], 5_000);
    expect(again.ports.events.tells).toEqual([[{ name: "x" }]]);
  });

  it("connect again when the key manager has closed the connection", async () => {
    const { a, b } = await pair();
    b.ports.events.peers[0]?.close("the state exchange failed");
    await until("a second connection", () => b.ports.events.peers.length === 2);
    await connected(a, b);
    expect(a.ports.events.happened.slice(0, 2)).toEqual(["connected km-b #1", "disconnected km-b #1"]);
  });

  it("design 10: silence is broken by signs of life, which keep a quiet connection up", async () => {
    const { a, b } = await pair({ keepalive: { silenceMs: 10, timeoutMs: 60_000 } });
    const begun = performance.now();
    await until("a while has passed", () => performance.now() - begun > 100);
    for (const { ports } of [a, b]) expect(ports.events.happened).toHaveLength(1);
  });

  it("stop in order: open calls fail, both are told, and nothing stays open", async () => {
    const { a, b } = await pair();
    b.ports.events.onTold = () => new Promise(() => {});
    const call = faultOf(a.ports.events.peers[0]?.tell([{ name: "x" }], 60_000) ?? Promise.resolve());
    await until("the tell has arrived", () => b.ports.events.tells.length === 1);
    await a.kx[Symbol.asyncDispose]();
    expect((await call).code).toBe("PEER_UNAVAILABLE");
    expect(a.ports.events.happened).toEqual(["connected km-b #1", "disconnected km-b #1"]);
    await until("km-b noticed", () => b.ports.events.happened.at(-1) === "disconnected km-a #1");
  });
});

describe("a peer by hand over TLS", () => {
  const onlyB = async (setting: Setting = {}) => start("km-b", [peer(A, 1), peer(C, 1)], setting);

  it("Q.4163 8: asks in frames that are chopped anywhere and is answered", async () => {
    const { kx } = await onlyB();
    const hand = await handDial(kx.port, tls["km-a"]);
    const bytes = handFrame(0x1101, 0xdead_beef, RELAY_JSON);
    for (const [from, to] of [
      [0, 1],
      [1, 7],
      [7, 11],
      [11, 200],
      [200, bytes.length],
    ] as const) {
      hand.send(bytes.subarray(from, to));
    }
    expect(await hand.next(0x1102)).toEqual({
      version: 1,
      messageId: 0xdead_beef,
      code: 0x1102,
      json: COMPLETION_JSON,
    });
  });

  it("design 10: that connects anew replaces its old connection", async () => {
    const { kx, ports } = await onlyB();
    const first = await handDial(kx.port, tls["km-a"]);
    await until("the first is connected", () => ports.events.peers.length === 1);
    const call = faultOf(
      ports.events.peers[0]?.relay(offer({ source: B, destination: A }), 60_000) ?? Promise.resolve(),
    );
    const second = await handDial(kx.port, tls["km-a"]);
    expect((await call).code).toBe("PEER_UNAVAILABLE");
    await until("the first is closed", () => first.closedBecause !== undefined);
    expect(ports.events.happened).toEqual(["connected km-a #1", "disconnected km-a #1", "connected km-a #2"]);
    second.send(handFrame(0x1103, 1, { session_ID: "", number_of_keys: 0 }));
    expect((await second.next(0x1104)).json.response).toBe("success");
  });

  it("design 10: that says nothing is closed after the silence", async () => {
    const { kx, ports } = await onlyB({ keepalive: { silenceMs: 20, timeoutMs: 20 } });
    const hand = await handDial(kx.port, tls["km-a"]);
    await hand.next(0x1103);
    await until("the end", () => hand.closedBecause !== undefined);
    expect(ports.events.happened).toEqual(["connected km-a #1", "disconnected km-a #1"]);
  });

  it("that sends rubbish is closed, and may come again", async () => {
    const { kx, ports } = await onlyB();
    const hand = await handDial(kx.port, tls["km-a"]);
    hand.send(Buffer.from("GET / HTTP/1.1\r\n\r\n"));
    await until("the end", () => hand.closedBecause !== undefined);
    expect(ports.count("frames_refused", { door: "kx", reason: "version" })).toBe(1);
    const again = await handDial(kx.port, tls["km-a"]);
    again.send(handFrame(0x1103, 1, { session_ID: "", number_of_keys: 0 }));
    await again.next(0x1104);
  });
});

describe("who is refused", () => {
  async function refused(own: TlsMaterial, reason: string, groups?: SecureOptions["groups"]): Promise<void> {
    const { kx, ports } = await start("km-b", [peer(A, 1), peer(C, 1)]);
    // A TLS 1.3 client has ended its handshake before the other end has looked at its certificate.
    const hand = await handDial(kx.port, own, groups).catch((thrown: unknown) => thrown);
    await until("the refusal", () => ports.count("connections_refused", { door: "kx", reason }) === 1);
    if (hand instanceof HandPeer) await until("the end", () => hand.closedBecause !== undefined);
    expect(ports.events.happened).toEqual([]);
  }

  it("design 10: an application's certificate never opens Kx", async () => {
    await refused({ ...(await forIdentity(apps, "app", "app-a1")), trust: kms.pem }, "unknown_ca");
  });

  it("design 10: nor does a certificate of an application that the KMs' authority signed", async () => {
    await refused({ ...(await forIdentity(kms, "app", "km-a")), trust: kms.pem }, "identity");
  });

  it("design 10: a KM that is no configured peer", async () => {
    await refused(await kmTls("km-0"), "not_admitted");
  });

  it("design 10: a peer that dials though its ID sorts last, so that both ends never keep different connections", async () => {
    await refused(tls["km-c"], "not_admitted");
  });

  it("design 10: an extended peer without the hybrid group", async () => {
    await refused(tls["km-a"], "group", ["X25519"]);
  });

  it("design 10: an extended peer without the hybrid group, even where a strict one may do without", async () => {
    const { kx, ports } = await start("km-b", [peer(A, 1), peer(A0, 1, "strict")]);
    const hand = await handDial(kx.port, tls["km-a"], ["X25519"]);
    await until("the end", () => hand.closedBecause !== undefined);
    expect(ports.count("connections_refused", { door: "kx", reason: "group" })).toBe(1);
    expect(ports.events.happened).toEqual([]);
    await handDial(kx.port, await kmTls(A0), ["X25519"]);
    await until("the strict one is connected", () => kx.connected().includes(A0));
  });

  it("design 10: whoever answers where a peer was dialled but shows another ID", async () => {
    const sockets = new TestPorts(MACHINE_CLOCK);
    const impostor: Listener = await listenTls(
      { ...LOOPBACK, door: "test", tls: tls["km-c"], kind: "km", groups: ["X25519MLKEM768"], maxConnections: 4 },
      { ...sockets, admit: () => undefined },
      () => {},
    );
    ending.push(() => impostor[Symbol.asyncDispose]());
    const { ports } = await start("km-a", [peer(B, impostor.port)]);
    await until("the refusal", () => ports.count("connections_refused", { door: "kx", reason: "not_admitted" }) > 0);
    expect(ports.events.happened).toEqual([]);
  });
});
