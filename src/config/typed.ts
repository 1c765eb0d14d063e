// What was written in the file, as the values that the node works with: paths absolute, times in milliseconds.

import { dirname, resolve } from "node:path";
import { LINK_OPTIONS, type LinkOptions } from "../../drivers/index.ts";
import type { DoorConfig, DoorTlsFiles, NodeConfig, TlsFiles } from "../config.ts";
import type { CertificateName } from "../core/certificate-names.ts";
import { appId, kmId, linkId } from "../core/ids.ts";
import { isUrlPort } from "../core/places/box-port.ts";
import { isNetworkPort } from "../core/places/network-port.ts";
import { isUsbPort } from "../core/places/usb-port.ts";
import type { TopologyLink } from "../core/topology/topology.ts";
import { mapFiles } from "./paths.ts";
import type { Written } from "./schema.ts";

/** @throws Fault when an ID is none, which the schema excludes */
export function configOf(from: Written, file: string): NodeConfig {
  const at = (path: string) => resolve(dirname(file), path);
  const maybe = (path: string | undefined) => (path === undefined ? undefined : at(path));
  const tls = (of: { certificate: string; key: string; trust: string }): TlsFiles => ({
    certificate: at(of.certificate),
    key: at(of.key),
    trust: at(of.trust),
  });
  const doorTls = (of: Pick<Written["kx"], "certificate" | "key" | "trust" | "crl" | "require_crl">): DoorTlsFiles => ({
    ...tls(of),
    crl: of.crl.map(at),
    requireCrl: of.require_crl,
  });
  const door = (of: Written["ak"]): DoorConfig => ({
    listen: of.listen,
    tls: doorTls(of),
    requireHybrid: of.require_hybrid,
    minTls: of.min_tls,
    groups: of.groups,
    ciphers: of.ciphers,
    maxConnections: of.max_connections,
  });
  const { node, token, memory } = from;
  return {
    file,
    node: {
      id: kmId(node.id),
      board: node.board,
      storeDir: at(node.store_dir),
      controlSocket: at(node.control_socket),
      storeMaxBytes: node.store_max_bytes,
      logLevel: node.log_level,
    },
    token: {
      module: at(token.module),
      label: token.label,
      pinFile: at(token.pin_file),
      softhsmConf: maybe(token.softhsm_conf),
      parameters: token.parameters,
      seal: token.seal,
      epochMs: token.epoch_s * 1_000,
      epochSeals: token.epoch_seals,
      deadlineMs: token.deadline_s * 1_000,
      allowUnlocked: memory.allow_unlocked,
    },
    memory: { slabBytes: memory.slab_bytes, ringBytes: memory.ring_bytes, allowUnlocked: memory.allow_unlocked },
    watchdog: {
      device: from.watchdog.device === "none" ? "none" : maybe(from.watchdog.device),
      required: from.watchdog.required,
    },
    ak: door(from.ak),
    etsi014: { ...door(from.etsi014), mostSlaves: from.etsi014.max_additional_slaves },
    kx: { listen: from.kx.listen, tls: doorTls(from.kx) },
    metrics: { listen: from.metrics.listen },
    monitoring: from.monitoring && { listen: from.monitoring.listen, tls: doorTls(from.monitoring) },
    controller: from.controller && { listen: from.controller.listen, tls: doorTls(from.controller) },
    etsi015: from.etsi015 && { listen: from.etsi015.listen, tls: doorTls(from.etsi015) },
    skip: from.skip && {
      ...door(from.skip),
      system: from.skip.system ?? node.id,
      remotes: from.skip.remotes.map(({ system, app }) => ({ system, app: appId(app) })),
      psk: from.skip.psk.map(({ identity, app, key_file }) => ({ identity, app: appId(app), keyFile: at(key_file) })),
    },
    etsi004: from.etsi004 && door(from.etsi004),
    etsi020: from.etsi020 && {
      ...door({ ...from.etsi020, min_tls: "1.3" }),
      callbackUrl: from.etsi020.callback_url,
      timeoutMs: from.etsi020.timeout_ms,
      borders: from.etsi020.borders.map(({ id, url, synchronous, certificates }) => ({
        ...{ id: kmId(id), url, isSynchronous: synchronous },
        certificates: certificates.flatMap(certificateName),
      })),
    },
    etsi020Client: from.etsi020 && {
      tls: {
        ...doorTls(from.etsi020),
        certificate: at(from.etsi020.client_certificate ?? from.etsi020.certificate),
        key: at(from.etsi020.client_key ?? from.etsi020.key),
        trust: at(from.etsi020.server_trust ?? from.etsi020.trust),
      },
    },
    cluster: from.cluster && {
      member: from.cluster.member,
      endpoints: from.cluster.endpoints,
      tls: tls(from.cluster),
      leaseS: from.cluster.lease_s,
    },
    supply: supplyOf(from.supply),
    audit: {
      dir: at(from.audit.dir),
      maxBytes: from.audit.max_bytes,
      keep: from.audit.keep,
      gatherMs: from.audit.gather_ms,
    },
    syslog: from.syslog && {
      server: from.syslog.server,
      trust: at(from.syslog.trust),
      certificate: maybe(from.syslog.certificate),
      key: maybe(from.syslog.key),
      dir: at(from.syslog.dir),
      maxBytes: from.syslog.max_bytes,
    },
    sessions: sessionsOf(from.sessions),
    links: from.links.map((link) => linkOf(link, at)),
    topology: topologyOf(from),
    peers: from.peers.map(({ id, address, further_addresses, dialect, fetch_apps, paths }) => ({
      id: kmId(id),
      addresses: [address, ...further_addresses],
      dialect,
      fetchApps: fetch_apps.map(appId),
      paths,
    })),
    apps: from.apps.map((app) => ({
      id: appId(app.id),
      home: kmId(app.home),
      border: app.border === undefined ? undefined : kmId(app.border),
      certificates: app.certificates.flatMap(certificateName),
      quotaBitsPerS: app.quota_bits_per_s,
      quotaBurstBits: app.quota_burst_bits,
    })),
  };
}

