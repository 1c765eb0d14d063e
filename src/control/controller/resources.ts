// Every resource of the controller's endpoint: its path, its methods, what it answers with; docs/controller.md is made of it.

import {
  APP,
  CERTIFICATE,
  DESTINATION,
  DIRECTORY,
  FAULT,
  LINK,
  NODE,
  OVERVIEW,
  RELAY,
  ROUTES_SET,
  SESSION,
  type Table,
  TOPOLOGY_LINK,
} from "./tables.ts";

interface Resource {
  /** Below the base, `{KM}` for the ID of a KM. */
  readonly path: string;
  readonly methods: readonly string[];
  readonly meaning: string;
  readonly answer: string;
  readonly table: Table;
}

/** What the path of every resource begins with. */
export const BASE = "/api/v1/";

/** Every resource; the first part of its path is its name. */
export const RESOURCES = {
  node: { path: "node", methods: ["GET"], meaning: "this KM and its health", answer: "one object", table: NODE },
  links: { path: "links", methods: ["GET"], meaning: "its own QKD links", answer: "`links`", table: LINK },
  topology: {
    path: "topology",
    methods: ["GET"],
    meaning: "every link of the network that it is configured with",
    answer: "`topology`",
    table: TOPOLOGY_LINK,
  },
  destinations: {
    path: "destinations",
    methods: ["GET"],
    meaning: "the KMs that it shares keys with: stock, routes, relays",
    answer: "`destinations`",
    table: DESTINATION,
  },
  relays: {
    path: "relays",
    methods: ["GET"],
    meaning: "how its last relays ended, oldest first; `?after=N` leaves out those up to number N",
    answer: "`relays`",
    table: RELAY,
  },
  apps: {
    path: "apps",
    methods: ["GET"],
    meaning: "the applications that are at home here",
    answer: "`apps`",
    table: APP,
  },
  faults: {
    path: "faults",
    methods: ["GET"],
    meaning: "the last warnings and errors of its log, oldest first; `?after=N` leaves out those up to number N",
    answer: "`faults`",
    table: FAULT,
  },
  sessions: {
    path: "sessions",
    methods: ["GET"],
    meaning: "its sessions, the latest of each role",
    answer: "`sessions`",
    table: SESSION,
  },
  certificates: {
    path: "certificates",
    methods: ["GET"],
    meaning: "the certificates that it shows and trusts, with their expiry",
    answer: "`certificates`",
    table: CERTIFICATE,
  },
  overview: {
    path: "overview",
    methods: ["GET"],
    meaning:
      "all of the above at once, for who asks every second; `?relays_after=N&faults_after=M` leaves out those up to these numbers",
    answer: "one object",
    table: OVERVIEW,
  },
  directory: {
    path: "directory",
    methods: ["GET", "PUT", "PATCH"],
    meaning: "which KM is the home of each application, as a controller has told it; `?from=N` lists entries",
    answer: "one object",
    table: DIRECTORY,
  },
  routes: {
    path: "routes/{KM}",
    methods: ["GET", "PUT", "DELETE"],
    meaning: "the routes that a controller has set for a destination",
    answer: "one object",
    table: ROUTES_SET,
  },
} as const satisfies Record<string, Resource>;

/** The first part of a resource's path. */
export type ResourceName = keyof typeof RESOURCES;
