// The tables and keys of a node's TOML file: one schema; checks, defaults and the manual follow from it.

import * as v from "valibot";
import { ID_PATTERN } from "../core/ids.ts";
import { LIMITS } from "../core/limits.ts";
import { GROUP_NAMES, SUITES_1_2, SUITES_1_3 } from "../core/tls-choices.ts";

const FINGERPRINT = /^(?:[0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$/;
const ENDPOINT = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/;

const text = (meaning: string) =>
  v.pipe(v.string("must be text in quotes"), v.minLength(1, "must not be empty"), v.description(meaning));

const id = (meaning: string) =>
  v.pipe(
    v.string("must be text in quotes"),
    v.regex(ID_PATTERN, "must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ -"),
    v.description(meaning),
  );

const integer = (min: number, max: number, meaning: string) =>
  v.pipe(
    v.number("must be a whole number without quotes"),
    v.integer("must be a whole number"),
    v.minValue(min, `must be at least ${min}`),
    v.maxValue(max, `must be at most ${max}`),
    v.description(meaning),
  );

const flag = (meaning: string) => v.pipe(v.boolean("must be true or false"), v.description(meaning));

const choice = <const Names extends readonly string[]>(names: Names, meaning: string) =>
  v.pipe(v.picklist(names, `must be one of ${names.map((name) => `"${name}"`).join(", ")}`), v.description(meaning));

const choices = <const Names extends readonly string[]>(names: Names, meaning: string) =>
  v.pipe(v.array(choice(names, ""), "must be a list"), v.description(`${meaning}: ${names.join(", ")}`));

const endpoint = (meaning: string) =>
  v.pipe(
    v.string("must be text in quotes"),
    v.regex(ENDPOINT, 'must be "host:port", for example "127.0.0.1:7001" or "[::1]:7001"'),
    v.transform((value) => {
      const [, six, name, port] = ENDPOINT.exec(value) ?? [];
      return { host: six ?? name ?? "", port: Number(port) };
    }),
    v.check(({ port }) => port <= 65_535, "the port must be at most 65535"),
    v.description(meaning),
  );

const httpsUrl = (meaning: string) =>
  v.pipe(
    v.string("must be text in quotes"),
    v.check((value) => {
      const url = URL.parse(value);
      return url?.protocol === "https:" && [url.username, url.password, url.search, url.hash].join("") === "";
    }, 'must be an https URL, for example "https://192.0.2.7:8020"'),
    v.description(meaning),
  );

const endpoints = (meaning: string) =>
  v.pipe(v.array(endpoint(""), 'must be a list, for example ["192.0.2.1:2379"]'), v.description(meaning));

const wholeBytes = v.check<number, string>((bits) => bits % 8 === 0, "must be a multiple of 8");
const powerOfTwo = v.check<number, string>((bytes) => Number.isInteger(Math.log2(bytes)), "must be a power of two");

const tls = {
  certificate: text("this KM's certificate (PEM)"),
  key: text("its private key (PEM), not readable by others"),
  trust: text("the CA whose certificates are let in (PEM)"),
  crl: v.optional(
    v.pipe(
      v.array(text(""), 'must be a list of files, for example ["apps.crl.pem"]'),
      v.description("revocation lists of the authorities in `trust` (PEM)"),
    ),
    [],
  ),
  require_crl: v.optional(flag("let nobody in whose authority has no list in `crl` that is still valid"), false),
};
const door = {
  ...tls,
  require_hybrid: v.optional(flag("refuse clients without X25519MLKEM768"), false),
  min_tls: v.optional(choice(["1.3", "1.2"], "`1.2` for clients that have nothing newer"), "1.3"),
  groups: v.optional(
    choices(GROUP_NAMES, "key exchange groups, the preferred one first; X25519MLKEM768 and X25519 when left out"),
    [],
  ),
  ciphers: v.optional(choices([...SUITES_1_3, ...SUITES_1_2], "cipher suites; those of AES-256-GCM when left out"), []),
  max_connections: v.optional(integer(1, 10_000, "connections at a time"), 256),
};
/** Where nothing older than TLS 1.3 may come. */
const { min_tls: _, ...door13 } = door;
const quota = {
  quota_bits_per_s: integer(8, 1e12, "bits of key a second that an application may take"),
  quota_burst_bits: integer(8, 1e12, "bits of key that an application may take at once"),
};

const cost = v.optional(
  integer(1, 10_000, "what a route over it costs: keys take the route whose links cost least"),
  1,
);
/** Links of a network, and KMs that a key may come by at the same time. */
const MOST_LINKS = 10_000;
const MOST_PATHS = 8;

/** Who a KM is to a vendor's box. */
const box = v.strictObject({
  remote: text("what the vendor's boxes call the KM at the other end: its SAE ID; for `etsi004` its URI"),
  local: v.optional(text("what they call this KM; `id` of `[node]` when left out")),
  certificate: text(
    "the certificate that this KM shows to the box (PEM); a renewed one counts with the next connection",
  ),
  key: text("its private key (PEM), not readable by others"),
  trust: text("the CA that signed the box's certificate (PEM)"),
  server_name: v.optional(text("name in the box's certificate, where it is not the host of `port`")),
  min_tls: v.optional(choice(["1.3", "1.2"], "`1.2` for a box that has nothing newer"), "1.3"),
  key_bits: v.optional(
    v.pipe(
      integer(64, 262_144, "`etsi014`: size of each key that is asked for; the box's largest when left out"),
      wholeBytes,
    ),
  ),
  wire: v.optional(choice(["A", "B"], "`etsi004`: how the box writes its frames"), "B"),
});

/** One of the ways to know an application's certificate. */
const certificate = v.pipe(
  v.strictObject({
    uri: v.optional(text("a URI among its alternative names")),
    dns: v.optional(text("a DNS name among its alternative names; no patterns")),
    cn: v.optional(text("its common name; with `issuer`")),
    issuer: v.optional(text("its issuer's name, as `openssl x509 -noout -issuer -nameopt RFC2253` prints it")),
    sha256: v.optional(
      v.pipe(
        text("its SHA-256 fingerprint, as `openssl x509 -noout -fingerprint -sha256` prints it"),
        v.check((digits) => FINGERPRINT.test(digits), "must be 64 hexadecimal digits, with colons or without"),
      ),
    ),
  }),
  v.check(
    ({ uri, dns, cn, issuer, sha256 }) =>
      [uri, dns, cn ?? issuer, sha256].filter((name) => name !== undefined).length === 1 &&
      (cn === undefined) === (issuer === undefined),
    "must have one of uri, dns, sha256, or cn with issuer",
  ),
);

/** Every table of the file; `docs/configuration.md` is generated from it. */
export const SCHEMA = v.strictObject({
  node: v.strictObject({
    id: id("this KM's ID, the same as in its certificates"),
    board: v.optional(text("the hardware that it runs on, one of `boards/`"), "host"),
    store_dir: v.optional(text("folder of the key store"), "store"),
    store_max_bytes: v.optional(integer(1 << 20, 2 ** 44, "largest size of the key store on disk"), 2 ** 30),
    control_socket: v.optional(text("Unix socket for `qkm status` and the like"), "control.sock"),
    log_level: v.optional(choice(["debug", "info", "warn", "error"], "the least that is logged"), "info"),
  }),
  token: v.strictObject({
    module: text("PKCS#11 library of the security module"),
    label: text("label of the token"),
    pin_file: v.optional(text("file with the user PIN, not readable by others"), "pin"),
    softhsm_conf: v.optional(text("SoftHSM's configuration file; leave it out for other tokens")),
    parameters: v.optional(text("what the library is given when it starts, for NSS; leave it out for other tokens")),
    seal: v.optional(
      choice(
        ["auto", "direct", "envelope"],
        "`direct`: the token seals every block; `envelope`: it encrypts data keys",
      ),
      "auto",
    ),
    epoch_s: v.optional(integer(1, 31_536_000, "a new KEK after this time"), 3_600),
    epoch_seals: v.optional(integer(1_000, 2 ** 31, "a new KEK after so many seals"), 1_000_000),
    deadline_s: v.optional(integer(1, 120, "a token that has not answered a call after this time is gone"), 5),
  }),
  memory: v.optional(
    v.strictObject({
      slab_bytes: v.optional(integer(1 << 18, 2 ** 32, "locked memory for open blocks"), 4 << 20),
      ring_bytes: v.optional(v.pipe(integer(1 << 17, 1 << 28, "locked memory for answers"), powerOfTwo), 1 << 20),
      allow_unlocked: v.optional(flag("start although memory cannot be locked (development only)"), false),
    }),
    {},
  ),
  watchdog: v.optional(
    v.strictObject({
      device: v.optional(text("the hardware watchdog, such as `/dev/watchdog0`, or `none`; the board's when left out")),
      required: v.optional(flag("refuse to start without it"), false),
    }),
    {},
  ),
  ak: v.strictObject({ listen: endpoint("where applications connect (Q.4161)"), ...door }),
  etsi014: v.strictObject({
    listen: endpoint("where applications connect (ETSI GS QKD 014, HTTPS)"),
    ...door,
    max_additional_slaves: v.optional(
      integer(0, LIMITS.multicastApps - 1, "`additional_slave_SAE_IDs` that a request may name; 0 for no multicast"),
      0,
    ),
  }),
  kx: v.strictObject({ listen: endpoint("where other KMs connect (Q.4163)"), ...tls }),
  metrics: v.strictObject({ listen: endpoint("Prometheus metrics, plain HTTP: a local or management address") }),
  monitoring: v.optional(
    v.strictObject({ listen: endpoint("the same metrics over TLS, for monitors with a client certificate"), ...tls }),
  ),
  controller: v.optional(v.strictObject({ listen: endpoint("where the QKDN controller connects (HTTPS)"), ...tls })),
  etsi015: v.optional(
    v.strictObject({ listen: endpoint("where an SDN controller reads (ETSI GS QKD 015, RESTCONF)"), ...tls }),
  ),
  skip: v.optional(
    v.strictObject({
      listen: endpoint("where encryptors connect (Cisco SKIP, HTTPS)"),
      ...door,
      system: v.optional(id("this KM's system ID; `id` of `[node]` when left out")),
      remotes: v.optional(
        v.array(
          v.strictObject({
            system: v.pipe(
              text("system ID of another key provider, or a pattern with `*`, `?`, `[list]` or `[!list]`"),
              v.maxLength(128, "must have at most 128 characters"),
            ),
            app: id("the application that it stands for, one of `[[apps]]`"),
          }),
          "must be written as [[skip.remotes]]",
        ),
        [],
      ),
      psk: v.optional(
        v.array(
          v.strictObject({
            identity: v.pipe(
              text("what an encryptor without a certificate names itself (TLS 1.2, DHE-PSK)"),
              v.maxLength(128, "must have at most 128 characters"),
            ),
            app: id("the application at home here that it is"),
            key_file: text("file with its key, 32 to 128 hexadecimal digits, not readable by others"),
          }),
          "must be written as [[skip.psk]]",
        ),
        [],
      ),
    }),
  ),
  etsi004: v.optional(
    v.strictObject({
      listen: endpoint("where applications connect (ETSI GS QKD 004, TLS; usually port 25575)"),
      ...door,
    }),
  ),
  etsi020: v.optional(
    v.strictObject({
      listen: endpoint("where key managers of other networks connect (ETSI GS QKD 020, HTTPS)"),
      ...door13,
      client_certificate: v.optional(
        text("this KM's certificate where it connects to other networks (PEM); `certificate` when left out"),
      ),
      client_key: v.optional(text("its private key (PEM), not readable by others")),
      server_trust: v.optional(
        text("the CA of the key managers to which this KM connects (PEM); `trust` when left out"),
      ),
      callback_url: v.optional(
        httpsUrl("this door as other networks reach it, such as `https://kme.example:8020`; `listen` when left out"),
      ),
      timeout_ms: v.optional(
        integer(100, 600_000, "how long keys may take over a border until the other network has acknowledged them"),
        5_000,
      ),
      borders: v.optional(
        v.array(
          v.strictObject({
            id: id("the key manager of another network, as in its certificate"),
            url: v.optional(
              httpsUrl("where it listens, such as `https://kme.example:8020`; without it keys only come in"),
            ),
            synchronous: v.optional(flag("send keys in the synchronous mode: the answer acknowledges them"), false),
            certificates: v.optional(v.array(certificate, "must be written as [[etsi020.borders.certificates]]"), []),
          }),
          "must be written as [[etsi020.borders]]",
        ),
        [],
      ),
    }),
  ),
  cluster: v.optional(
    v.strictObject({
      member: id("which of the machines that are this KM this one is"),
      endpoints: v.pipe(endpoints("where the voters of etcd listen"), v.minLength(1, "must name at least one")),
      certificate: text("this member's certificate for etcd (PEM)"),
      key: text("its private key (PEM), not readable by others"),
      trust: text("the CA that signs etcd's certificates (PEM)"),
      lease_s: v.optional(integer(2, 600, "how long an active member may be silent before another takes over"), 3),
    }),
  ),
  supply: v.optional(
    v.strictObject({
      default_key_bits: v.optional(v.pipe(integer(8, 32_704, "size of a key when none is asked"), wholeBytes), 256),
      timeout_ms: v.optional(integer(1, 600_000, "how long a request waits for key"), 5_000),
      max_waiting: v.optional(integer(1, 1_000_000, "requests that may wait at a time"), 1_024),
      max_age_s: v.optional(integer(1, 31_536_000, "age at which a KMA-key is supplied from no more"), 86_400),
      fetch_window_s: v.optional(integer(1, 31_536_000, "how much longer supplied keys can be fetched by ID"), 3_600),
      relay_timeout_ms: v.optional(integer(100, 600_000, "how long a key relay may take"), 5_000),
      stock_low: v.optional(integer(1, 1_000_000, "relay more when fewer KMA-keys are ready for a destination"), 4),
      stock_high: v.optional(
        integer(1, 1_000_000, "relay until so many are ready; 1,000 hold a million 256-bit keys"),
        8,
      ),
      max_held: v.optional(integer(1, 10_000_000, "KMA-keys that one source KM may have here"), 4_096),
      quota_bits_per_s: v.optional(quota.quota_bits_per_s, 1_000_000_000),
      quota_burst_bits: v.optional(quota.quota_burst_bits, 1_000_000_000),
    }),
    {},
  ),
  audit: v.optional(
    v.strictObject({
      dir: v.optional(text("folder of the audit log"), "audit"),
      max_bytes: v.optional(integer(1 << 20, 2 ** 44, "largest size of the audit log on disk"), 2 ** 30),
      keep: v.optional(
        choice(
          ["newest", "all"],
          "at `max_bytes`: `newest` removes the oldest segment and notes it; `all` removes nothing, and nothing is done with keys until segments are moved away",
        ),
        "newest",
      ),
      gather_ms: v.optional(integer(10, 1_000, "how long events are gathered before they are sealed and written"), 100),
    }),
    {},
  ),
  syslog: v.optional(
    v.strictObject({
      server: endpoint("the syslog server (RFC 5424 over TLS, RFC 5425; its usual port is 6514)"),
      trust: text("the CA that signed the server's certificate (PEM)"),
      certificate: v.optional(text("certificate that this KM shows to the server, if it wants one (PEM)")),
      key: v.optional(text("its private key (PEM), not readable by others")),
      dir: v.optional(text("folder for what waits for the server"), "syslog"),
      max_bytes: v.optional(integer(1 << 20, 2 ** 40, "most that waits on disk; then the oldest is lost"), 64 << 20),
    }),
  ),
  sessions: v.optional(
    v.strictObject({
      max: v.optional(
        integer(1, 1_000_000, "sessions at a time that are opened here, and as many opened elsewhere"),
        4_096,
      ),
      max_per_app: v.optional(
        integer(
          1,
          1_000_000,
          "the same for one application; for its destination half of them are shared out among the KMs",
        ),
        1_024,
      ),
      max_keys: v.optional(integer(1, 2 ** 31, "largest budget, and that of a session which names none"), 1_000_000),
      idle_s: v.optional(integer(1, 31_536_000, "a session that was not used for so long ends"), 600),
      notify_timeout_ms: v.optional(
        integer(1, 600_000, "how long an application may take to agree to a session (0x2107)"),
        5_000,
      ),
      acknowledge_timeout_ms: v.optional(
        integer(1, 600_000, "how long an application may take to acknowledge keys (0x210B)"),
        5_000,
      ),
    }),
    {},
  ),
  links: v.optional(
    v.array(
      v.strictObject({
        id: id("the link's ID, the same at both ends"),
        peer: id("the KM at its other end, one of `[[peers]]`"),
        driver: v.optional(
          text("what speaks to the module: `serial` or `hid`; or to a vendor's box: `etsi014` or `etsi004`"),
          "serial",
        ),
        port: text(
          "where the module is plugged in: /dev/serial/by-id/…, any other path, `usb:VENDOR:PRODUCT:SERIAL`, or `tcp:HOST:PORT` of ser2net; where a box listens: `https://HOST:PORT`, `tls://HOST:PORT` for `etsi004`",
        ),
        block_bytes: v.optional(
          v.pipe(integer(4_096, 32_768, "size of a link block, the same at both ends"), powerOfTwo),
          32_768,
        ),
        share: v.optional(
          v.pipe(
            v.strictTuple([integer(0, 255, ""), integer(0, 255, "")], "must be two whole numbers, for example [1, 1]"),
            v.check(([first, other]) => first > 0 || other > 0, "must not be [0, 0]"),
            v.description(
              "parts of the blocks owned by the KM whose ID sorts first and by the other; the same at both ends",
            ),
          ),
          [1, 1],
        ),
        keep_blocks: v.optional(
          integer(
            2,
            1_000_000,
            "own blocks kept unused, and a quarter more of the other end's; the oldest are destroyed",
          ),
          512,
        ),
        cost,
        baud_rate: v.optional(integer(300, 12_000_000, "bits a second, for lines that have a rate")),
        pairing_key_file: v.optional(text("file with the module's pairing key, not readable by others")),
        box: v.optional(box),
      }),
      "must be written as [[links]]",
    ),
    [],
  ),
  topology: v.optional(
    v.pipe(
      v.array(
        v.strictObject({
          link: id("the link's ID"),
          kms: v.pipe(
            v.strictTuple([id(""), id("")], 'must be two IDs, for example ["km-b", "km-c"]'),
            v.description("the KMs at its two ends"),
          ),
          cost,
        }),
        "must be written as [[topology]]",
      ),
      v.maxLength(MOST_LINKS, `must be at most ${MOST_LINKS} links`),
    ),
    [],
  ),
  peers: v.optional(
    v.array(
      v.strictObject({
        id: id("the other KM's ID, as in its certificate"),
        address: endpoint("its Kx listener"),
        further_addresses: v.optional(endpoints("those of its other members, where it has several; tried in turn"), []),
        dialect: v.optional(
          choice(["extended", "strict"], "`strict` for another make: keys travel under TLS alone"),
          "extended",
        ),
        fetch_apps: v.optional(
          v.pipe(
            v.array(id(""), 'must be a list of IDs, for example ["app-a1"]'),
            v.description(
              "applications at home here that may fetch what a strict peer relays to this KM; without any it is refused",
            ),
          ),
          [],
        ),
        paths: v.optional(
          integer(
            1,
            MOST_PATHS,
            "routes that share no KM, over which each KMA-key travels in as many parts; every one costs its own link key",
          ),
          1,
        ),
      }),
      "must be written as [[peers]]",
    ),
    [],
  ),
  apps: v.optional(
    v.array(
      v.strictObject({
        id: id("the application's ID, as in its certificate"),
        home: id("the KM that serves it: this one or one of `[[peers]]`"),
        border: v.optional(
          id("of an application in another network: the border of its `home` over which keys for it leave"),
        ),
        certificates: v.optional(v.array(certificate, "must be written as [[apps.certificates]]"), []),
        quota_bits_per_s: v.optional(quota.quota_bits_per_s),
        quota_burst_bits: v.optional(quota.quota_burst_bits),
      }),
      "must be written as [[apps]]",
    ),
    [],
  ),
});

/** The configuration as it is written, after the schema: keys spelt as in the file. */
export type Written = v.InferOutput<typeof SCHEMA>;