const isNoPath = (port: string): boolean => isUsbPort(port) || isNetworkPort(port) || isUrlPort(port);

function linkOf(
  { id, peer, driver, port, block_bytes, share, keep_blocks, cost, ...options }: Written["links"][number],
  at: (path: string) => string,
): NodeConfig["links"][number] {
  return {
    id: linkId(id),
    peer: kmId(peer),
    driver,
    port: isNoPath(port) ? port : at(port),
    blockBytes: block_bytes,
    share,
    keepBlocks: keep_blocks,
    cost,
    options: mapFiles({ entries: LINK_OPTIONS }, options, ({ file }) => at(file)) as LinkOptions,
  };
}

/** What one entry says, whether that is one thing or, wrongly, more. */
function certificateName({ uri, dns, cn, issuer, sha256 }: WrittenCertificate): readonly CertificateName[] {
  return [
    ...(uri === undefined ? [] : [{ uri }]),
    ...(dns === undefined ? [] : [{ dns }]),
    ...(cn === undefined || issuer === undefined ? [] : [{ cn, issuer }]),
    ...(sha256 === undefined ? [] : [{ sha256 }]),
  ];
}

type WrittenCertificate = Written["apps"][number]["certificates"][number];

function supplyOf(from: Written["supply"]): NodeConfig["supply"] {
  return {
    defaultKeyBits: from.default_key_bits,
    timeoutMs: from.timeout_ms,
    maxWaiting: from.max_waiting,
    maxAgeMs: from.max_age_s * 1_000,
    fetchWindowMs: from.fetch_window_s * 1_000,
    relayTimeoutMs: from.relay_timeout_ms,
    stockLow: from.stock_low,
    stockHigh: from.stock_high,
    maxHeld: from.max_held,
    quotaBitsPerS: from.quota_bits_per_s,
    quotaBurstBits: from.quota_burst_bits,
  };
}

function sessionsOf(from: Written["sessions"]): NodeConfig["sessions"] {
  return {
    max: from.max,
    maxPerApp: from.max_per_app,
    maxKeys: from.max_keys,
    idleMs: from.idle_s * 1_000,
    notifyMs: from.notify_timeout_ms,
    acknowledgeMs: from.acknowledge_timeout_ms,
  };
}

function topologyOf({ node, links, topology }: Written): readonly TopologyLink[] {
  const own = links.map(({ id, peer, cost }) => ({ link: id, kms: [node.id, peer] as const, cost }));
  return [...own, ...topology].map(({ link, kms: [a, b], cost }) => ({
    id: linkId(link),
    kms: [kmId(a), kmId(b)],
    cost,
  }));
}
