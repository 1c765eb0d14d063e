// ETSI GS QKD 015 V2.1.1: the part of the YANG module etsi-qkd-sdn-node that a KM tells, in the JSON of RFC 7951.

/** Values of identities are qualified by the module that defines them (RFC 7951 6.8). */
export const TYPES = "etsi-qkd-node-types";

/** The YANG module of ETSI GS QKD 015. */
export const MODULE = "etsi-qkd-sdn-node";

type Identity<Name extends string> = `${typeof TYPES}:${Name}`;

/** An identity of the model's types, as JSON spells it (RFC 7951 6.8). */
export const identity = <Name extends string>(name: Name): Identity<Name> => `${TYPES}:${name}`;

/** `qkd_node`. */
export interface QkdNode {
  readonly qkdn_id: string;
  readonly qkdn_status: Identity<"NEW" | "OPERATING" | "FAILURE">;
  readonly qkdn_version: string;
  readonly qkdn_location_id: string;
  readonly qkdn_capabilities: {
    readonly link_stats_support: boolean;
    readonly application_stats_support: boolean;
    readonly key_relay_mode_enable: boolean;
  };
  readonly qkd_applications: { readonly qkd_app: readonly QkdApp[] };
  readonly qkd_interfaces: { readonly qkd_interface: readonly QkdInterface[] };
  readonly qkd_links: { readonly qkd_link: readonly QkdLink[] };
}

/** `qkd_app`: an application entry. */
export interface QkdApp {
  readonly app_id: string;
  readonly app_status: Identity<"ON">;
  readonly app_type: Identity<"CLIENT">;
  readonly server_app_id: string;
  readonly client_app_id: readonly string[];
  readonly app_priority: number;
  readonly local_qkdn_id: string;
  /** Absent for an application that has no session: it may ask for keys with any other. */
  readonly remote_qkdn_id?: string;
  readonly backing_qkdl_id?: readonly string[];
}

/** `qkd_interface`: a QKD module that is connected here. */
export interface QkdInterface {
  readonly qkdi_id: number;
  readonly qkdi_model: string;
  readonly qkdi_status: Identity<"ENABLED" | "DISABLED" | "FAILED">;
}

/** `qkd_link`: a key association link. */
export interface QkdLink {
  readonly qkdl_id: string;
  readonly qkdl_status: Identity<"ACTIVE" | "PASSIVE" | "PENDING" | "OFF">;
  readonly qkdl_enable: boolean;
  readonly qkdl_local: { readonly qkdn_id: string; readonly qkdi_id?: number };
  readonly qkdl_remote: { readonly qkdn_id: string };
  readonly qkdl_type: Identity<"PHYS" | "VIRT">;
  readonly qkdl_applications: readonly string[];
  readonly virt_next_hop?: readonly string[];
  readonly qkdl_performance?: {
    readonly skr: number;
    /** decimal64 is a string in JSON (RFC 7951 6.1). */
    readonly phys_perf: readonly { readonly perf_type: Identity<"QBER">; readonly value: string }[];
  };
}
