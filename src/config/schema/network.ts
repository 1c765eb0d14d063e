// The lists of what the network has: links of this node, links of others, peers, applications.

import * as v from "valibot";
import { DRIVER_NAMES, LINK_OPTIONS } from "../../../drivers/index.ts";
import { certificate } from "./certificate.ts";
import { choice, endpoint, endpoints, id, integer, powerOfTwo, text } from "./fields.ts";
import { quota } from "./policy.ts";

const cost = v.optional(
  integer(1, 10_000, "what a route over it costs: keys take the route whose links cost least"),
  1,
);
/** Links of a network, and KMs that a key may come by at the same time. */
const MOST_LINKS = 10_000;
const MOST_PATHS = 8;

/** The schemas of the drivers follow in each link. */
const driver = v.pipe(
  v.picklist(DRIVER_NAMES, ({ received }) => `there is no driver ${received}; there is ${DRIVER_NAMES.join(", ")}`),
  v.description("what speaks to the module: `serial` or `hid`; or to a vendor's box: `etsi014` or `etsi004`"),
);

/** The network as this node sees it. */
export const NETWORK_TABLES = {
  links: v.optional(
    v.array(
      v.strictObject({
        id: id("the link's ID, the same at both ends"),
        peer: id("the KM at its other end, one of `[[peers]]`"),
        driver: v.optional(driver, "serial"),
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
        ...LINK_OPTIONS,
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
};
